"""A real Redis, and a service on it, for the tests of the service."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from envs.catalogue import Catalogue, load_catalogue
from serving.redis_server import RedisServer, bundled_program
from tests.serving.live import Running, running


def installed_redis() -> Path:
    """Debian's redis-server; the test is skipped where there is none."""
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("no redis-server is installed on this machine (Debian: redis-server)")
    return Path(found)


@pytest.fixture(
    scope="session", params=["bundled", pytest.param("installed", marks=pytest.mark.slow)]
)
def redis_server(request, tmp_path_factory) -> Iterator[RedisServer]:
    """Each test that uses it runs once with the bundled server and once with Debian's."""
    program = bundled_program() if request.param == "bundled" else installed_redis()
    with RedisServer.start(tmp_path_factory.mktemp(f"redis-{request.param}"), program) as server:
        yield server


@pytest.fixture(scope="session")
def bundled_redis(tmp_path_factory) -> Iterator[RedisServer]:
    """The bundled server alone, for what does not depend on the version."""
    with RedisServer.start(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_client(redis_server) -> Iterator[redis.Redis]:
    """A client of an empty Redis."""
    with redis.Redis.from_url(redis_server.url) as client:
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
