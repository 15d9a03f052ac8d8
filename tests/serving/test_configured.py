"""A policy that is configured: when it is news, without Redis, and on several machines."""

import signal
import threading

import pytest

from serving.store.redis_server import RedisServer
from tests.serving.bundles import save
from tests.serving.replicas import replica


def test_what_was_promoted_outlives_a_restart_and_the_same_configuration(
    here, redis_server, catalogue
):
    here.load("a", "uniform", "c1", None)
    here.change(lambda lineup: lineup.promote("a"), "c2", None)
    assert here.configure("rule_book")
    assert here.names() == {"serving": "uniform"}
    with replica(redis_server.url, catalogue) as restarted:
        assert restarted.names() == {"serving": "uniform"}
    with replica(redis_server.url, catalogue, "silence") as changed:
        assert changed.names() == {"serving": "silence"}
    here.poll()
    assert here.names() == {"serving": "silence"}
    assert here.lineup()[0].lineup.past == ("a", "rule_book")


def test_a_configured_folder_with_another_content_is_news(here, catalogue, tmp_path):
    folder = str(save(tmp_path / "bundle", catalogue))
    assert here.configure(folder)
    first = here.names()
    save(tmp_path / "bundle", catalogue, seed=4)
    assert here.configure(folder)
    assert here.names() != first


def test_a_configured_folder_is_needed_on_one_machine_only(here, redis_server, catalogue, tmp_path):
    folder = save(tmp_path / "bundle", catalogue)
    assert here.configure(str(folder))
    folder.rename(tmp_path / "elsewhere")
    with replica(redis_server.url, catalogue, str(folder)) as other:
        assert (other.names(), other.refused_policy) == (here.names(), None)


def test_a_configured_policy_that_is_refused_changes_nothing_and_is_told(here, tmp_path):
    assert not here.configure(str(tmp_path / "nothing"))
    assert here.names() == {"serving": "rule_book"}
    assert str(tmp_path / "nothing") in here.refused_policy
    here.load("a", "uniform", "c1", None)
    here.change(lambda lineup: lineup.promote("a"), "c2", None)
    assert here.refused_policy is None


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
def test_without_redis_the_configured_policy_serves(catalogue, scheme):
    with replica(f"{scheme}://127.0.0.1:1", catalogue) as alone:
        assert alone.names() == {"serving": "rule_book"}
        alone.poll()
        assert (alone.version, alone.refused_policy) == (0, None)
        assert alone.configure("silence")
        assert alone.names() == {"serving": "silence"}


@pytest.mark.slow
def test_a_policy_that_was_configured_without_redis_is_kept_once_redis_answers(tmp_path, catalogue):
    with RedisServer.start(tmp_path) as server, replica(server.url, catalogue, None) as policies:
        server.process.send_signal(signal.SIGSTOP)
        assert policies.configure("rule_book")
        assert (policies.names(), policies.version) == ({"serving": "rule_book"}, 0)
        server.process.send_signal(signal.SIGCONT)
        policies.poll()
        assert policies.version == 1
        assert policies.lineup()[0].lineup.serving == "rule_book"


def test_an_emptied_redis_gets_the_configured_policy_again(here, redis_client):
    here.load("a", "uniform", "c1", None)
    here.change(lambda lineup: lineup.promote("a"), "c2", None)
    redis_client.flushall()
    here.poll()
    assert here.names() == {"serving": "rule_book"}
    assert here.lineup()[0].lineup.serving == "rule_book"


def test_replicas_that_start_together_agree(redis_server, redis_client, catalogue):
    started = threading.Barrier(4)
    found = []

    def start(spec):
        started.wait()
        with replica(redis_server.url, catalogue, spec) as policies:
            found.append(policies.version)

    threads = [threading.Thread(target=start, args=("rule_book",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1, 1, 1, 1]
