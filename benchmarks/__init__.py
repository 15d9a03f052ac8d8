"""What the whole way is worth: the demo, and how its policies are compared.

Room map, each file one concept:

* ``demo``: train, serve, send simulated users over HTTP, compare, leave the API up.
* ``children``: the programs the demo starts, and how each of them is ended.
* ``command``: how a benchmark reads its options, prints and ends: those of the service share it.
* ``comparison``: values per user-week, paired differences and their intervals.
* ``report``: the comparison as a table, a picture and a summary file.
* ``year``: ten thousand users for a year, as a table and a picture (``year_picture``); ``diary``:
  what is noted of them; ``bounds``: what they cannot exceed.
* ``training``: steps a second and learning curves beside stock RLlib and Stable-Baselines3:
  ``throughput`` and ``paces`` count steps, ``curves`` judges what was learnt, ``contestants`` are
  who learns, ``stock_dqn`` and ``sb3_dqn`` the others, ``learnt_signal`` what they are paid.
* ``bandits``: regret beside Vowpal Wabbit: ``rounds`` from the world and from ``real_logs``,
  ``bandit_players`` who play them, ``bandit_settings`` how.
* ``campaigns``: policies learnt from half of a real campaign, judged on the other half;
  ``targeting``: whom they contact, and what the log says of it.
* ``budgets``: one network for every price of a cent beside a network for each.
* ``fine_tuning``: a policy carried over to another shop, and how little data mends it.
* ``scoring``: decisions a second from a file of users, beside the bare policy in memory.
* ``serving``: how fast the service answers, beside ``floor``, the same application under plain
  uvicorn (``plain``, by ``listening``), and Ray Serve ``as_it_comes``. ``served`` starts the
  service, ``load`` is what is put on it, over ``connections``; ``machine`` says where that was.
* ``hammer``: whether caps and budget hold under many clients at once (``hammer_clients``), counted
  anew from the journal (``journals``).
* ``faults``: what callers and the journal suffer when something breaks under load: ``fault_kinds``
  break it, ``fault_watch`` calls and judges; ``fault_redis`` is a Redis to be killed, behind
  ``slow_redis``; ``processes`` finds replicas and the journal writer.
* ``key_timing``: whether the time of a refusal tells how much of a guessed key is right.
* ``keeping``: bytes a user in Redis, and the memory of replicas over minutes of load.
* ``fuzz``: whether the service refuses as documented what ``mutants`` and schemathesis make wrong.
* ``world``: how fast the world is, beside RecSim (``recsim_speed``, in a Python of its own).
"""
