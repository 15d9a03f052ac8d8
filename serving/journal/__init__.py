"""Decisions and outcomes, from Redis to Parquet, and the log that is made of them.

* ``writer``: the command that keeps the journal; ``writer_process``: the same beside ``up``.
* ``draining``: entries out of the streams, at least once; ``entries``: held to what readers need.
* ``files``: the folder; ``hours``: its parts by hour; ``rows``: the kinds of rows in them.
* ``erasing``: parts without users of whom nothing may stay; ``durable``: files that outlive a
  power cut.
* ``log``: the command that makes the log; ``table``: one row a decision; ``outcomes``: what came
  of it, in cents.
"""
