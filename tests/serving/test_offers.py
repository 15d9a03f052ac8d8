"""The call that decides, over real HTTP on a real Redis."""

import threading
from dataclasses import replace

import httpx
import numpy as np
import pytest
import redis

from envs.catalogue import parse_catalogue
from tests.serving.conftest import ONE_SERVER
from tests.serving.live import NOON, running


def test_a_minimal_request_is_answered(live):
    body = {"request_id": "r1", "user_id": "u1", "scene": "commute"}
    answer = live.client.post("/v1/offers", json=body)
    assert answer.status_code == 200
    decision = answer.json()
    for name in ("decision_id", "action", "offer", "channel", "propensity", "policy", "degraded"):
        assert name in decision
    assert decision["degraded"] is False
    assert 0 < decision["propensity"] <= 1


@pytest.mark.promise("same-request")
def test_the_same_request_gets_the_same_bytes_and_counts_once(live, redis_client):
    body = {"request_id": "r1", "user_id": "u1", "scene": "commute", "now": NOON}
    first = live.client.post("/v1/offers", json=body)
    before = redis_client.dbsize()
    again = live.client.post("/v1/offers", json=body | {"now": "2025-03-04T12:00:00Z"})
    assert again.content == first.content
    assert redis_client.dbsize() == before
    other = live.client.post("/v1/offers", json=body | {"user_id": "u2"})
    assert other.json()["decision_id"] != first.json()["decision_id"]


def test_silence_names_no_offer_and_no_channel(redis_server, redis_client, catalogue):
    with running(redis_server.url, catalogue, "silence") as service:
        answer = service.offer()
    assert answer["action"] == "silence"
    assert answer["propensity"] == 1.0
    empty = ("offer", "channel", "title", "content", "expires_at")
    assert [answer[name] for name in empty] == [None] * 5


def test_an_offer_says_what_to_show_and_until_when(redis_server, redis_client, catalogue):
    with running(redis_server.url, catalogue, "constant:off10/email") as service:
        answer = service.offer(now="2025-03-03T12:00:00Z")
    assert (answer["offer"], answer["channel"]) == ("off10", "email")
    assert answer["content"] == {"kind": "discount", "title": answer["title"], "discount": 0.1}
    assert answer["expires_at"] == "2025-03-10T12:00:00Z"


@pytest.mark.promise("two-round-trips")
@ONE_SERVER
def test_a_decision_takes_two_round_trips(redis_server, redis_client, catalogue):
    with running(redis_server.url, catalogue, redis_timeout_ms=5_000) as service:
        service.offer("warm up")
        with redis.Redis.from_url(redis_server.url) as watcher, watcher.monitor() as monitor:
            service.offer("measured")
            redis_client.ping()
            seen = []
            for command in monitor.listen():
                words = command["command"].split(" ")
                if words[0] == "PING":
                    break
                if command["client_type"] != "lua":
                    seen.append((words[0], command["client_port"]))
    # One script that reads, one that commits.
    assert [name for name, _ in seen] == ["EVALSHA", "EVALSHA"]
    assert len({port for _, port in seen}) == 1


def test_excluded_offers_and_channels_are_refused_by_name(live, catalogue):
    offers = [offer.name for offer in catalogue.offers if offer.name != "content"]
    answer = live.offer(exclude_offers=offers, exclude_channels=["push", "in_app"])
    excluded = sum(
        action.offer >= 0
        and (
            catalogue.offers[action.offer].name in offers
            or catalogue.channels[action.channel].name in ("push", "in_app")
        )
        for action in catalogue.actions
    )
    assert answer["refused"]["excluded"] == excluded
    assert answer["action"] == "silence" or answer["offer"] == "content"


def test_quiet_hours_follow_the_time_zone_that_the_user_told_before(
    redis_server, redis_client, catalogue
):
    with running(redis_server.url, catalogue, "constant:off10/push") as service:
        midday = service.offer("r1", time_zone="UTC")
        assert midday["channel"] == "push"
        service.offer("r2", "u2", time_zone="Asia/Tokyo", scene="mall")
        later = service.offer("r3", "u2", now="2025-03-05T14:00:00Z")  # 23:00 in Tokyo
        assert later["action"] == "silence"
        assert "quiet_hours" in later["refused"]


def test_a_user_who_opted_out_is_not_contacted_again(redis_server, redis_client, catalogue):
    with running(redis_server.url, catalogue, "constant:off10/push") as service:
        assert service.offer("r1")["channel"] == "push"
        told = {"event_id": "e1", "user_id": "u1", "kind": "opted_out", "channel": "push"}
        service.tell(told | {"time": "2025-03-03T12:01:00Z"})
        answer = service.offer("r2", now="2025-03-05T12:00:00Z")
    assert answer["action"] == "silence"
    assert answer["refused"]["no_consent"] > 0


@pytest.mark.promise("caps-exact")
def test_racing_requests_of_one_user_cannot_break_a_cap_of_one(
    redis_server, redis_client, catalogue
):
    """Each round, 12 requests of one user meet; a cap allows one contact in the window."""
    text = catalogue.text.replace("limit: 2, days: 1", "limit: 1, days: 1")
    strict = parse_catalogue(text)
    assert strict.caps[0].limit == 1
    with running(redis_server.url, strict, "constant:content/email", redis_timeout_ms=5_000) as one:
        for round_number in range(8):
            answers = together(
                one.url,
                [
                    {
                        "request_id": f"r{number}",
                        "user_id": f"round {round_number}",
                        "scene": "commute",
                        "now": NOON,
                    }
                    for number in range(12)
                ],
            )
            contacts = [answer for answer in answers if answer["action"] != "silence"]
            assert len(contacts) == 1, [answer["action"] for answer in answers]


def together(url, bodies):
    """The answers to requests that are sent at one moment, each on its own connection."""
    barrier, answers = threading.Barrier(len(bodies)), [None] * len(bodies)

    def send(number, body):
        with httpx.Client(base_url=url, timeout=30, verify=False) as client:
            client.get("/healthz")
            barrier.wait()
            answers[number] = client.post("/v1/offers", json=body).json()

    threads = [threading.Thread(target=send, args=item) for item in enumerate(bodies)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.promise("same-request")
def test_the_same_request_sent_at_once_is_decided_once(live, redis_client):
    body = {"request_id": "r1", "user_id": "u1", "scene": "commute", "now": NOON}
    answers = together(live.url, [body] * 10)
    assert all(answer == answers[0] for answer in answers)
    streams = [key for key in redis_client.scan_iter("sl:*:j")]
    assert sum(redis_client.xlen(stream) for stream in streams) == 1


class BrokenPolicy:
    """A policy whose model is of no use."""

    name = "broken"

    def __init__(self, answer):
        self._answer = answer

    def probabilities(self, observations, mask):
        return self._answer(mask)


def no_model(mask):
    raise RuntimeError("the model is gone")


@pytest.mark.promise("policy-fails")
@pytest.mark.parametrize(
    "answer",
    [
        no_model,
        lambda mask: np.full(mask.shape, np.nan),
        lambda mask: np.full(mask.shape, 1.0 / mask.shape[1]),  # does not look at the mask
        lambda mask: np.ones((1, 3)),
        lambda mask: mask * 0.5,
    ],
    ids=["raises", "not a number", "ignores the mask", "wrong shape", "wrong sum"],
)
def test_a_policy_that_fails_is_answered_with_silence(live, answer):
    live.service.serve_policy(BrokenPolicy(answer))
    decision = live.offer()
    assert (decision["action"], decision["degraded"]) == ("silence", True)
    assert live.offer() == decision


@pytest.mark.promise("nothing-personal")
def test_the_user_id_is_nowhere_in_redis(live, redis_client):
    live.offer(user_id="maria@example.org")
    told = {"event_id": "e1", "user_id": "maria@example.org", "kind": "viewed", "time": NOON}
    live.tell(told)
    for key in redis_client.scan_iter():
        assert b"maria" not in redis_client.dump(key) and b"maria" not in key


@pytest.mark.promise("true-propensity")
@pytest.mark.slow
def test_the_draw_follows_the_propensities(live):
    """Frequencies of 300 decisions of new users: chi-square below its 1e-6 quantile."""
    answers = [live.offer(user_id=f"u{number}") for number in range(300)]
    chances = {answer["propensity"] for answer in answers}
    assert len(chances) == 1  # uniform, and all of them know nothing
    cells = round(1 / chances.pop())
    counts = np.zeros(cells)
    for number, action in enumerate(sorted({answer["action"] for answer in answers})):
        counts[number] = sum(answer["action"] == action for answer in answers)
    expected = len(answers) / cells
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert statistic < 90  # chi-square with 24 degrees of freedom exceeds 90 with chance 2e-9


def test_another_secret_knows_nobody(redis_server, redis_client, catalogue):
    with running(redis_server.url, catalogue) as service:
        first = service.offer()["decision_id"]
        other = replace(service.service.settings, user_secret="another secret of the tests")
    with running(redis_server.url, catalogue, user_secret=other.user_secret) as service:
        assert service.offer()["decision_id"] != first
