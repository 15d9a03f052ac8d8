"""What serves, changed without a restart and followed by every replica.

* ``decide``: one policy with the rules and the encoding: user state in, decision out, in arrays.
* ``lineup``: which policy serves, shadows or takes a share, and every change of it.
* ``registry``: what Redis keeps of that; ``parcel``: a policy as it travels between machines.
* ``policies``: how a replica follows it; ``standing``: what serves there, as one value.
* ``promote``: the commands that change it.
"""
