"""How learners learn: targets, sums and updates (RLlib, torch).

* ``rewards``: what is learnt from; ``multistep``: returns over several steps.
* ``q_learner``: Q-learning's network and update; ``critic``: who teaches it by what is hidden;
  ``silence_value``: what users are worth when left alone, its potential.
* ``table_learner``: the table's update; ``step_memory``: all steps ever taken, as sums.
* ``linear_learner``: the bandits' update; ``posterior``: their exact sums, which forget and add up;
  ``log_weights``: how much decisions of a biased log count.
* ``neural_bandit``, ``neural_learner``: the same upon features that a network was taught.
* ``endurance``: how training outlives the machines of its runners.
"""
