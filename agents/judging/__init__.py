"""Policies against each other, and against the optimum.

* ``evaluate``: what share of the gap to the optimum policies close, on the oracle's course;
  ``entries``: who is evaluated; ``players``: a policy as one who takes part; ``shares``: figures
  and their intervals; ``standings``: as a table.
* ``price``, ``pricing``: what a cent has to cost so that a policy keeps to a budget.
* ``field``: some weeks in the same world, for training and the demo.
"""
