"""One person behind several identities.

* ``people``: links between users; ``people_scripts``: what Redis does with them in one step.
"""
