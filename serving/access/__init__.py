"""Who is let in, and what every answer carries for safety.

* ``admission``: a known key, a role that suffices, and not too often; ``limits``: how often.
* ``headers``: what every answer carries, and errors that end here.
* ``key``: the command that makes an API key.
"""
