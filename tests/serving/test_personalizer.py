"""The door for callers of Azure Personalizer, with their public SDK and without."""

import json
import math

import numpy as np
import pytest
import redis
from azure.cognitiveservices.personalizer import PersonalizerClient
from azure.cognitiveservices.personalizer.models import (
    ErrorResponseException,
    RankableAction,
    RankRequest,
)
from msrest.authentication import CognitiveServicesCredentials
from msrest.exceptions import HttpOperationError

from serving.personalizer.ranking import ranked_at_random
from serving.policies.decide import spoken
from serving.security import Naming, Role, entry_of
from serving.store.redis_server import RedisServer
from tests.serving.live import running

ONE = "/personalizer/v1.0"
MANY = "/personalizer/v1.1-preview.1/multislot"
KEY = "the key of an app, long enough"
ARTICLES = ["news", "sports", "weather", "culture"]
OFFERS = ["off5/email", "off10/email", "gift/email"]


@pytest.fixture(scope="module")
def service(bundled_redis, catalogue):
    with running(bundled_redis.url, catalogue, redis_timeout_ms=5_000) as one:
        yield one


@pytest.fixture
def door(service):
    """The service, to which nothing has happened yet."""
    with redis.Redis.from_url(service.service.settings.redis_url) as client:
        client.flushall()
    return service


def sdk(service, key="any"):
    return PersonalizerClient(service.url, CognitiveServicesCredentials(key))


def actions(names):
    return [RankableAction(id=name, features=[{"kind": "x"}]) for name in names]


def rank(service, names, event=None, context=(), status=201, **more):
    body = {"actions": [{"id": name, "features": []} for name in names]}
    body |= {"contextFeatures": list(context), "eventId": event} | more
    answer = service.client.post(f"{ONE}/rank", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def post(service, path, body=None):
    return service.client.post(path, json=body) if body else service.client.post(path)


def journal(service):
    """The events of the door that the journal was told, in order."""
    found = []
    with redis.Redis.from_url(service.service.settings.redis_url) as client:
        for stream in service.service.store.space.streams():
            entries = client.xrange(stream)
            found += [(name, json.loads(each[b"p"])) for name, each in entries if b"p" in each]
    return [told for _, told in sorted(found, key=lambda entry: entry[0])]


def decisions(service):
    with redis.Redis.from_url(service.service.settings.redis_url) as client:
        return len(list(client.scan_iter("sl:*:d:*")))


@pytest.mark.promise("personalizer")
def test_the_public_sdk_ranks_rewards_and_activates(door):
    client = sdk(door)
    asked = RankRequest(
        actions=actions(ARTICLES),
        context_features=[{"timeOfDay": "morning"}],
        excluded_actions=["sports"],
        event_id="visit 1/a",
        defer_activation=True,
    )
    answer = client.rank(asked)
    assert answer.event_id == "visit 1/a"
    assert answer.reward_action_id == answer.ranking[0].id != "sports"
    assert sorted(each.id for each in answer.ranking) == sorted(ARTICLES)
    assert math.isclose(sum(each.probability for each in answer.ranking), 1)
    assert client.events.reward("visit 1/a", 0.5) is None
    assert client.events.activate("visit 1/a") is None
    assert client.events.activate("visit 1/a") is None
    ranked, rewarded, activated = journal(door)
    assert (ranked["what"], ranked["slots"][0]["chosen"]) == ("rank", answer.reward_action_id)
    assert math.isclose(ranked["slots"][0]["probability"], 1 / 3)
    assert ranked["context"] == [{"timeOfDay": "morning"}] and ranked["deferred"]
    assert (rewarded["what"], rewarded["value"]) == ("reward", 0.5)
    assert activated["what"] == "activation"
    assert len({told["event_id"] for told in journal(door)}) == 1


def test_the_sdk_is_told_of_mistakes_in_the_shape_that_it_knows(door):
    with pytest.raises(ErrorResponseException) as caught:
        sdk(door).rank(RankRequest(actions=actions(["a", "a"])))
    assert caught.value.error.error.code == "BadRequest"
    with pytest.raises(HttpOperationError) as unknown:
        sdk(door).events.reward("never ranked", 1.0)
    assert unknown.value.response.status_code == 404


def test_the_subscription_key_is_an_api_key_of_an_app(bundled_redis, catalogue):
    with running(bundled_redis.url, catalogue, api_keys=entry_of(Role.APP, KEY)) as service:
        assert sdk(service, KEY).rank(RankRequest(actions=actions(ARTICLES))).event_id
        with pytest.raises(ErrorResponseException) as caught:
            sdk(service, "key-of-nobody").rank(RankRequest(actions=actions(ARTICLES)))
    assert (caught.value.response.status_code, caught.value.error.error.code) == (401, "401")


def test_the_same_event_gets_the_same_answer(door):
    first = rank(door, ARTICLES, "e1")
    assert rank(door, [*ARTICLES, "more"], "e1") == first
    assert rank(door, ARTICLES)["eventId"] != rank(door, ARTICLES)["eventId"]
    assert len([told for told in journal(door) if told["event_id"]]) == 3


def test_unknown_actions_are_drawn_as_often_as_the_probabilities_say():
    """3,000 draws of 3: a fair draw fails once in a million (chi-squared 27.6, 2 degrees)."""
    naming = Naming(b"a secret of the tests only")
    rankings = [
        ranked_at_random(ARTICLES, ["news"], naming.uniform(f"event {number}"))
        for number in range(3_000)
    ]
    assert {ranking.probabilities for ranking in rankings} == {(1 / 3, 1 / 3, 1 / 3, 0.0)}
    counts = [sum(ranking.chosen == name for ranking in rankings) for name in ARTICLES]
    assert counts[0] == 0
    assert sum((count - 1_000) ** 2 / 1_000 for count in counts[1:]) < 27.6


def test_a_policy_that_must_speak_keeps_its_chances_among_what_is_left():
    rows = np.array([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, 0.3, 0.2]])
    mask = np.array([[1, 1, 1], [1, 1, 1], [1, 0, 0], [1, 1, 1]], bool)
    speaks = np.array([True, True, True, False])
    found = spoken(rows, mask, speaks)
    expected = [[0, 0.6, 0.4], [0, 0.5, 0.5], [1, 0, 0], [0.5, 0.3, 0.2]]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_known_actions_are_ranked_by_what_serves_within_the_rules(bundled_redis, catalogue):
    policy = "constant:off10/email"
    with running(bundled_redis.url, catalogue, policy, redis_timeout_ms=5_000) as service:
        answer = rank(service, OFFERS, context=[{"scene": "mall"}])
        assert (answer["rewardActionId"], answer["ranking"][0]["probability"]) == ("off10/email", 1)
        by_offer = rank(service, ["gift", "off10", "silence"])
        assert by_offer["rewardActionId"] == "off10"
        # The policy would be silent: silence is not among the names, so all are equally likely.
        forced = rank(service, ["gift/email", "off5/email", "unheard of"])
        chances = {each["id"]: each["probability"] for each in forced["ranking"]}
        assert chances == {"gift/email": 0.5, "off5/email": 0.5, "unheard of": 0.0}
        assert rank(service, ["gift/email", "silence"])["rewardActionId"] == "silence"


@pytest.mark.promise("personalizer")
def test_a_rank_of_known_actions_is_a_contact_that_the_caps_count(door):
    """Two contacts a day at most: two events of the user count, the third has nothing left."""
    context = [{"user": {"user_id": "u1"}}, {"scene": "commute"}]
    for event in ("e1", "e1", "e2"):
        rank(door, OFFERS, event, context)
    refused = rank(door, OFFERS, "e3", context, status=409)
    assert refused["error"]["code"] == "OperationNotAllowed"
    assert rank(door, [*OFFERS, "silence"], "e4", context)["rewardActionId"] == "silence"
    assert door.offer("r1", "u1", now=None)["refused"]["cap:two_a_day"] > 0
    assert rank(door, OFFERS, "e5", [{"user_id": "u2"}])  # somebody else is not concerned


def test_a_deferred_rank_counts_once_it_is_activated(door):
    context = [{"user_id": "u1", "scene": "commute"}]
    for event in ("e1", "e2", "e3"):
        rank(door, OFFERS, event, context, deferActivation=True)
    assert post(door, f"{ONE}/events/e1/reward", {"value": 1}).status_code == 204
    for _ in range(2):
        assert post(door, f"{ONE}/events/e1/activate").status_code == 204
    assert post(door, f"{ONE}/events/e2/activate").status_code == 204
    late = post(door, f"{ONE}/events/e3/activate")  # two a day are shown already
    assert (late.status_code, late.json()["error"]["code"]) == (409, "OperationNotAllowed")


def test_the_first_reward_of_an_event_counts(door):
    rank(door, ARTICLES, "e1")
    for value in (1.0, -1.0):
        assert post(door, f"{ONE}/events/e1/reward", {"value": value}).status_code == 204
    assert [told["value"] for told in journal(door) if told["what"] == "reward"] == [1.0]


def test_several_places_get_different_actions_and_rewards_of_their_own(door):
    slots = [
        {"id": "hero", "features": [{"size": 1}], "baselineAction": "news"},
        {"id": "side", "baselineAction": "sports", "excludedActions": ["news"]},
        {"id": "foot", "baselineAction": "weather", "excludedActions": ARTICLES},
    ]
    body = {"eventId": "m1", "slots": slots, "actions": [{"id": n} for n in ARTICLES]}
    answer = post(door, f"{MANY}/rank", body)
    assert answer.status_code == 201
    shown = {slot["id"]: slot["rewardActionId"] for slot in answer.json()["slots"]}
    assert list(shown) == ["hero", "side", "foot"] and answer.json()["eventId"] == "m1"
    assert shown["hero"] != shown["side"] != "news" and shown["foot"] is None
    assert post(door, f"{MANY}/rank", body).json() == answer.json()
    good = {"reward": [{"slotId": "side", "value": 0.5}]}
    assert post(door, f"{MANY}/events/m1/reward", good).status_code == 204
    bad = {"reward": [{"slotId": "attic", "value": 0.5}]}
    assert post(door, f"{MANY}/events/m1/reward", bad).status_code == 400
    assert post(door, f"{MANY}/events/m1/activate").status_code == 204
    assert post(door, f"{ONE}/events/m1/activate").status_code == 404  # another kind of event
    assert [told["what"] for told in journal(door)] == ["rank", "reward", "activation"]


def test_places_with_known_actions_are_decisions_that_the_caps_count(door):
    slots = [{"id": f"s{n}", "baselineAction": OFFERS[0]} for n in range(3)]
    body = {"slots": slots, "actions": [{"id": name} for name in OFFERS]}
    body |= {"contextFeatures": [{"user_id": "u1", "scene": "commute"}]}
    shown = [s["rewardActionId"] for s in post(door, f"{MANY}/rank", body).json()["slots"]]
    assert shown[2] is None and len({*shown[:2]}) == 2 and set(shown[:2]) <= set(OFFERS)
    assert decisions(door) == 3


def test_neither_user_nor_event_is_kept_by_name_and_both_can_be_erased(door):
    rank(door, OFFERS, "secret-event", [{"who": {"user_id": "secret-user", "member_tier": "gold"}}])
    rank(door, ARTICLES, "secret-event 2", [{"user_id": "secret-user"}])
    with redis.Redis.from_url(door.service.settings.redis_url) as client:
        kept = {key: client.dump(key) for key in client.scan_iter("*")}
        told = json.dumps(journal(door))
        assert "secret-user" not in told and "gold" in told
        assert not [key for key, value in kept.items() if b"secret-user" in key + value]
        assert len(list(client.scan_iter("sl:*:o:*"))) == 4  # two events and their pointers


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"actions": []}, "actions"),
        ({"actions": [{"id": "a"}], "excludedActions": ["a"]}, "excluded"),
        ({"actions": [{"id": ""}]}, "id"),
        ({"actions": [{"id": str(n)} for n in range(51)]}, "actions"),
        ({"actions": [{"id": "a"}], "eventId": "e" * 257}, "eventId"),
        ({"eventId": "e"}, "actions"),
    ],
)
def test_what_cannot_be_ranked_is_a_bad_request(door, body, message):
    answer = post(door, f"{ONE}/rank", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadRequest")
    assert message in answer.json()["error"]["message"]


@pytest.mark.parametrize("value", [1.5, "much", None])
def test_a_reward_is_a_number_from_minus_one_to_one(door, value):
    rank(door, ARTICLES, "e1")
    assert post(door, f"{ONE}/events/e1/reward", {"value": value}).status_code == 400


def test_features_that_are_no_json_are_refused(door):
    body = b'{"actions": [{"id": "a", "features": [{"x": NaN}]}]}'
    headers = {"content-type": "application/json"}
    answer = door.client.post(f"{ONE}/rank", content=body, headers=headers)
    assert answer.status_code == 400


@pytest.mark.promise("personalizer")
def test_without_redis_nothing_is_ranked_or_acknowledged(tmp_path, catalogue):
    with RedisServer.start(tmp_path) as server, running(server.url, catalogue) as service:
        rank(service, ARTICLES, "e1")
        server.stop()
        for names in (ARTICLES, OFFERS):
            assert rank(service, names, "e2", status=503)["error"]["code"] == "InternalServerError"
        assert post(service, f"{ONE}/events/e1/reward", {"value": 1}).status_code == 503
        assert post(service, f"{ONE}/events/e1/activate").status_code == 503
