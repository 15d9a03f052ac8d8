"""How often callers may call."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from serving.access import limits
from serving.access.admission import GUESSES_AT_ONCE, Limits, charge
from serving.access.limits import Limit
from serving.security import Role, entry_of
from tests.serving.live import NOON, running

OFFER = {"request_id": "r1", "user_id": "u1", "scene": "commute", "now": NOON}


@dataclass
class Clock:
    """Seconds that go on when the test says so."""

    now: float = 1e6

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def taken(limit, caller, most=1_000):
    """How many calls in a row are let in."""
    return next((count for count in range(most) if limit.take(caller) > 0), most)


def test_a_second_after_a_pause_lets_in_as_many_as_the_rate(clock):
    limit = Limit(5, clock=clock)
    assert taken(limit, "a") == 5
    assert taken(limit, "b") == 5, "each caller has a bucket of its own"
    clock.now += 0.2
    assert taken(limit, "a") == 1
    clock.now += 1_000
    assert taken(limit, "a") == 5


def test_who_is_refused_is_told_when_to_come_again_and_then_let_in(clock):
    limit = Limit(4, clock=clock)
    assert taken(limit, "a") == 4
    wait_s = limit.take("a")
    assert wait_s == pytest.approx(0.25)
    assert limit.take("a") == wait_s, "to be refused costs nothing"
    clock.now += wait_s
    assert limit.take("a") == 0.0


def test_no_rate_is_no_limit(clock):
    limit = Limit(0, clock=clock)
    limit.charge("a", 10**9)
    assert taken(limit, "a", 10_000) == 10_000
    assert not limit._full_at


def test_what_a_call_costs_beyond_one_is_waited_for_afterwards(clock):
    limit = Limit(5, clock=clock)
    assert limit.take("a") == 0.0
    limit.charge("a", 9)  # ten in all, of a bucket of five
    clock.now += 0.99
    assert limit.take("a") > 0
    clock.now += 0.21
    assert limit.take("a") == 0.0


@given(
    rate=st.floats(0.1, 1_000),
    pauses=st.lists(st.floats(0, 3) | st.just(0.0), min_size=1, max_size=60),
)
def test_over_any_stretch_of_time_no_more_is_let_in_than_the_rate_and_one_burst(rate, pauses):
    clock = Clock()
    limit, moments = Limit(rate, clock=clock), []
    for pause in pauses:
        clock.now += pause
        if limit.take("a") == 0.0:
            moments.append(clock.now)
    for first, start in enumerate(moments):
        for last in range(first, len(moments)):
            allowed = max(rate, 1) + rate * (moments[last] - start)
            assert last - first + 1 <= allowed + 1e-4 * rate + 1e-6


def test_strangers_without_number_do_not_fill_the_memory(clock, monkeypatch):
    monkeypatch.setattr(limits, "MOST_CALLERS", 100)
    limit = Limit(10, clock=clock)
    assert taken(limit, "early") == 10
    for number in range(1_000):
        limit.take(f"stranger {number}")
    assert len(limit._full_at) <= 101
    assert limit.take("one more") > 0, "those beyond the number share one bucket"
    assert limit.take("early") > 0, "who was there first keeps their own"
    clock.now += 2
    assert taken(limit, "one more") == 10, "full buckets were forgotten"
    assert len(limit._full_at) == 1


@pytest.fixture(scope="module")
def guarded(bundled_redis, catalogue):
    keys = f"{entry_of(Role.APP, 'one')},{entry_of(Role.APP, 'two')}"
    with running(bundled_redis.url, catalogue, api_keys=keys, rate_limit=3) as service:
        yield service


@pytest.fixture
def halted(guarded):
    """Clocks of the limits that stand still."""
    clock, known, unknown = Clock(), guarded.service.limits.known, guarded.service.limits.unknown
    guarded.service.limits.known = Limit(known.rate, clock=clock)
    guarded.service.limits.unknown = Limit(unknown.rate, GUESSES_AT_ONCE, clock=clock)
    yield clock
    guarded.service.limits.known, guarded.service.limits.unknown = known, unknown


def status_of(guarded, key):
    return guarded.client.post("/v1/offers", json=OFFER, headers={"x-api-key": key})


@pytest.mark.promise("rate-limit")
def test_a_key_that_calls_too_often_is_told_when_to_call_again(guarded, halted):
    assert [status_of(guarded, "one").status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = status_of(guarded, "one")
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["error"]["code"] == "rate_limited"
    assert status_of(guarded, "two").status_code == 200, "another key has calls of its own"
    assert guarded.client.get("/healthz").status_code == 200, "probes are not counted"
    halted.now += 1
    assert status_of(guarded, "one").status_code == 200


@pytest.mark.promise("keys-hashed")
def test_guessing_keys_is_slow_and_harms_nobody_who_has_one(guarded, halted):
    answers = [status_of(guarded, f"guess {number}").status_code for number in range(102)]
    assert answers == [401] * 100 + [429] * 2
    assert guarded.client.get("/metrics").status_code == 429, "no key at all is a guess too"
    assert status_of(guarded, "one").status_code == 200
    halted.now += 0.1
    assert status_of(guarded, "guess").status_code == 401


@pytest.mark.parametrize(("rows", "calls"), [(1, 1), (100, 1), (101, 2), (1_000, 10)])
def test_a_batch_counts_once_for_each_started_hundred(rows, calls, clock):
    limits_of_all = Limits(20)
    limits_of_all.known = Limit(20, clock=clock)
    request = Request({"type": "http", "state": {"caller": "shop"}})
    assert limits_of_all.known.take("shop") == 0.0
    charge(request, limits_of_all, rows)
    assert taken(limits_of_all.known, "shop") == 20 - calls


@pytest.mark.parametrize("path", ["/v1/offers:batch", "/v1/events"])
def test_a_large_body_is_let_in_and_waited_for_afterwards(guarded, halted, path):
    users = [f"u{number}" for number in range(350)]
    told = {"kind": "viewed", "time": NOON}
    offers = [OFFER | {"request_id": "b", "user_id": user} for user in users]
    events = [told | {"event_id": user, "user_id": user} for user in users]
    body = {"offers": offers} if path.endswith("batch") else {"events": events}
    key = {"x-api-key": "one"}
    assert guarded.client.post(path, json=body, headers=key).status_code == 200
    refused = status_of(guarded, "one")  # four calls of three: one is owed, one wanted
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    halted.now += 0.66
    assert status_of(guarded, "one").status_code == 429
    halted.now += 0.01
    assert status_of(guarded, "one").status_code == 200
