"""The Redis that we start ourselves, and the one that is given."""

import socket
import stat

import pytest
import redis

from envs.errors import InputError
from serving.store.redis_server import RedisServer, require_answer
from tests.serving.conftest import ONE_SERVER


def test_data_are_there_again_after_a_restart(tmp_path):
    with RedisServer.start(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        client.set("kept", "yes")
    with RedisServer.start(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        assert client.get("kept") == b"yes"


@ONE_SERVER
def test_it_listens_on_this_machine_only_behind_a_password(redis_server):
    with redis.Redis.from_url(redis_server.url) as client:
        assert client.config_get("bind")["bind"] == "127.0.0.1"
        assert client.config_get("appendonly")["appendonly"] == "yes"
        port = client.connection_pool.connection_kwargs["port"]
    with (
        redis.Redis(port=port, retry=None) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


def test_two_servers_never_work_on_the_same_data(tmp_path):
    with RedisServer.start(tmp_path) as server:
        with pytest.raises(InputError, match=str(server.process.pid)):
            RedisServer.start(tmp_path)
        with redis.Redis.from_url(server.url) as client:
            assert client.ping()


def test_stopping_ends_the_process_and_may_be_repeated(tmp_path):
    server = RedisServer.start(tmp_path)
    server.stop()
    server.stop()
    assert server.process.returncode == 0


def test_a_program_that_ends_at_once_is_reported_with_its_log(tmp_path):
    broken = tmp_path / "redis-server"
    broken.write_text("#!/bin/sh\necho 'no room left' > redis.log\nexit 3\n")
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(InputError, match="no room left"):
        RedisServer.start(tmp_path / "data", broken)


def test_a_redis_that_answers_is_accepted(redis_server):
    assert require_answer(redis_server.url) is None


def test_a_redis_that_is_absent_is_named_with_the_cure():
    with socket.socket() as taken:  # bound but not listening: nobody answers there
        taken.bind(("127.0.0.1", 0))
        url = f"redis://:secret-word@127.0.0.1:{taken.getsockname()[1]}/0"
        with pytest.raises(InputError, match="leave --redis and REDIS_URL out") as caught:
            require_answer(url)
    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize("url", ["127.0.0.1:6379", "http://127.0.0.1", "redis://127.0.0.1:port"])
def test_what_is_no_redis_url_is_refused(url):
    with pytest.raises(InputError, match="--redis"):
        require_answer(url)
