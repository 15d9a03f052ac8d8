"""Users as clients of a service.

* ``traffic``: the HTTP client and its command.
* ``visitors``, ``customers``: the world's users and a log's customers.
* ``answers``: the service as they see it.
"""
