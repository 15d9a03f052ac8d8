"""What a person may ask for: to be told everything, to be forgotten.

* ``export``: everything that is kept of a person; ``user_words``: a state in words.
* ``erasure``: nothing of a person stays.
"""
