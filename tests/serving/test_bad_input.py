"""Whatever a caller gets wrong is answered with 4xx, in one shape, and nothing is written."""

import json

import pytest
import redis

from tests.serving.live import NOON, Running, running

OFFER = {"request_id": "r1", "user_id": "u1", "scene": "commute"}
EVENT = {"event_id": "e1", "user_id": "u1", "kind": "viewed", "time": NOON}
LONG = "x" * 129


@pytest.fixture(scope="module")
def service(bundled_redis, catalogue):
    with redis.Redis.from_url(bundled_redis.url) as client:
        client.flushall()
        with running(bundled_redis.url, catalogue, max_body_bytes=200_000) as service:
            yield service
        assert client.dbsize() == 0, "something was written"


def refused(service: Running, path: str, body: bytes | str, status: int, code: str, field):
    """Send a body as JSON and see that it is refused in the agreed shape."""
    headers = {"content-type": "application/json"}
    answer = service.client.post(path, content=body, headers=headers)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(answer.json()) == {"error"} and set(error) == {"code", "message", "field"}
    assert (error["code"], error["field"]) == (code, field)
    assert len(error["message"]) < 500
    return error["message"]


WRONG_OFFERS = [
    ({"scene": "moon"}, "unknown_scene", "scene"),
    ({"colour": "red"}, "unknown_field", "colour"),
    ({"request_id": None}, "invalid_value", "request_id"),
    ({"request_id": ""}, "invalid_value", "request_id"),
    ({"request_id": LONG}, "invalid_value", "request_id"),
    ({"request_id": 7}, "invalid_value", "request_id"),
    ({"user_id": ""}, "invalid_value", "user_id"),
    ({"user_id": LONG}, "invalid_value", "user_id"),
    ({"user_id": ["u1"]}, "invalid_value", "user_id"),
    ({"scene": {}}, "invalid_value", "scene"),
    ({"time_zone": "Mars/Phobos"}, "unknown_time_zone", "time_zone"),
    ({"time_zone": "../../etc/passwd"}, "unknown_time_zone", "time_zone"),
    ({"now": "2025-03-03T12:00:00"}, "invalid_time", "now"),
    ({"now": "2025-03-03"}, "invalid_time", "now"),
    ({"now": "yesterday"}, "invalid_time", "now"),
    ({"now": "1969-12-31T23:59:59Z"}, "invalid_time", "now"),
    ({"now": "9999-12-31T23:59:59Z"}, "invalid_time", "now"),
    ({"now": "2049-12-31T23:59:59Z"}, "invalid_time", "now"),
    ({"now": "0001-01-01T00:00:00+14:00"}, "invalid_time", "now"),
    ({"now": 1740000000}, "invalid_value", "now"),
    ({"attributes": {"shoe_size": 44}}, "unknown_attribute", "attributes.shoe_size"),
    ({"attributes": {"member_tier": "iron"}}, "invalid_attribute", "attributes.member_tier"),
    ({"attributes": {"member_tier": 1}}, "invalid_attribute", "attributes.member_tier"),
    ({"attributes": {"past_spend_cents": -1}}, "invalid_attribute", "attributes.past_spend_cents"),
    (
        {"attributes": {"past_spend_cents": 10**400}},
        "invalid_attribute",
        "attributes.past_spend_cents",
    ),
    (
        {"attributes": {"past_spend_cents": "12"}},
        "invalid_attribute",
        "attributes.past_spend_cents",
    ),
    ({"attributes": [1]}, "invalid_value", "attributes"),
    ({"exclude_offers": ["off99"]}, "unknown_offer", "exclude_offers.0"),
    ({"exclude_channels": ["push", "pigeon"]}, "unknown_channel", "exclude_channels.1"),
]


@pytest.mark.parametrize(("change", "code", "field"), WRONG_OFFERS)
def test_a_wrong_request_for_an_offer_is_refused(service, change, code, field):
    refused(service, "/v1/offers", json.dumps(OFFER | change), 422, code, field)


@pytest.mark.parametrize("name", ["request_id", "user_id", "scene"])
def test_a_request_without_a_required_field_is_refused(service, name):
    body = {key: value for key, value in OFFER.items() if key != name}
    refused(service, "/v1/offers", json.dumps(body), 422, "missing_field", name)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(service, text):
    body = json.dumps(OFFER)[:-1] + f', "attributes": {{"past_spend_cents": {text}}}}}'
    answer = service.client.post(
        "/v1/offers", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code in (400, 422)
    assert set(answer.json()["error"]) == {"code", "message", "field"}


@pytest.mark.parametrize("path", ["/v1/offers", "/v1/events"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"hello",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"request_id": "r1",}',
        b'{"user_id": "\\ud800", "request_id": "r", "scene": "commute"}',
    ],
    ids=["empty", "cut", "text", "not UTF-8", "deep", "comma", "half a surrogate"],
)
def test_what_is_not_json_is_refused(service, path, body):
    refused(service, path, body, 400, "malformed_json", None)


@pytest.mark.parametrize("body", [b"[]", b"3", b'"text"', b"null"])
@pytest.mark.parametrize("path", ["/v1/offers", "/v1/events"])
def test_json_that_is_no_object_is_refused(service, path, body):
    refused(service, path, body, 422, "invalid_value", None)


WRONG_EVENTS = [
    ({"kind": "contacted"}, "invalid_value", "kind"),
    ({"kind": "VIEWED"}, "invalid_value", "kind"),
    ({"scene": "moon"}, "unknown_scene", "scene"),
    ({"channel": "pigeon"}, "unknown_channel", "channel"),
    ({"offer": "off99"}, "unknown_offer", "offer"),
    ({"time": "2025-03-03T12:00:00"}, "invalid_time", "time"),
    ({"time": "1999-12-31T23:59:59Z"}, "invalid_time", "time"),
    ({"time": "2049-12-31T23:59:59Z"}, "invalid_time", "time"),
    ({"time": None}, "invalid_value", "time"),
    ({"time_zone": "Mars/Phobos"}, "unknown_time_zone", "time_zone"),
    ({"event_id": ""}, "invalid_value", "event_id"),
    ({"event_id": LONG}, "invalid_value", "event_id"),
    ({"user_id": LONG}, "invalid_value", "user_id"),
    ({"colour": "red"}, "unknown_field", "colour"),
    ({"kind": "bought"}, "missing_field", "amount_cents"),
    ({"kind": "bought", "amount_cents": -1}, "invalid_value", "amount_cents"),
    ({"kind": "bought", "amount_cents": 10**9}, "invalid_value", "amount_cents"),
    ({"kind": "bought", "amount_cents": 1.5}, "invalid_value", "amount_cents"),
    ({"kind": "bought", "amount_cents": True}, "invalid_value", "amount_cents"),
    ({"discount": 1.0}, "invalid_value", "discount"),
    ({"discount": -0.1}, "invalid_value", "discount"),
    ({"kind": "described"}, "missing_field", "attributes"),
    (
        {"kind": "described", "attributes": {"member_tier": "iron"}},
        "invalid_attribute",
        "attributes.member_tier",
    ),
    ({"decision_id": f"{'0' * 32}-{'0' * 20}"}, "foreign_decision", "decision_id"),
    ({"decision_id": "nonsense"}, "foreign_decision", "decision_id"),
]


@pytest.mark.parametrize(("change", "code", "field"), WRONG_EVENTS)
def test_one_wrong_event_refuses_the_whole_body(service, change, code, field):
    events = [EVENT | {"event_id": "good"}, EVENT | change]
    body = json.dumps({"events": events})
    refused(service, "/v1/events", body, 422, code, f"events.1.{field}")


@pytest.mark.parametrize(
    "events", [[], [EVENT] * 1001, "many", None], ids=["none", "1,001", "text", "null"]
)
def test_a_wrong_number_of_events_is_refused(service, events):
    body = json.dumps({"events": events})
    refused(service, "/v1/events", body, 422, "invalid_value", "events")


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999"])
def test_an_event_with_a_number_that_is_none_is_refused(service, text):
    body = json.dumps({"events": [EVENT | {"discount": 0.5}]}).replace("0.5", text)
    refused(service, "/v1/events", body, 422, "invalid_value", "events.0.discount")


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", ""])
@pytest.mark.parametrize("path", ["/v1/offers", "/v1/events"])
def test_another_content_type_is_refused(service, path, media):
    content = json.dumps(OFFER).encode()
    answer = service.client.post(path, content=content, headers={"content-type": media})
    assert answer.status_code == 415
    assert answer.json()["error"]["code"] == "unsupported_media_type"


def test_a_body_that_is_too_large_is_refused_whether_or_not_it_says_so(service):
    large = b" " * 200_001
    refused(service, "/v1/offers", large, 413, "body_too_large", None)
    headers = {"content-type": "application/json"}
    chunks = (large[start : start + 50_000] for start in range(0, len(large), 50_000))
    answer = service.client.post("/v1/events", content=chunks, headers=headers)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/offers", 405, "method_not_allowed"),
        ("GET", "/v2/offers", 404, "not_found"),
        ("GET", "/v1/decisions/nonsense", 404, "unknown_decision"),
        ("GET", f"/v1/decisions/{'0' * 32}-{'0' * 20}", 404, "unknown_decision"),
    ],
)
def test_what_is_not_there_is_said_in_the_same_shape(service, method, path, status, code):
    answer = service.client.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code


def test_a_content_type_may_name_its_character_set(service):
    headers = {"content-type": "application/json; charset=utf-8"}
    wrong = json.dumps(OFFER | {"scene": "moon"})
    answer = service.client.post("/v1/offers", content=wrong, headers=headers)
    assert answer.json()["error"]["code"] == "unknown_scene"


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/policies/a", "DELETE, PUT"),
        ("/v1/users/u", "DELETE, GET"),
        ("/v1/offers", "POST"),
        ("/v1/decisions/d:activate", "POST"),
    ],
)
def test_a_method_that_a_path_does_not_have_is_refused_with_those_it_has(live, path, methods):
    answer = live.client.options(path)
    assert (answer.status_code, answer.headers["allow"]) == (405, methods)
    assert answer.json()["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize("source", ["a" * 300, "a\u0000b"])
def test_a_policy_that_no_file_can_be_is_refused(live, source):
    answer = live.client.put("/v1/policies/new", json={"source": source})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "policy_refused")
