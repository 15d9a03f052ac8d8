"""The live world: it poses the decision problem of ``envs`` to real users, over HTTP.

Room map. How it is put together and started:

* ``app``: the HTTP application; ``service``: all that is behind it, for one business.
* ``settings``: what the surroundings say, read once at the edge.
* ``security``: roles, keys, and names that do not reveal the user.
* ``deployment``: the application in Ray Serve; ``ingress``: HAProxy in front of the replicas.
* ``up``: everything started in order and stopped in order; ``status``: what is served;
  ``describe``: the OpenAPI description, kept. ``__main__`` has all commands.

What it does, each folder with a map of its own, from the edge inwards:

* ``access``: who is let in. ``calls``: the HTTP calls; ``words``: what is said in them.
  ``personalizer``: a door for callers of Azure Personalizer. ``client``: the typed client.
* ``decisions``: from a request to an answer that is kept, and what happens afterwards.
* ``policies``: what serves, changed while it runs. ``budgets``: money that is never exceeded.
* ``people``: one person behind several identities. ``rights``: export and erasure.
* ``store``: Redis. ``journal``: from Redis to Parquet. ``watching``: metrics, logs, traces.
"""
