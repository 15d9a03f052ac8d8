"""The OpenAPI description: kept in the repository, complete, and what the service really does."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from serving.describe import KEPT, as_text, description
from serving.security import Role, entry_of
from tests.serving.live import running

ROOT = Path(__file__).parents[2]
ADMIN, APP = "the key of an admin, long enough", "the key of an app, long enough"
KEYS = f"{entry_of(Role.ADMIN, ADMIN)},{entry_of(Role.APP, APP)}"
JSON = {"content-type": "application/json"}
NAMES = {"decision_id": "d", "name": "p1", "user_id": "u1", "eventId": "e1"}
OPEN = ("/healthz", "/readyz")


@pytest.fixture(scope="module")
def schema():
    return description()


@pytest.fixture(scope="module")
def guarded(bundled_redis, catalogue):
    limits = {"redis_timeout_ms": 5_000, "max_body_bytes": 10_000}
    with running(bundled_redis.url, catalogue, api_keys=KEYS, **limits) as service:
        yield service


def operations(schema):
    """Method, path and description of every call."""
    return [
        (method, path, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]


def assert_documented(schema, operation, answer):
    """The status is named for this call, and the body is of the shape that is promised for it."""
    call = f"{answer.request.method} {answer.request.url.path} {answer.status_code}"
    documented = operation["responses"]
    assert str(answer.status_code) in documented, call
    content = documented[str(answer.status_code)].get("content", {})
    media = answer.headers.get("content-type", "").partition(";")[0]
    assert media in content if answer.content else not content, call
    if media == "application/json":
        shape = content["application/json"]["schema"] | {"components": schema["components"]}
        jsonschema.Draft202012Validator(shape).validate(answer.json())
    if answer.status_code >= 400:
        assert answer.json()["error"]["message"], call


@pytest.mark.promise("openapi")
def test_the_kept_description_is_that_of_the_application(schema):
    kept = (ROOT / KEPT).read_text(encoding="utf-8")
    assert kept == as_text(schema), "run `python -m serving describe`"


def test_the_description_is_of_openapi_3_1_and_defines_what_it_refers_to(schema):
    assert schema["openapi"].startswith("3.1")
    for place in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(schema)):
        found = schema
        for part in place.split("/"):
            found = found[part]
    names = [operation["operationId"] for _, _, operation in operations(schema)]
    assert len(set(names)) == len(names)
    jsonschema.Draft202012Validator.check_schema({"$defs": schema["components"]["schemas"]})


def test_every_call_says_what_it_does_and_how_it_fails(schema):
    for method, path, operation in operations(schema):
        call = f"{method} {path}"
        assert operation.get("description"), call
        assert any(status.startswith("2") for status in operation["responses"]), call
        if path not in OPEN:
            assert {"401", "403", "429", "500"} <= set(operation["responses"]), call
        if "requestBody" in operation:
            assert {"400", "408", "413", "415"} <= set(operation["responses"]), call


@pytest.mark.promise("openapi")
def test_what_goes_wrong_is_documented_in_status_and_shape(guarded, schema):
    """Every call with a key of nobody, a weak one, another method, and many wrong bodies."""
    client = guarded.client
    for method, path, operation in operations(schema):
        url = re.sub(r"{(\w+)}", lambda found: NAMES[found[1]], path)
        admin = {"x-api-key": ADMIN}
        tries = [
            {"headers": {"x-api-key": "nobody's"}},
            {"headers": {"x-api-key": APP}},
            {"headers": admin},
        ]
        if "requestBody" in operation:
            tries = tries[:1] + [
                {"headers": admin | JSON, "content": content}
                for content in (b"{", b"[]", b"{}", b'{"unheard": 1}', b'"' + b"x" * 20_000 + b'"')
            ]
            tries.append({"headers": admin, "content": b"x=1"})
        for more in tries:
            assert_documented(schema, operation, client.request(method, url, **more))
        if "405" in operation["responses"]:
            other = client.request("PATCH", url, headers=admin)
            assert_documented(schema, operation, other)
            assert other.headers["allow"]


def test_what_goes_right_is_documented_in_status_and_shape(guarded, schema):
    """Each call that takes a body, with the example that its description gives."""
    for method, path, operation in operations(schema):
        if method != "post" or "requestBody" not in operation:
            continue
        reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        body = schema["components"]["schemas"][reference.rpartition("/")[2]].get("example")
        if body is not None:
            answer = guarded.client.request(method, path, json=body, headers={"x-api-key": ADMIN})
            assert answer.status_code in (200, 201), answer.text
            assert_documented(schema, operation, answer)


@pytest.mark.slow
def test_the_command_writes_the_description_and_tells_when_it_is_old(tmp_path):
    command = [sys.executable, "-m", "serving", "describe", "--out", str(tmp_path / "o.json")]
    subprocess.run(command, cwd=ROOT, check=True)
    written = (tmp_path / "o.json").read_text()
    assert json.loads(written) == description()
    subprocess.run([*command, "--check"], cwd=ROOT, check=True)
    (tmp_path / "o.json").write_text(written.replace("silent", "loud"))
    old = subprocess.run([*command, "--check"], cwd=ROOT, capture_output=True, text=True)
    assert old.returncode == 2
    assert "python -m serving describe" in old.stderr
