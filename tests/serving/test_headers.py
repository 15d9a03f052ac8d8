"""Headers that every answer carries, and errors that tell nothing."""

import logging

import pytest

from tests.serving.live import running

EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


@pytest.fixture(scope="module")
def service(bundled_redis, catalogue):
    with running(bundled_redis.url, catalogue, redis_timeout_ms=5_000) as service:
        yield service


ANSWERS = [
    ("GET", "/healthz", 200),
    ("GET", "/readyz", 200),
    ("GET", "/metrics", 200),
    ("GET", "/openapi.json", 200),
    ("GET", "/docs", 200),
    ("GET", "/static-offline-docs/swagger-ui.css", 200),
    ("GET", "/v1/decisions/nonsense", 404),
    ("GET", "/nowhere", 404),
    ("GET", "/static-offline-docs/nothing", 404),
    ("PUT", "/v1/offers", 405),
    ("POST", "/v1/offers", 415),
]


@pytest.mark.promise("safe-headers")
@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
def test_every_answer_has_the_headers_once(service, method, path, status):
    answer = service.client.request(method, path)
    assert answer.status_code == status
    for name, value in EVERYWHERE.items():
        assert answer.headers.get_list(name) == [value]
    (policy,) = answer.headers.get_list("content-security-policy")
    assert "frame-ancestors 'none'" in policy and "default-src 'none'" in policy
    assert ("cache-control" in answer.headers) == (not path.startswith("/static"))
    assert "strict-transport-security" not in answer.headers


def test_answers_are_not_to_be_stored(service):
    offer = {"request_id": "r1", "user_id": "u1", "scene": "commute"}
    for path in ("/v1/offers", "/nowhere"):
        answer = service.client.post(path, json=offer)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; frame-")


@pytest.mark.parametrize(
    ("told", "secure"),
    [("https", True), ("HTTPS, http", True), ("http", False), ("http, https", False), ("", False)],
)
def test_browsers_are_told_to_stay_with_tls_only_where_there_is_tls(service, told, secure):
    answer = service.client.get("/healthz", headers={"x-forwarded-proto": told})
    assert ("strict-transport-security" in answer.headers) == secure


def test_the_documentation_may_load_its_own_scripts_and_nothing_else(service):
    policy = service.client.get("/docs").headers["content-security-policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["script-src"] == rules["style-src"] == "'self' 'unsafe-inline'"
    assert rules["connect-src"] == "'self'" and rules["default-src"] == "'none'"
    assert "http" not in policy


@pytest.mark.promise("safe-headers")
def test_a_500_has_the_headers_too_and_its_log_says_where_but_not_what(service, caplog):
    somebody = "user-id-of-somebody"

    def broken(*_):
        raise KeyError(somebody)

    service.service.metrics_text = broken
    try:
        with caplog.at_level(logging.DEBUG):
            answer = service.client.get(f"/metrics?user={somebody}")
    finally:
        del service.service.metrics_text
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert EVERYWHERE.items() <= dict(answer.headers).items()
    assert answer.headers["cache-control"] == "no-store"
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert "unexpected error at /metrics: KeyError" in errors[0].getMessage()
    assert "in broken" in errors[0].getMessage()
    ours = [record for record in caplog.records if not record.name.startswith("http")]
    assert not [record for record in ours if somebody in record.getMessage() or record.exc_info]
