"""The HTTP calls: which route does what, and who may use it.

* ``decision_calls``: offers, events and decisions; ``direct``: routes on the hot path.
* ``people_calls``: export, erase, link. ``policy_calls``: what serves.
"""
