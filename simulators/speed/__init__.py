"""How fast the world is.

* ``bench``: the command; ``stopwatch``: part by part; ``resident``: how much memory users take.
* ``peers``, ``peer_recsim``, ``peer_recogym``: how fast others are.
"""
