"""What the commands ``train`` and ``tune`` do.

* ``settings``: what can be asked of a training; ``world_training``: in the synthetic world.
* ``checkpoints``: what a training leaves to go on from; ``curves``: what TensorBoard shows of it.
* ``transfer``: a policy carried over to another catalogue, and learning that begins with it.
* ``tune``: from a learner's name to its best settings; ``spaces``: which are searched; ``search``:
  by whom; ``trial``: one of them.
"""
