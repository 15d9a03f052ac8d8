"""Whatever happens, the log never names anybody."""

import json
import logging
import re
import traceback

import pytest

from serving.journal.writer import Keeper, begun, opened
from serving.security import Naming, Role, entry_of
from serving.store.redis_server import RedisServer
from tests.serving.live import NOON, SECRET, running

PEOPLE = [f"person-{number}@example.org" for number in range(6)]
PLACE = {"latitude": 52.51628, "longitude": 13.37771}
DECISION_ID = re.compile(r"[0-9a-f]{32}-[0-9a-f]{20}")
"""May be in the log: it names a decision, by the keyed hash of its user."""
CALLERS = ("httpx", "httpcore")
KEY = "the-key-that-nobody-may-read"


def everything_of(record: logging.LogRecord) -> str:
    """The line, its arguments, whatever else it carries, and the text of its error."""
    error = record.exc_info[1] if record.exc_info else None
    trail = "".join(traceback.format_exception(error)) if error else ""
    return f"{record.getMessage()} {record.__dict__!r} {trail}"


def call_in_all_ways(client) -> set[int]:
    """Succeed and fail with people in bodies, paths, queries and headers; the statuses seen."""
    one, two, three, *_ = PEOPLE
    offer = {"request_id": "r1", "user_id": one, "scene": "commute", "now": NOON}
    told = {"event_id": "e1", "user_id": one, "kind": "viewed", "time": NOON}
    rank = {"eventId": f"event-of-{one}", "actions": [{"id": one, "features": []}]}
    bodies = [
        ("/v1/offers", offer | {"location": PLACE}),
        ("/v1/offers", offer | {"request_id": "r2", "scene": two}),
        ("/v1/offers", offer | {one: two}),
        ("/v1/offers:batch", {"offers": [offer | {"user_id": two, "request_id": "r3"}]}),
        ("/v1/offers", offer | {"location": PLACE | {"latitude": 91.5}}),
        ("/v1/events", {"events": [told]}),
        ("/v1/events", {"events": [told | {"scene": three}]}),
        ("/v1/events", {"events": [told | {"decision_id": f"{three}"}]}),
        (f"/v1/decisions/{two}:activate", {}),
        ("/v1/users:link", {"user_id": one, "identities": [two]}),
        ("/v1/users:link", {"user_id": three, "identities": [two]}),
        ("/v1/users:link", {"user_id": three, "identities": two}),
        ("/personalizer/v1.0/rank", rank),
        ("/personalizer/v1.0/rank", rank | {"actions": one}),
        (f"/personalizer/v1.0/events/event-of-{one}/reward", {"value": 1.0}),
        (f"/personalizer/v1.0/events/{two}/reward", {"value": 1.0}),
    ]
    seen = {client.post(path, json=body).status_code for path, body in bodies}
    cut = json.dumps(offer)[:-1]
    seen.add(
        client.post(
            "/v1/offers", content=cut, headers={"content-type": "application/json"}
        ).status_code
    )
    seen.add(client.post("/v1/offers", content=one, headers={"content-type": one}).status_code)
    for method, path in (
        *(
            ("GET", f"/v1/users/{one}"),
            ("GET", f"/v1/users/{three}"),
            ("DELETE", f"/v1/users/{one}"),
        ),
        *(("PUT", f"/v1/users/{one}"), ("GET", f"/people/{two}?of={three}")),
        *(("GET", f"/v1/decisions/{one}"), ("PUT", f"/v1/policies/{two}")),
        *(("GET", f"/metrics?of={three}"), ("GET", f"/readyz?of={two}")),
    ):
        seen.add(client.request(method, path, headers={"x-request-id": one}).status_code)
    seen.add(client.get("/v1/policies", headers={"x-api-key": one}).status_code)
    return seen


@pytest.mark.promise("nothing-personal")
@pytest.mark.slow
def test_nothing_that_is_logged_names_a_person_a_place_or_a_key(
    catalogue, tmp_path, caplog, monkeypatch
):
    options = {"api_keys": entry_of(Role.ADMIN, KEY), "rate_limit": 10_000}
    with (
        caplog.at_level(logging.DEBUG),
        RedisServer.start(tmp_path / "redis") as server,
        running(server.url, catalogue, **options) as service,
    ):
        service.client.headers["x-api-key"] = KEY
        seen = call_in_all_ways(service.client)

        async def broken(body):
            raise KeyError(body.user_id, body.location)

        monkeypatch.setattr(service.service.offers, "answer", broken)
        seen |= call_in_all_ways(service.client)
        monkeypatch.undo()
        files = begun(tmp_path, catalogue)
        Keeper(lambda: opened(server.url, catalogue, files), files).finish()
        server.stop()
        seen |= call_in_all_ways(service.client)
    assert {200, 201, 204, 400, 401, 404, 405, 409, 415, 422, 500, 503} <= seen
    records = [record for record in caplog.records if not record.name.startswith(CALLERS)]
    assert any(record.levelno >= logging.ERROR for record in records)
    assert not [record for record in records if "access" in record.name]
    secrets = [*PEOPLE, KEY, "52.51628", "13.37771"]
    secrets += [Naming(SECRET.encode()).user(person) for person in PEOPLE]
    for record in records:
        text = DECISION_ID.sub("a decision", everything_of(record))
        assert not [secret for secret in secrets if secret in text], text
