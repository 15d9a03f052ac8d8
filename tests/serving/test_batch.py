"""Many offers in one call: as if they had been asked for one after another."""

import math
from collections import Counter

import numpy as np
import pytest

from envs.rules import reserve_cents
from serving.store.records import DecisionRecord
from tests.serving.live import NOON, running


def request(number, user=None, **more):
    body = {"request_id": f"r{number}", "user_id": user or f"u{number}", "scene": "commute"}
    return body | {"now": NOON} | more


def ask(service, bodies):
    answer = service.client.post("/v1/offers:batch", json={"offers": bodies})
    assert answer.status_code == 200, answer.text
    return answer.json()["decisions"]


@pytest.mark.promise("same-in-a-batch")
def test_a_batch_answers_as_single_requests_do(live, redis_client):
    bodies = [
        request(number, time_zone="Asia/Tokyo" if number % 3 else None) for number in range(60)
    ]
    bodies = [{name: value for name, value in body.items() if value} for body in bodies]
    together = ask(live, bodies)
    redis_client.flushall()
    assert together == [live.client.post("/v1/offers", json=body).json() for body in bodies]


@pytest.mark.promise("same-in-a-batch")
def test_the_same_user_is_decided_for_in_turn(live, redis_client, catalogue):
    """Two a day: the cap sees the decisions before it in the same batch."""
    bodies = [request(number, "u1") for number in range(12)]
    together = ask(live, bodies)
    assert sum(answer["action"] != "silence" for answer in together) == 2
    assert "cap:two_a_day" in together[-1]["refused"]
    redis_client.flushall()
    assert together == [live.client.post("/v1/offers", json=body).json() for body in bodies]


@pytest.mark.promise("same-request")
def test_a_repeated_request_of_a_batch_gets_one_answer(live):
    first = ask(live, [request(1), request(2)])
    again = ask(live, [request(2), request(1), request(1)])
    assert again == [first[1], first[0], first[0]]
    twins = ask(live, [request(7), request(7)])
    assert twins[0] == twins[1]


def test_one_wrong_request_is_named_and_none_is_decided(live, redis_client):
    bodies = [request(1), request(2, scene="nowhere"), request(3)]
    answer = live.client.post("/v1/offers:batch", json={"offers": bodies})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "offers.1.scene")
    assert not list(redis_client.scan_iter("sl:*:d:*"))


@pytest.mark.parametrize("count", [0, 1_001])
def test_a_batch_has_one_to_a_thousand_requests(live, count):
    answer = live.client.post("/v1/offers:batch", json={"offers": [request(1)] * count})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "offers")


def records(redis_client):
    found = []
    for stream in redis_client.scan_iter("sl:*:j"):
        for _, entry in redis_client.xrange(stream):
            if b"d" in entry:
                found.append(DecisionRecord.read(entry[b"d"]))
    return found


@pytest.mark.promise("budget-exact")
@pytest.mark.slow
def test_a_batch_spends_no_more_than_the_budget(redis_server, redis_client, catalogue):
    """Whoever comes when the money is short may have only what is still affordable."""
    settings = {"budget_cents": 2_000, "budget_plan": ",".join(["1", *["0"] * 23])}
    settings |= {"budget_period_s": 10**7, "redis_timeout_ms": 5_000}
    with running(redis_server.url, catalogue, **settings) as service:
        for start in range(0, 2_000, 100):
            answers = ask(service, [request(number) for number in range(start, start + 100)])
            assert not any(answer["degraded"] for answer in answers)
    found = records(redis_client)
    reserve = np.ceil(reserve_cents(catalogue)).astype(int)
    assert [record.reserved_cents for record in found] == [
        reserve[record.action] for record in found
    ]
    spent = Counter()
    for record in found:
        spent[record.period] += record.reserved_cents
        bits = np.unpackbits(np.frombuffer(record.mask, np.uint8), count=len(reserve))
        chances = np.frombuffer(record.probabilities, np.float64)
        assert bits[record.action]
        # Uniform over what was allowed then, the budget among the rules.
        assert math.isclose(record.propensity, 1 / bits.sum())
        assert math.isclose(chances[record.action], record.propensity)
    assert 0 < max(spent.values()) <= 2_000
