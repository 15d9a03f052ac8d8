"""Connections to Redis: one server or a cluster, with a password, an ACL user or TLS by the URL.

* ``redis://[USER:PASSWORD@]HOST:PORT/DB``          one server
* ``rediss://...``                                  the same over TLS; ``?ssl_ca_certs=FILE`` names
  the authorities that may have signed the server's certificate
* ``redis+cluster://...``, ``rediss+cluster://...`` any node of a Redis Cluster
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import hiredis
from redis import Redis as SyncRedis
from redis.asyncio import Connection, Redis, SSLConnection
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster as SyncRedisCluster
from redis.exceptions import RedisClusterException, RedisError
from redis.retry import Retry as SyncRetry

Client: TypeAlias = Any
"""A ``redis.asyncio`` client of one server or of a cluster. Its own types differ in every call."""
SyncClient: TypeAlias = Any

GONE: Final = (RedisError, RedisClusterException, OSError)
"""What is raised where Redis does not answer; the exceptions of a cluster are no RedisError."""

CLUSTER: Final = "+cluster"
CONNECTIONS: Final = 256
PATIENCE_S: Final = 2.0
"""How long a socket is waited for; a decision gives up much sooner."""
CONNECT_S: Final = 1.0
OPTIONS: Final[dict[str, Any]] = {
    "socket_timeout": PATIENCE_S,
    "socket_connect_timeout": CONNECT_S,
    "protocol": 2,
}


def is_cluster(url: str) -> bool:
    """Whether the URL names a Redis Cluster."""
    return url.partition("://")[0].endswith(CLUSTER)


class Packed(Connection):
    """A connection whose commands are put into bytes by hiredis: a tenth of the time.

    The client does so for programs that wait, not for asyncio.
    """

    def pack_command(self, *args: Any) -> list[bytes]:
        """One command as it is sent."""
        return _pack(args)


class PackedSSL(SSLConnection):
    """The same over TLS."""

    def pack_command(self, *args: Any) -> list[bytes]:
        """One command as it is sent."""
        return _pack(args)


def _pack(args: tuple[Any, ...]) -> list[bytes]:
    name = args[0]
    if isinstance(name, str) and " " in name:
        args = (*name.split(), *args[1:])
    return [hiredis.pack_command(args)]


def connect(url: str) -> Client:
    """A client that makes its connections when they are needed.

    What is sent may be sent twice when a connection breaks: every script of the service is safe
    to repeat, and callers are spared the connections that a restarted Redis has left broken.

    Raises:
        ValueError: no such URL.
    """
    options = dict(OPTIONS)
    if is_cluster(url):
        return RedisCluster.from_url(
            url.replace(CLUSTER, "", 1), **options, max_connections=CONNECTIONS
        )
    options["connection_class"] = PackedSSL if url.startswith("rediss") else Packed
    retry = Retry(NoBackoff(), 1)
    return Redis.from_url(url, retry=retry, max_connections=CONNECTIONS, **options)


def connect_sync(url: str, patience_s: float = PATIENCE_S, tries: int = 2) -> SyncClient:
    """The same for programs that wait.

    Args:
        url: of the server, see above.
        patience_s: how long an answer is waited for.
        tries: how often a command is sent when connections break.

    Raises:
        ValueError: no such URL.
        RedisClusterException: a cluster of which no node answers.
    """
    options = OPTIONS | {"socket_timeout": patience_s}
    if is_cluster(url):
        return SyncRedisCluster.from_url(url.replace(CLUSTER, "", 1), **options)
    return SyncRedis.from_url(url, retry=SyncRetry(NoBackoff(), tries - 1), **options)
