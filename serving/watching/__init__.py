"""What can be seen of a running service, and what it sees of Redis.

* ``metrics``: what it counts, for Prometheus; ``metrics_folder``: where replicas add it up.
* ``logs``: what is written down; ``tracing``: spans for OpenTelemetry.
* ``breaker``: whether to ask Redis at all.
"""
