"""Logs: learning from them alone, and what they say about a policy that did not write them.

* ``log_training``: what ``train --log`` does; ``offline_training``: round after round.
* ``transitions``: what followed on each decision; ``log_steps``: logs of any size, in batches.
* ``scene_moments``: moments whose scene is known.
* ``estimators``: the values that ``ope`` prints, with their intervals.
"""
