"""Who may call, what is counted, and documentation that needs no internet."""

import re

import pytest

from serving.security import Role, entry_of
from tests.serving.live import NOON, running

KEYS = ",".join(
    entry_of(role, key)
    for role, key in (
        (Role.APP, "key-of-an-app"),
        (Role.ANALYST, "key-of-an-analyst"),
        (Role.ADMIN, "key-of-an-admin"),
    )
)
OFFER = {"request_id": "r1", "user_id": "u1", "scene": "commute", "now": NOON}


@pytest.fixture(scope="module")
def guarded(bundled_redis, catalogue):
    with running(bundled_redis.url, catalogue, api_keys=KEYS) as service:
        yield service


@pytest.mark.parametrize(
    ("headers", "offers", "metrics"),
    [
        ({}, 401, 401),
        ({"x-api-key": "key-of-nobody"}, 401, 401),
        ({"x-api-key": ""}, 401, 401),
        ({"x-api-key": "schlüssel".encode()}, 401, 401),
        ({"authorization": "Basic key-of-an-app"}, 401, 401),
        ({"authorization": "Bearer key-of-an-app"}, 200, 403),
        ({"authorization": "bearer  key-of-an-analyst"}, 200, 200),
        ({"x-api-key": "key-of-an-admin"}, 200, 200),
    ],
)
def test_a_call_needs_a_key_of_its_role(guarded, headers, offers, metrics):
    assert guarded.client.post("/v1/offers", json=OFFER, headers=headers).status_code == offers
    answer = guarded.client.get("/metrics", headers=headers)
    assert answer.status_code == metrics
    if metrics != 200:
        assert answer.json()["error"]["code"] in ("unauthorized", "forbidden")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/openapi.json"])
def test_probes_and_documentation_need_no_key(guarded, path):
    assert guarded.client.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/v1/events", "/v1/offers"])
def test_a_wrong_key_is_refused_before_the_body_is_looked_at(guarded, path):
    answer = guarded.client.post(path, content=b"{", headers={"x-api-key": "key-of-nobody"})
    assert answer.status_code == 401


def test_the_documentation_loads_nothing_from_elsewhere(live):
    page = live.client.get("/docs").text
    links = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)""", page)
    assert links
    for link in links:
        assert link.startswith("/"), link
        assert live.client.get(link).status_code == 200


def test_the_documentation_describes_every_call_and_its_body(live):
    schema = live.client.get("/openapi.json").json()
    assert schema["openapi"].startswith("3.1")
    # That it has every route is held beside the table of the roles.
    body = schema["paths"]["/v1/offers"]["post"]["requestBody"]["content"]["application/json"]
    name = body["schema"]["$ref"].rpartition("/")[2]
    asks = schema["components"]["schemas"][name]
    assert asks["required"] == ["request_id", "user_id"]  # and scene or signals, as both say
    assert {"scene", "signals"} <= set(asks["properties"])
    defined = set(schema["components"]["schemas"])
    used = set(re.findall(r"#/components/schemas/(\w+)", live.client.get("/openapi.json").text))
    assert used <= defined


def test_metrics_count_decisions_refusals_events_and_repetitions(live):
    first, second = live.offer("r1"), live.offer("r2", "u2")
    live.offer("r1")
    live.tell({"event_id": "e1", "user_id": "u1", "kind": "viewed", "time": NOON})
    text = live.client.get("/metrics").text
    values = dict(
        line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")
    )
    decided = [name for name in values if name.startswith("scenelift_decisions_total{")]
    assert sum(float(values[name]) for name in decided) == 2
    assert all('policy="uniform",scene="commute"' in name for name in decided)
    channels = {re.search('channel="([^"]+)"', name)[1] for name in decided}
    assert channels == {answer["channel"] or "silence" for answer in (first, second)}
    for rule, count in first["refused"].items():
        total = float(values[f'scenelift_refusals_total{{rule="{rule}"}}'])
        assert total == count + second["refused"].get(rule, 0)
    assert float(values["scenelift_repeated_requests_total"]) == 1
    assert float(values['scenelift_events_total{kind="viewed",result="accepted"}']) == 1
    assert float(values['scenelift_seconds_count{call="offers"}']) == 3
    assert float(values["scenelift_ready"]) == 1
