"""Learners that solve the offer decision, and the policies they leave behind.

Room map. What a service may load, NumPy alone:

* ``policy``: the bundle, a policy in a folder, and how it is refused.
* ``baselines``: silence, uniform, constant, and the rule book a marketer would write.
* ``policies/``: what learners leave behind, and how it chooses.

What learns, as RLlib algorithms:

* ``learners``: their names; ``algorithm``: what they share; ``columns``: the runner that collects
  experience as columns, and the memory of it.
* ``q_learning``: masked double dueling deep Q-learning; ``table_learning``: the tabular one.
* ``bandits``: linear Thompson sampling, LinUCB, SquareCB, epsilon-greedy; neural-linear is in
  ``learning/neural_bandit``.
* ``offline``: conservative Q-learning from a log alone.
* ``learning/``: their targets, sums and updates.

What is done with them (each command has a file of its name):

* ``train``, ``training/``: from a learner's name to a bundle, and to its best settings (``tune``).
* ``ope``, ``logs/``: learning from logs, and what they say of other policies.
* ``judging/``: policies against each other and the optimum (``evaluate``, ``price``).
* ``scenes``: learning to read a user's scene from signals.
* ``shipping/``: whole files (``score``), smaller (``distil``), portable (``export``).
"""
