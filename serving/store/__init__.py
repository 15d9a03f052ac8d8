"""Redis: where things lie, and what is done there in one step.

* ``connect``: one server or a cluster; ``redis_server``: one of our own, where none is given.
* ``keys``: the name of every key; ``records``: what is kept there, as bytes.
* ``scripts``: what Redis runs as one step; ``state_scripts``: those of users and decisions.
* ``state``: users and decisions, one round trip to read, one to commit.
"""
