"""The typed client against a service that runs, is down, comes back, is slow or says no."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest

from serving.client.calls import Later, understood
from serving.client.sync import (
    Ask,
    AsyncClient,
    Client,
    Happening,
    NotKept,
    Refused,
    Unreachable,
)
from tests.serving.live import running
from tests.serving.trouble import says, scripted, wire

NOON = datetime(2025, 3, 3, 12, tzinfo=UTC)
BOUGHT = Happening("u1", "bought", NOON, "e1", amount_cents=2_000)
LONG_S = 20.0
"""More than anything takes: what ends a test is never this."""


@pytest.fixture(scope="module")
def service(bundled_redis, catalogue):
    with running(bundled_redis.url, catalogue, redis_timeout_ms=5_000) as live:
        yield live


@pytest.fixture
def client(service):
    with Client(service.url, timeout_s=LONG_S, patience_s=LONG_S) as one:
        yield one


def awaited(url: str, call: Callable, **options):
    """What a call of the asynchronous client gives."""

    async def scene():
        async with AsyncClient(url, **options) as client:
            return await call(client)

    return asyncio.run(scene())


def test_an_offer_is_a_decision_with_types(client):
    decision = client.offer("typed", "commute", now=NOON, attributes={"member_tier": "gold"})
    assert decision.decision_id and not decision.degraded and decision.why == ""
    assert decision.silent == (decision.action == "silence") == (decision.content is None)
    assert 0 < decision.propensity <= 1
    if decision.expires_at:
        assert decision.expires_at.tzinfo is not None


def test_each_question_has_a_name_of_its_own_and_the_same_name_gets_the_same_decision(client):
    first, second = client.offer("u1", "mall"), client.offer("u1", "mall")
    assert first.request_id != second.request_id
    assert first.decision_id != second.decision_id
    assert client.offer("u1", "mall", first.request_id) == first


def test_what_is_excluded_is_not_offered(client, catalogue):
    offers = [offer.name for offer in catalogue.offers]
    assert client.offer("u2", "commute", now=NOON, exclude_offers=offers).silent


def test_events_are_told_once_and_a_decision_can_be_looked_up(client):
    decision = client.offer("u3", "commute", now=NOON)
    clicked = Happening("u3", "clicked", NOON, decision_id=decision.decision_id)
    assert client.tell([clicked]).accepted == 1
    assert client.tell([clicked]).repeated == 1
    found = client.decision(decision.decision_id)
    assert found.decision.decision_id == decision.decision_id
    assert (found.scene, found.time) == ("commute", NOON)
    assert [event["kind"] for event in found.events] == ["clicked"]


def test_many_questions_are_asked_at_once_and_answered_in_order(service, client):
    asks = [Ask(f"batch {number}", "commute", now=NOON) for number in range(5)]
    decisions = client.offers(asks)
    assert [one.request_id for one in decisions] == [ask.request_id for ask in asks]
    assert not any(one.degraded for one in decisions)
    assert client.answer(asks[3]) == decisions[3]
    assert awaited(service.url, lambda c: c.offers(asks), patience_s=LONG_S) == decisions
    assert client.offers([]) == []


def test_a_deferred_decision_is_activated_once_and_another_one_cannot_be(client):
    deferred = client.offer("u7", "commute", defer=True)
    assert deferred.deferred and client.decision(deferred.decision_id).state == "deferred"
    for _ in range(2):
        client.activate(deferred.decision_id)
    assert client.decision(deferred.decision_id).state == "activated"
    with pytest.raises(Refused) as caught:
        client.activate(client.offer("u8", "commute").decision_id)
    assert (caught.value.status, caught.value.code) == (409, "not_deferred")


def test_a_place_is_told_in_degrees(client):
    with pytest.raises(Refused) as caught:
        client.offer("u9", "commute", location=(91.0, 13.4))
    assert caught.value.field == "location.latitude"
    assert not client.offer("u9", "commute", location=(52, 13.4)).degraded


def test_the_asynchronous_client_gives_the_same(service, client):
    decision = client.offer("u4", "commute", "r1", now=NOON)
    again = awaited(service.url, lambda c: c.offer("u4", "commute", "r1"), timeout_s=LONG_S)
    assert again == decision


@pytest.mark.parametrize(
    ("mistake", "code", "field"),
    [
        (lambda c: c.offer("u1", "moon"), "unknown_scene", "scene"),
        (lambda c: c.offer("u1"), "missing_field", "scene"),
        (lambda c: c.offer("u1", signals={"motion": "still"}), "no_scene_reader", "signals"),
        (
            lambda c: c.offer("u1", "mall", exclude_offers=["x"]),
            "unknown_offer",
            "exclude_offers.0",
        ),
        (lambda c: c.tell([Happening("u1", "bought", NOON)]), "missing_field", None),
        (lambda c: c.decision("nothing"), "unknown_decision", "decision_id"),
    ],
)
def test_a_mistake_is_refused_with_its_code_and_field(client, service, mistake, code, field):
    with pytest.raises(Refused) as caught:
        mistake(client)
    assert caught.value.code == code and 400 <= caught.value.status < 500
    assert field is None or caught.value.field == field
    with pytest.raises(Refused, match=code):
        awaited(service.url, mistake)


def test_a_time_without_a_zone_and_a_url_of_no_service_are_refused_at_once(client):
    with pytest.raises(ValueError, match="time zone"):
        client.offer("u1", "mall", now=datetime(2025, 3, 3))
    with pytest.raises(ValueError, match="address"):
        Client("service:8000")


@pytest.mark.promise("client-outage")
def test_a_service_that_is_down_means_silence_for_offers_and_an_error_for_events():
    with scripted() as url:
        pass
    with Client(url, timeout_s=0.1, patience_s=0.1) as client:
        decision = client.offer("u1", "mall", "r1")
        assert (decision.silent, decision.degraded) == (True, True)
        assert decision.request_id == "r1" and "no answer" in decision.why
        answers = client.offers([Ask("u1", "mall", "a"), Ask("u2", "mall", "b")])
        assert [(one.request_id, one.degraded) for one in answers] == [("a", True), ("b", True)]
        with pytest.raises(NotKept) as caught:
            client.tell([BOUGHT])
        assert caught.value.events == (BOUGHT,)
        with pytest.raises(Unreachable):
            client.activate("d")
        with pytest.raises(Unreachable):
            client.decision("d")
    assert awaited(url, lambda c: c.offer("u1", "mall"), timeout_s=0.1).degraded
    with pytest.raises(NotKept):
        awaited(url, lambda c: c.tell([BOUGHT]), patience_s=0.1)


@pytest.mark.promise("client-retries")
def test_dropped_connections_are_tried_again_until_the_service_answers(service):
    with wire(service.url) as proxy:
        with Client(proxy.url, timeout_s=LONG_S, patience_s=LONG_S) as client:
            proxy.drops = 3
            assert not client.offer("u5", "commute", now=NOON).degraded
            assert proxy.seen == 4
        proxy.drops = 2
        told = awaited(proxy.url, lambda c: c.tell([Happening("u5", "viewed", NOON)]))
        assert told.accepted == 1


@pytest.mark.promise("client-retries")
def test_a_lost_answer_is_asked_for_again_and_counts_once(service, client):
    with wire(service.url) as proxy, Client(proxy.url, timeout_s=LONG_S) as through:
        proxy.drop_answers = 1
        decision = through.offer("u6", "commute", "lost", now=NOON)
        assert not decision.degraded and proxy.seen == 2
        assert client.offer("u6", "commute", "lost") == decision
        proxy.drop_answers = 1
        told = through.tell([Happening("u6", "bought", NOON, "once", amount_cents=1)])
        assert (told.accepted, told.repeated) == (0, 1)  # the first try was kept


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_service_is_tried_again(status):
    good = b'{"accepted": 1, "repeated": 0}'
    with scripted(says(status), says(200, good)) as url, Client(url) as client:
        assert client.tell([BOUGHT]).accepted == 1


@pytest.mark.slow
def test_the_service_says_how_long_to_wait_but_not_beyond_the_time_in_all():
    good = b'{"accepted": 1, "repeated": 0}'
    with scripted(says(503, b"{}", "retry-after: 1"), says(200, good)) as url:
        start = time.monotonic()
        with Client(url, patience_s=LONG_S) as client:
            assert client.tell([BOUGHT]).accepted == 1
        assert time.monotonic() - start >= 1
    with (
        scripted(says(429, b"{}", "retry-after: 3600"), says(200, good)) as url,
        Client(url, patience_s=LONG_S) as client,
        pytest.raises(NotKept, match="429"),
    ):
        client.tell([BOUGHT])  # at once: waiting is hopeless


@pytest.mark.promise("client-outage")
def test_a_service_that_never_answers_or_trickles_is_left_in_time():
    def trickle(caller):
        caller.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        for _ in range(2_000):
            caller.sendall(b" ")
            time.sleep(0.01)

    for answer in (lambda caller: caller.recv(1), trickle):
        with scripted(answer, answer) as url:
            with Client(url, timeout_s=0.1) as client:
                assert client.offer("u1", "mall").degraded
            assert awaited(url, lambda c: c.offer("u1", "mall"), timeout_s=0.1).degraded


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"decision_id": 1}'])
def test_what_is_no_decision_is_not_taken_for_one(body):
    with scripted(says(200, body)) as url, Client(url) as client:
        assert client.offer("u1", "mall").degraded


def test_an_unexpected_error_is_not_repeated_and_is_silence():
    with scripted(says(500)) as url, Client(url, timeout_s=LONG_S) as client:
        assert client.offer("u1", "mall").why == "the service answered 500"


def test_a_stranger_on_the_way_who_refuses_is_told_by_his_status():
    with pytest.raises(Refused) as caught:
        understood(407, httpx.Headers(), b"<html>")
    assert (caught.value.status, caught.value.code) == (407, "http_407")
    with pytest.raises(Later):
        understood(503, httpx.Headers({"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}), b"")


def test_events_beyond_a_call_are_told_in_parts_and_the_rest_is_handed_back():
    good = b'{"accepted": 1000, "repeated": 0}'
    events = [Happening("u1", "viewed", NOON, f"e{n}") for n in range(2_500)]
    with (
        scripted(says(200, good), says(500)) as url,
        Client(url) as client,
        pytest.raises(NotKept) as caught,
    ):
        client.tell(events)
    assert caught.value.events == tuple(events[1_000:])
