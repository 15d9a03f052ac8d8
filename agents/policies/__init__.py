"""What is served: policies that decide with NumPy alone.

* ``q_network``: greedy in a network's values, with an exploration floor; ``wide_and_deep``: with a
  wide part.
* ``table_policy``: the best of a table; ``cells``: what is seen as one number.
* ``linear_gaussian``: the linear bandits: what is believed, and a rule of choice;
  ``neural_linear``: the same upon the last layer of a small network.
* ``exploration``: the rules: Thompson sampling, upper bounds, inverse gaps, greedy;
  ``quadrature``: which of several Gaussians is largest.
"""
