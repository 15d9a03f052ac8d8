"""The door for callers of Azure Personalizer.

* ``calls``, ``bodies``: its HTTP calls, in the shapes that its clients know.
* ``personalizer``: rank, reward and activate; ``events``: what Redis keeps of them.
* ``context``: what is understood of what callers send; ``ranking``: names of actions, ranked.
"""
