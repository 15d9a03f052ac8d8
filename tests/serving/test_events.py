"""The call that tells what happened, over real HTTP on a real Redis."""

import threading

import numpy as np
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envs.decisions import EventKind
from envs.users import UserState
from serving.security import Naming
from serving.store.records import UserRecord
from serving.words.bodies import KIND_NUMBER, ReportedKind
from tests.serving.conftest import ONE_SERVER
from tests.serving.live import NOON, SECRET, running


def state_of(service, redis_client, user_id="u1") -> UserState:
    """What Redis holds of a user, as arrays."""
    user = Naming(SECRET.encode()).user(user_id)
    store = service.service.store
    return store.unpacked([UserRecord.read(redis_client.get(store.space.user(user)))])


def same(one: UserState, other: UserState) -> bool:
    """Whether two users are alike; the order of the remembered keys does not matter."""
    for name in ("sums", "latest", "opted_in_at", "opted_out_at", "cap_times", "attributes"):
        close = np.allclose(getattr(one, name), getattr(other, name), rtol=1e-4, equal_nan=True)
        if not close:
            return False
    return set(one.seen[0].tolist()) == set(other.seen[0].tolist())


def event(number, kind="viewed", user="u1", minute=0, **more):
    time = f"2025-03-03T12:{minute:02}:00Z"
    return {"event_id": f"e{number}", "user_id": user, "kind": kind, "time": time} | more


EVENTS = [
    event(1, "viewed", minute=1),
    event(2, "clicked", minute=2, channel="push"),
    event(3, "bought", minute=3, amount_cents=2_950, discount=0.1),
    event(4, "opted_out", minute=4, channel="email"),
    event(5, "opted_in", minute=5, channel="sms"),
    event(6, "described", minute=6, attributes={"member_tier": "gold"}),
    event(7, "viewed", minute=7, attributes={"past_spend_cents": 100}),
]


def test_every_kind_but_contacted_can_be_told():
    told = {kind.value: KIND_NUMBER[kind.value] for kind in ReportedKind}
    assert told == {
        kind.name.lower(): int(kind) for kind in EventKind if kind is not EventKind.CONTACTED
    }


@pytest.mark.promise("events-commute")
def test_repeated_events_count_once(live, redis_client):
    assert live.tell(*EVENTS) == {"accepted": 7, "repeated": 0}
    first = state_of(live, redis_client)
    assert live.tell(*EVENTS, EVENTS[0]) == {"accepted": 0, "repeated": 8}
    assert same(state_of(live, redis_client), first)


def test_an_event_told_twice_in_one_body_counts_once(live):
    assert live.tell(EVENTS[0], EVENTS[1], EVENTS[0]) == {"accepted": 2, "repeated": 1}


@pytest.mark.promise("events-commute")
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(order=st.permutations(range(len(EVENTS))), cut=st.integers(1, len(EVENTS) - 1))
def test_the_order_of_events_does_not_matter(live, redis_client, order, cut):
    redis_client.flushall()
    live.tell(*EVENTS)
    straight = state_of(live, redis_client)
    redis_client.flushall()
    live.tell(*(EVENTS[k] for k in order[:cut]))
    live.tell(*(EVENTS[k] for k in order))
    assert same(state_of(live, redis_client), straight)


def test_the_ids_of_two_users_events_may_be_alike(live):
    assert live.tell(event(1), event(1, user="u2")) == {"accepted": 2, "repeated": 0}


@pytest.mark.promise("two-round-trips")
@ONE_SERVER
def test_a_thousand_events_of_many_users_take_two_round_trips(
    redis_server, redis_client, catalogue
):
    with running(redis_server.url, catalogue) as service:
        service.tell(event(0))
        events = [event(k, user=f"u{k % 250}", minute=k % 60) for k in range(1, 1001)]
        with redis.Redis.from_url(redis_server.url) as watcher, watcher.monitor() as monitor:
            assert service.tell(*events) == {"accepted": 1000, "repeated": 0}
            redis_client.ping()
            names = []
            for command in monitor.listen():
                name = command["command"].split(" ")[0]
                if name == "PING":
                    break
                if command["client_type"] != "lua":
                    names.append(name)
    assert names == ["GET"] * 250 + ["EVALSHA"] * 250


def test_a_thousand_events_of_one_user_are_kept(live, redis_client):
    events = [event(k) | {"time": f"2025-03-03T{k // 60:02}:{k % 60:02}:00Z"} for k in range(1000)]
    assert live.tell(*events) == {"accepted": 1000, "repeated": 0}


@pytest.mark.promise("events-acknowledged")
def test_events_racing_with_decisions_are_all_kept(live, redis_client):
    """Eight callers tell and ask of one user at once: every event counts."""
    results = []

    def tell(number):
        results.append(live.tell(event(number, minute=number)))
        live.offer(f"r{number}")

    threads = [threading.Thread(target=tell, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(result["accepted"] for result in results) == 8
    seen = state_of(live, redis_client).seen[0]
    assert np.count_nonzero(seen) == 8


def test_what_came_of_a_decision_is_told_with_it(live):
    decision = live.offer(scene="mall", attributes={"member_tier": "silver"})
    live.tell(
        event(1, "clicked", minute=2, decision_id=decision["decision_id"]),
        event(2, "bought", minute=1, amount_cents=990, decision_id=decision["decision_id"]),
        event(3, "viewed", minute=3),
    )
    answer = live.client.get(f"/v1/decisions/{decision['decision_id']}")
    assert answer.status_code == 200
    told = answer.json()
    assert told["decision"] == decision
    assert (told["scene"], told["time"], told["time_zone"]) == ("mall", NOON, "UTC")
    assert [linked["kind"] for linked in told["events"]] == ["bought", "clicked"]
    assert told["events"][0]["amount_cents"] == 990
    assert told["why"]["observation"]["attribute=member_tier:silver"] == 1.0
    assert told["why"]["probabilities"][decision["action"]] == pytest.approx(decision["propensity"])
    by_rule = [rule for rules in told["why"]["refusals"].values() for rule in rules]
    assert {rule: by_rule.count(rule) for rule in by_rule} == decision["refused"]
