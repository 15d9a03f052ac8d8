"""A real Redis, and the parts of a service on it, for the tests of the service."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from envs.catalogue import Catalogue, load_catalogue
from serving.journal.draining import JournalWriter
from serving.journal.files import JournalFiles
from serving.policies.policies import Policies
from serving.store.connect import connect_sync
from serving.store.redis_server import RedisServer
from tests.serving.live import Running, running
from tests.serving.redis_cluster import RedisCluster, redis_cluster
from tests.serving.replicas import replica
from tests.serving.stream import Stream
from tests.serving.town import Town


def installed_program() -> Path:
    """Debian's redis-server; the test is skipped where there is none."""
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("no redis-server is installed on this machine (Debian: redis-server)")
    return Path(found)


KINDS = ("bundled", pytest.param("cluster", marks=pytest.mark.slow))
ONE_SERVER = pytest.mark.parametrize(
    "redis_server",
    ["bundled", pytest.param("installed", marks=pytest.mark.slow)],
    indirect=True,
)
"""For a test that looks at what one server does, not at what the service does."""


@pytest.fixture(scope="session", params=KINDS)
def redis_server(request) -> RedisServer | RedisCluster:
    """Each test that uses it runs with the bundled server of 6.2 and with a cluster of Debian's."""
    return request.getfixturevalue(f"{request.param}_redis")


@pytest.fixture(scope="session")
def bundled_redis(tmp_path_factory) -> Iterator[RedisServer]:
    """The bundled server alone, for what does not depend on the version."""
    with RedisServer.start(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def installed_redis(tmp_path_factory) -> Iterator[RedisServer]:
    """Debian's server."""
    with RedisServer.start(tmp_path_factory.mktemp("redis"), installed_program()) as server:
        yield server


@pytest.fixture(scope="session")
def cluster_redis(tmp_path_factory) -> Iterator[RedisCluster]:
    """A cluster of Debian's servers; made once, it serves all tests of the process."""
    with redis_cluster(tmp_path_factory.mktemp("cluster"), installed_program()) as cluster:
        yield cluster


@pytest.fixture
def redis_client(redis_server) -> Iterator[redis.Redis]:
    """A client of an empty Redis."""
    client = connect_sync(redis_server.url, patience_s=10.0)
    with closing(client):
        client.flushall()
        yield client


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture
def live(redis_server, redis_client, catalogue) -> Iterator[Running]:
    """A service on an empty Redis that decides uniformly and has time enough to do so."""
    with running(redis_server.url, catalogue, redis_timeout_ms=5_000) as service:
        yield service


@pytest.fixture
def here(redis_server, redis_client, catalogue, tmp_path) -> Iterator[Policies]:
    """What serves on a replica that was configured to serve the rule book."""
    with replica(redis_server.url, catalogue, policies_dir=str(tmp_path)) as policies:
        yield policies


@pytest.fixture
def town(catalogue, redis_server) -> Callable[..., Town]:
    """Makes replicas that share a budget, with the given settings."""
    return lambda **settings: Town(catalogue, redis_server.url, **settings)


@pytest.fixture
def stream(redis_client, catalogue) -> Stream:
    """The journal's entries in an empty Redis."""
    return Stream(redis_client, catalogue)


@pytest.fixture
def files(catalogue, tmp_path) -> JournalFiles:
    """The journal on disk."""
    return JournalFiles(tmp_path, catalogue)


@pytest.fixture
def writer(redis_server, redis_client, catalogue, files) -> Iterator[JournalWriter]:
    """Takes the entries from an empty Redis to the disk."""
    with closing(JournalWriter(redis_server.url, catalogue, files)) as writer:
        yield writer
