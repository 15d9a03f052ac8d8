"""Deciding: from a request to an answer that is kept.

* ``asking``: a request, understood.
* ``offers``: the call, for those who ask at the same time together, and the safe answer.
* ``deciding``: read the users, decide, commit, and again; ``patience``: how long it waits.
* ``rounds``: requests that are decided together; ``proposals``: what is to be written of them;
  ``answers``: what is told of it.
* ``deferrals``: decisions that wait for their activation.
* ``events``: what happened afterwards; ``explain``: why it was decided, and what came of it.
"""
