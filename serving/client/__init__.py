"""The typed client, for Python programs that call the service.

* ``sync``: for programs that wait; ``asynchronous``: for asyncio.
* ``calls``: its calls without the network; ``words``: its plain values, and how a call ends badly.
"""
