"""What callers get when Redis is gone, slow, or comes back."""

import asyncio
import signal
import time

import pytest
import redis

from serving.decisions.patience import Patience
from serving.store.redis_server import RedisServer
from tests.serving.live import NOON, running

EVENT = {"event_id": "e1", "user_id": "u1", "kind": "viewed", "time": NOON}


@pytest.fixture
def own_redis(tmp_path):
    """A server that the test may stop."""
    with RedisServer.start(tmp_path) as server:
        yield server
        if server.process.poll() is None:
            server.process.send_signal(signal.SIGCONT)


def timed_offer(service, request_id):
    start = time.perf_counter()
    answer = service.offer(request_id)
    return answer, (time.perf_counter() - start) * 1000


def assert_safe(answer):
    assert (answer["action"], answer["degraded"]) == ("silence", True)
    assert answer["offer"] is None and answer["channel"] is None


def counted(service, name):
    lines = service.client.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


@pytest.mark.promise("degraded")
@pytest.mark.promise("events-acknowledged")
@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["gone", "hangs"])
def test_an_offer_is_answered_with_silence_before_redis_gives_up(own_redis, catalogue, trouble):
    with running(own_redis.url, catalogue) as service:
        service.offer("warm up")
        if trouble == "gone":
            own_redis.stop()
        else:
            own_redis.process.send_signal(signal.SIGSTOP)
        times = []
        for number in range(15):
            answer, milliseconds = timed_offer(service, f"r{number}")
            assert_safe(answer)
            times.append(milliseconds)
        # No measurement, which benchmarks are for: nobody waits until the socket gives up (5 s).
        assert sorted(times)[len(times) // 2] < 2_500
        told = service.client.post("/v1/events", json={"events": [EVENT]})
        assert told.status_code == 503
        assert told.json()["error"]["code"] == "not_kept"
        ready = service.client.get("/readyz")
        assert (ready.status_code, ready.json()["error"]["code"]) == (503, "not_ready")
        assert service.client.get("/healthz").status_code == 200
        assert service.client.get(f"/v1/decisions/{'0' * 32}-{'0' * 20}").status_code == 503
        # Most of them were spared the waiting by the breaker.
        degraded = {
            reason: counted(service, f'scenelift_degraded_total{{reason="{reason}"}}')
            for reason in ("redis", "breaker")
        }
        assert sum(degraded.values()) == 15 and degraded["redis"] >= 5
        assert counted(service, "scenelift_ready") == 0


@pytest.mark.promise("late-is-never")
def test_a_decision_that_nobody_waits_for_is_not_written_later(own_redis, catalogue):
    """Redis hangs between reading and committing; what was sent reaches it when it wakes."""
    settings = {"redis_timeout_ms": 1_000}
    with running(own_redis.url, catalogue, "constant:content/email", **settings) as service:
        service.offer("warm up", "somebody else")
        store = service.service.store
        commit = store.commit

        async def commit_to_a_hanging_redis(*arguments):
            own_redis.process.send_signal(signal.SIGSTOP)
            return await commit(*arguments)

        store.commit = commit_to_a_hanging_redis
        assert_safe(service.offer("r1"))
        store.commit = commit
        own_redis.process.send_signal(signal.SIGCONT)
        with redis.Redis.from_url(own_redis.url) as client:
            # Each script looks for an answer: two read, the warm up commits, and the late one.
            looked, deadline = 0, time.monotonic() + 20
            while looked < 4 and time.monotonic() < deadline:
                looked = client.info("commandstats")["cmdstat_hget"]["calls"]
            assert looked == 4
            assert sum(client.xlen(stream) for stream in client.scan_iter("sl:*:j")) == 1
            assert len(list(client.scan_iter("sl:*:d:*"))) == 1


@pytest.mark.promise("breaker")
@pytest.mark.slow
def test_decisions_go_on_once_redis_answers_again(own_redis, catalogue):
    with running(own_redis.url, catalogue, redis_timeout_ms=2_000) as service:
        first = service.offer("r1")
        own_redis.process.send_signal(signal.SIGSTOP)
        stopped = service.offer("r2")
        assert_safe(stopped)
        own_redis.process.send_signal(signal.SIGCONT)
        again = service.offer("r2")
        assert again["degraded"] is False
        assert again["decision_id"] == stopped["decision_id"]
        assert service.offer("r1") == first


@pytest.mark.promise("redis-restart")
def test_a_redis_that_was_restarted_has_kept_everything(own_redis, catalogue, tmp_path):
    """The scripts are lost with a restart, the users and decisions are not."""
    with running(own_redis.url, catalogue, redis_timeout_ms=5_000) as service:
        first = service.offer("r1")
        service.tell(EVENT)
    own_redis.stop()
    with (
        RedisServer.start(tmp_path) as restarted,
        running(restarted.url, catalogue, redis_timeout_ms=5_000) as service,
    ):
        assert service.offer("r1") == first
        assert service.tell(EVENT) == {"accepted": 0, "repeated": 1}


@pytest.mark.promise("redis-restart")
def test_forgotten_scripts_are_loaded_again(live, redis_client):
    live.offer("r1")
    live.tell(EVENT)
    redis_client.script_flush()
    assert live.offer("r2")["degraded"] is False
    redis_client.script_flush()
    assert live.tell(EVENT | {"event_id": "e2"}) == {"accepted": 1, "repeated": 0}


@pytest.mark.promise("redis-restart")
def test_connections_that_broke_are_replaced(live, redis_client):
    live.offer("r1")
    redis_client.client_kill_filter(_type="normal", skipme=True)
    assert live.offer("r2")["degraded"] is False


def test_a_busy_process_does_not_blame_redis():
    """A reply that arrived while this process was at work is read before time is called."""

    async def reply(delay):
        await asyncio.sleep(delay)
        return "reply"

    async def scene():
        patience = Patience(0.05)
        # Soon after the wait has begun the whole process is busy, until the time is long over.
        asyncio.get_running_loop().call_later(0.001, time.sleep, 0.2)
        return await patience.wait(reply(0.02))

    assert asyncio.run(scene()) == "reply"


def test_patience_ends_for_what_never_comes():

    async def scene():
        patience = Patience(0.02)
        await patience.wait(asyncio.Event().wait())

    with pytest.raises(TimeoutError):
        asyncio.run(scene())
