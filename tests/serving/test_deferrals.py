"""Decisions that count only once they are shown."""

import threading
import time

import pytest

from tests.serving.live import running

LATER = "2025-03-03T12:10:00Z"
POLICY = "constant:content/push"


def activate(service, decision_id, **body):
    path = f"/v1/decisions/{decision_id}:activate"
    return service.client.post(path, json=body) if body else service.client.post(path)


def code(answer):
    return answer.status_code, answer.json()["error"]["code"]


@pytest.fixture
def pushing(redis_server, redis_client, catalogue):
    """A service that pushes whenever it may: once a scene and day."""
    with running(redis_server.url, catalogue, POLICY, redis_timeout_ms=5_000) as service:
        yield service


@pytest.mark.promise("defer")
def test_a_deferred_decision_counts_only_once_it_is_activated(pushing):
    first = pushing.offer("r1", defer=True)
    assert (first["action"], first["deferred"]) == ("content/push", True)
    assert pushing.offer("r1", defer=True) == first
    assert pushing.offer("r2")["action"] == "content/push"  # nothing has been shown so far
    third = pushing.offer("r3", "u2", defer=True)
    for _ in range(2):  # once, however often it is told
        done = activate(pushing, third["decision_id"], time=LATER)
        assert (done.status_code, done.json()["state"]) == (200, "activated")
    refused = pushing.offer("r4", "u2", now=LATER)
    assert refused["refused"]["cap:push_a_scene"] > 0
    assert (
        pushing.client.get(f"/v1/decisions/{third['decision_id']}").json()["state"] == "activated"
    )


@pytest.mark.promise("defer-within-rules")
def test_an_activation_that_would_break_a_cap_says_not_to_show_it(pushing):
    first, second = pushing.offer("r1", defer=True), pushing.offer("r2", defer=True)
    assert activate(pushing, first["decision_id"], time=LATER).status_code == 200
    refused = activate(pushing, second["decision_id"], time=LATER)
    assert code(refused) == (409, "refused")
    assert "cap:push_a_scene" in refused.json()["error"]["message"]


def test_what_cannot_be_activated_is_said(pushing):
    shown = pushing.offer("r1")
    assert code(activate(pushing, shown["decision_id"])) == (409, "not_deferred")
    assert code(activate(pushing, "nobody")) == (404, "unknown_decision")
    assert code(activate(pushing, f"{'0' * 32}-{'0' * 20}")) == (404, "unknown_decision")
    deferred = pushing.offer("r2", "u2", defer=True)
    wrong = activate(pushing, deferred["decision_id"], time="yesterday")
    assert code(wrong) == (422, "invalid_time")


@pytest.mark.promise("defer")
@pytest.mark.slow
def test_a_decision_that_is_never_shown_lapses_and_gives_its_budget_back(
    redis_server, redis_client, catalogue
):
    settings = {"budget_cents": 10**6, "defer_s": 1, "redis_timeout_ms": 5_000}
    with running(redis_server.url, catalogue, "constant:gift/email", **settings) as service:
        deadline = time.monotonic() + 30
        number, answer = 0, {"action": "silence"}
        while answer["action"] == "silence" and time.monotonic() < deadline:  # until a lease is had
            number += 1
            answer = service.offer(f"r{number}", f"u{number}", defer=True)
        decision_id = answer["decision_id"]
        path, state = f"/v1/decisions/{decision_id}", "deferred"
        while state == "deferred" and time.monotonic() < deadline:
            state = service.client.get(path).json()["state"]
        assert state == "lapsed"
        assert code(activate(service, decision_id)) == (409, "lapsed")
    # Stopped: every lease is settled, and nothing has been spent.
    spent = [sum(map(int, redis_client.hvals(key))) for key in redis_client.scan_iter("sl:*:s:*")]
    assert sum(spent) == 0


@pytest.mark.promise("defer")
def test_activations_at_the_same_time_count_once(pushing):
    decision_id = pushing.offer("r1", defer=True)["decision_id"]
    statuses = []

    def call():
        statuses.append(activate(pushing, decision_id, time=LATER).status_code)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 8
    text = pushing.client.get("/metrics").text
    assert 'scenelift_deferrals_total{state="activated"} 1.0' in text
