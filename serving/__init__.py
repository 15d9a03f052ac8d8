"""The live world: it poses the decision problem of ``envs`` to real users, over HTTP.

Room map, each file one concept:

* ``settings``: what the surroundings say, read once at the edge.
* ``security``: who may call, and names that do not reveal the user.
* ``headers``: what every answer carries for safety, and errors that end here.
* ``location``: where a user is, as inexactly as the business wants to know it.
* ``key``: the command that makes an API key.
* ``limits``: how often each caller may call.
* ``admission``: who is let in: a known key, a role that suffices, and not too often.
* ``redis_server``: a real Redis of our own, where none is given.
* ``connect``: connections to Redis, one server or a cluster.
* ``keys``: where things lie in Redis.
* ``records``: what Redis keeps of users and decisions, as bytes.
* ``scripts``: what Redis runs as one step.
* ``state``: users, decisions and the journal stream in Redis, two round trips a decision.
* ``budget``: money that many replicas spend and none exceeds.
* ``leases``: the slices of it that one replica holds.
* ``ledger``: what Redis keeps of it.
* ``lease_scripts``: what Redis does with leases in one step.
* ``pacing``: how it is spread over the day, and the price that keeps it there.
* ``decide``: user state and request in, decision out; no Redis and no HTTP.
* ``vocabulary``: a caller's words, understood against the catalogue.
* ``bodies``: what the HTTP calls take and give.
* ``failures``: what a caller is told when something is wrong.
* ``offers``: the call that decides, and its safe answer.
* ``patience``: how long a decision waits for Redis.
* ``events``: the call that tells what happened.
* ``people``: one person behind several identities.
* ``people_scripts``: what Redis does with links in one step.
* ``people_calls``: the calls that link, tell and erase.
* ``export``: everything that is kept of a person; ``user_words``: a state in words.
* ``erasure``: nothing of a person stays.
* ``metrics``: what the service counts of itself.
* ``metrics_folder``: where the replicas of one machine add it up.
* ``breaker``: whether to ask Redis at all.
* ``logs``: what is written down, and how often.
* ``tracing``: spans for OpenTelemetry.
* ``lineup``: which policy serves, shadows or takes a share, and every change of it.
* ``parcel``: a policy as it travels between machines.
* ``registry``: what is kept of the policies in Redis.
* ``standing``: what serves on one replica, as one value.
* ``policies``: how a replica follows what is kept.
* ``policy_calls``: the calls that say what serves, and change it.
* ``promote``: the same as commands.
* ``service``: all of it for one business.
* ``app``: the HTTP application.
* ``client``: the typed client, for programs that wait.
* ``client_async``: the same for asyncio.
* ``client_calls``: its calls without the network.
* ``client_words``: its plain values, and the ways in which a call ends badly.
* ``personalizer``: the door for callers of Azure Personalizer.
* ``personalizer_calls``: its HTTP calls, in the shapes that its clients know.
* ``personalizer_bodies``: what these take and give.
* ``personalizer_events``: its events in Redis.
* ``ranking``: names of actions, ranked.
* ``context``: what is understood of the context that its callers send.
* ``describe``: the command that keeps the OpenAPI description.
* ``deployment``: the application in Ray Serve.
* ``ingress``: HAProxy in front of the replicas.
* ``journal``: decisions and outcomes, from Redis to Parquet.
* ``journal_entries``: entries of the streams, held to what a reader will demand.
* ``journal_rows``: the kinds of rows on disk, each once.
* ``journal_hours``: their parts, by the hour in which they arrived.
* ``journal_erasure``: the same without users of whom nothing may stay.
* ``journal_table``: the log as a table.
* ``journal_files``: the parts on disk, and the log that is made of them.
* ``durable``: files that outlive a power cut.
* ``writer``: the command that keeps the journal; ``writer_process``: the same beside ``up``.
* ``outcomes``: what came of a decision, in cents.
* ``journal_log``: the command that makes that log.
* ``status``: the command that says what is served.
* ``up``: everything started in order and stopped in order.
* ``__main__``: the commands ``up``, ``writer``, ``journal``, ``status`` and more.
"""
