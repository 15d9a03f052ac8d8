"""How much a policy could be worth: the optimum of the world, and its honest rivals.

* ``command``: the command; ``yardstick``: the optimum of a sample of individuals and its rivals;
  ``judging``: pieces of that work; ``panel``: whom it follows; ``verdict``: what policies are worth
  beside silence and the optimum; ``criterion``: what they are judged by; ``picture``: as a picture.
* ``contest``: policies against silence, the optimum and its rivals; ``course``: the users and luck
  that all of them meet; ``kept``: what was computed before.
* ``finite``: the exact optimum of a finite preset; ``tabular``: that world, written out.
* ``planning``: dynamic programming for one individual; ``grid``: fatigue and reference discount on
  nodes; ``week``: the hours and scenes; ``reactions``: how the individual reacts in every cell;
  ``choices``: what contacts are worth there; ``extrapolating``: sweeps sped up;
  ``plan``: the answer; ``known_rules``: the rules that a planner knows.
* ``attained``: what deciding users are worth when simulated; ``steadying``: luck taken out.
* ``rivals``, ``tuning``: simpler policies, at their best.
* ``filtering``, ``imagining``, ``heard``, ``outstanding``, ``impressions``: what a history says of
  a user.
"""
