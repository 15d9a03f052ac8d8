"""The table: each route of the application and each role, against the application itself."""

import re
from collections.abc import Iterator

import pytest
from fastapi.routing import iter_route_contexts

from serving.access.limits import Limit
from serving.app import create_app
from serving.security import Role, entry_of
from tests.serving.live import running

OPEN = None
TABLE = {
    "GET /healthz": OPEN,
    "GET /readyz": OPEN,
    "GET /docs": OPEN,
    "GET /docs/oauth2-redirect": OPEN,
    "GET /openapi.json": OPEN,
    "GET /static-offline-docs": OPEN,
    "POST /v1/offers": Role.APP,
    "POST /v1/offers:batch": Role.APP,
    "POST /v1/events": Role.APP,
    "GET /v1/decisions/{decision_id}": Role.APP,
    "POST /v1/decisions/{decision_id}:activate": Role.APP,
    "POST /personalizer/v1.0/rank": Role.APP,
    "POST /personalizer/v1.0/events/{eventId}/reward": Role.APP,
    "POST /personalizer/v1.0/events/{eventId}/activate": Role.APP,
    "POST /personalizer/v1.1-preview.1/multislot/rank": Role.APP,
    "POST /personalizer/v1.1-preview.1/multislot/events/{eventId}/reward": Role.APP,
    "POST /personalizer/v1.1-preview.1/multislot/events/{eventId}/activate": Role.APP,
    "GET /metrics": Role.ANALYST,
    "GET /v1/policies": Role.ANALYST,
    "PUT /v1/policies/{name}": Role.ADMIN,
    "DELETE /v1/policies/{name}": Role.ADMIN,
    "PUT /v1/policies:serving": Role.ADMIN,
    "PUT /v1/policies:shadow": Role.ADMIN,
    "PUT /v1/policies:canary": Role.ADMIN,
    "POST /v1/policies:rollback": Role.ADMIN,
    "GET /v1/users/{user_id}": Role.ADMIN,
    "DELETE /v1/users/{user_id}": Role.ADMIN,
    "POST /v1/users:link": Role.ADMIN,
}
PAGES = ("GET /docs", "GET /openapi.json", "GET /static-offline-docs")
VALUES = {"decision_id": f"{'0' * 32}-{'0' * 20}"}
CALLERS = {
    "no key": (None, 0),
    "no key of ours": ("key-of-nobody", 0),
    "app": ("key-of-an-app", Role.APP),
    "analyst": ("key-of-an-analyst", Role.ANALYST),
    "admin": ("key-of-an-admin", Role.ADMIN),
}
ODD = (b"", "schl\u00fcssel".encode(), b"\xff\xfe", b"\xed\xa0\x80", b"x" * 60_000)
KEYS = ",".join(entry_of(Role(role), key) for key, role in CALLERS.values() if role)


@pytest.fixture(scope="module")
def guarded(bundled_redis, catalogue):
    with running(bundled_redis.url, catalogue, api_keys=KEYS) as service:
        service.service.limits.unknown = Limit(0)  # the table guesses a lot
        yield service


def calls(routes) -> Iterator[str]:
    """Each method and path that the routes answer; HEAD goes where GET goes."""
    for route in iter_route_contexts(routes):
        path = re.sub(r":\w+}", "}", route.path)
        for method in (route.methods or {"GET"}) - {"HEAD"}:  # a mount has no methods
            yield f"{method} {path}"


@pytest.fixture(scope="module")
def answered(guarded):
    return set(calls(create_app(guarded.service).routes))


@pytest.mark.promise("roles")
def test_every_route_has_a_row(answered):
    assert answered - set(TABLE) == set()


def test_every_row_has_a_route(answered):
    assert set(TABLE) - answered == set()


def test_every_row_but_those_of_the_pages_is_documented(guarded):
    paths = guarded.client.get("/openapi.json").json()["paths"]
    documented = {f"{method.upper()} {path}" for path, ways in paths.items() for method in ways}
    assert documented == {row for row in TABLE if not row.startswith(PAGES)}


@pytest.mark.parametrize(
    "headers",
    [
        *({name: value} for name in ("x-api-key", "ocp-apim-subscription-key") for value in ODD),
        *({"authorization": b"Bearer " + value} for value in ODD[1:]),
        *({"authorization": value} for value in ODD),
        {"authorization": b"Basic key-of-an-admin"},
        {"authorization": b"key-of-an-admin"},
        {"x-api-key": b"key-of-nobody", "authorization": b"Bearer key-of-an-admin"},
    ],
    ids=lambda headers: str(headers)[:60],
)
def test_what_cannot_be_a_key_is_unknown_and_no_error(guarded, headers):
    answer = guarded.client.get("/v1/policies", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")


@pytest.mark.parametrize("header", ["X-API-Key", "Ocp-Apim-Subscription-Key"])
def test_a_key_may_come_in_the_headers_that_callers_have(guarded, header):
    assert guarded.client.get("/v1/policies", headers={header: "key-of-an-admin"}).is_success


@pytest.mark.promise("other-sites")
def test_without_keys_pages_of_other_sites_may_not_call(bundled_redis, catalogue):
    with running(bundled_redis.url, catalogue) as service:
        path = "/v1/policies:rollback"  # takes no body, so a browser would not ask first
        for site, refused in (("cross-site", True), ("same-site", True), ("same-origin", False)):
            answer = service.client.post(path, headers={"sec-fetch-site": site})
            assert (answer.status_code == 403) == refused


@pytest.mark.promise("roles")
@pytest.mark.parametrize("call", TABLE)
@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
def test_a_call_is_open_to_its_role_and_stronger_ones(guarded, call, caller, header):
    least, (key, role) = TABLE[call], CALLERS[caller]
    method, path = call.split(" ")
    path = re.sub(r"{(\w+)}", lambda found: VALUES.get(found[1], "x1"), path)
    shown = f"Bearer {key}" if header == "authorization" else key
    answer = guarded.client.request(method, path, headers={header: shown} if key else {})
    if least is OPEN or (role and role >= least):
        assert answer.status_code not in (401, 403, 405, 429)
        return
    status, code = (403, "forbidden") if role else (401, "unauthorized")
    if path.startswith("/personalizer/"):
        code = str(status)  # as Azure Personalizer says it
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers.get("www-authenticate") == (None if role else "Bearer")
