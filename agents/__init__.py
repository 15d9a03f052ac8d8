"""Learners that solve the offer decision, and the policies they leave behind.

Room map, each file one concept. What a service may load (NumPy only):

* ``policy``: the bundle, a policy in a folder, and how it is refused.
* ``q_network``: the policy of a Q-network, greedy with an exploration floor.
* ``linear_gaussian``: the policy of the linear bandits: what is believed, and a rule of choice.
* ``wide_and_deep``: the policy of a Q-network with a wide part.
* ``neural_linear``: the same upon the last layer of a small network.
* ``table_policy``: the policy of a table; ``cells``: what is seen as one number.
* ``exploration``: the rules: Thompson sampling, upper bounds, inverse gaps, greedy.
* ``quadrature``: which of several Gaussians is largest.
* ``baselines``: silence, uniform, constant, and the rule book a marketer would write.

What learns (RLlib, torch, the simulators):

* ``columns``: the runner that collects experience as columns, and the memory of it.
* ``rewards``: what is learnt from.
* ``algorithm``: what the learners share as RLlib algorithms.
* ``checkpoints``: what a training leaves to go on from; ``curves``: what TensorBoard shows of it.
* ``endurance``: how training outlives the machines of its runners.
* ``q_learning``, ``q_learner``: masked double dueling deep Q-learning: settings, network, update;
  ``critic``: who teaches it by what is hidden; ``multistep``: returns over several steps.
* ``table_learning``, ``table_learner``: tabular Q-learning; ``step_memory``: all steps ever taken,
  as sums.
* ``silence_value``: what users are worth when left alone, Q-learning's potential.
* ``bandits``, ``linear_learner``: the linear bandits: settings, update; ``posterior``: their exact
  sums, which forget and add up; ``log_weights``: how much decisions of a biased log count.
* ``neural_bandit``, ``neural_learner``: the same upon features that a network was taught.
* ``offline``: conservative Q-learning from a log alone; ``transitions``: what followed on each of
  its decisions; ``log_steps``: logs of any size, in batches; ``offline_training``: as a command.
* ``transfer``: a policy carried over to another catalogue, and learning that begins with it.
* ``train``: from a learner's name to a bundle; ``learners``: the names; ``world_training``,
  ``log_training``: in the world, and from a log.
* ``tune``: from a learner's name to its best settings; ``spaces``: which settings are searched;
  ``search``: by whom; ``trial``: one of them.

What decides for files, and makes policies smaller or portable:

* ``score``, ``pieces``, ``scoring``: a file of users -> decisions; ``decision_files``: as Parquet.
* ``distil``, ``distilling``: a small policy of a large one, and what that costs.
* ``export``: a policy as one ONNX file.

What judges:

* ``evaluate``: what share of the gap to the optimum policies close, on the oracle's course;
  ``entries``: who is evaluated; ``players``: a policy as one who takes part; ``shares``: figures
  and their intervals; ``standings``: as a table.
* ``price``, ``pricing``: what a cent has to cost so that a policy keeps to a budget.
* ``judging``: policies against each other over some weeks, for training and the demo.
* ``ope``, ``estimators``: what a log says about a policy that did not write it.
"""
