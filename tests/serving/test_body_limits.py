"""Bodies that are too much: too long, too slow, too deep, or other than they say."""

import json
import socket
import zlib
from urllib.parse import urlsplit

import pytest

from serving.words import bodies
from tests.serving.live import running

OFFER = {"request_id": "r1", "user_id": "u1", "scene": "commute"}
JSON = {"content-type": "application/json"}
BOMB = zlib.compress(b" " * 20_000_000)
PATHS = pytest.mark.parametrize("path", ["/v1/offers", "/v1/events"])


@pytest.fixture(scope="module")
def service(bundled_redis, catalogue):
    with running(bundled_redis.url, catalogue, max_body_bytes=200_000) as service:
        yield service


def raw(service, *parts):
    """Send bytes as they are; what comes back until the service closes the connection."""
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as wire:
        for part in parts:
            wire.sendall(part)
        received = b""
        while more := wire.recv(65_536):
            received += more
    return received.decode()


def head(*lines):
    usual = ("POST /v1/offers HTTP/1.1", "Host: here", "Content-Type: application/json")
    return "\r\n".join((*usual, *lines, "", "")).encode()


def error_of(answer, status):
    assert answer.status_code == status, answer.text
    return answer.json()["error"]["code"]


@pytest.mark.promise("bodies-bounded")
@PATHS
@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "identity, gzip", "zip"])
def test_a_compressed_body_is_refused_unopened(service, path, encoding):
    answer = service.client.post(path, content=BOMB, headers=JSON | {"content-encoding": encoding})
    assert error_of(answer, 415) == "unsupported_encoding"


def test_a_body_that_says_it_is_not_compressed_is_taken(service):
    headers = JSON | {"content-encoding": "Identity"}
    answer = service.client.post("/v1/offers", content=json.dumps(OFFER), headers=headers)
    assert answer.status_code == 200


@pytest.mark.promise("bodies-bounded")
@PATHS
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 30_000,
        b'{"attributes":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"events":[' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"]}",
    ],
)
def test_nesting_is_refused_however_deep(service, path, body):
    answer = service.client.post(path, content=body, headers=JSON)
    assert error_of(answer, 400) == "malformed_json"


@pytest.mark.parametrize(
    "attributes",
    [
        {f"name-{number}": 1 for number in range(10_000)},
        {"x" * 150_000: 1},
        {"member_tier": "x" * 150_000},
        {"past_spend_cents": [1] * 50_000},
    ],
    ids=["many", "a long name", "a long value", "a long list"],
)
def test_attributes_beyond_measure_are_refused_in_few_words(service, attributes):
    answer = service.client.post("/v1/offers", json=OFFER | {"attributes": attributes})
    assert error_of(answer, 422) in ("invalid_value", "invalid_attribute")
    assert len(answer.content) < 1_000


def test_a_number_with_too_many_digits_is_refused(service):
    text = json.dumps(OFFER)[:-1] + f', "attributes": {{"past_spend_cents": {"9" * 150_000}}}}}'
    answer = service.client.post("/v1/offers", content=text, headers=JSON)
    assert 400 <= answer.status_code < 500


def test_a_length_that_is_too_large_is_refused_before_anything_is_sent(service):
    answer = raw(service, head("Content-Length: 999999999999"))
    assert answer.startswith("HTTP/1.1 413 ") and "body_too_large" in answer
    assert "connection: close" in answer.lower()


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "٣", "5, 6"])
def test_a_length_that_is_none_is_refused(service, length):
    answer = raw(service, head(f"Content-Length: {length}", "Connection: close"))
    assert answer.startswith("HTTP/1.1 4")


@pytest.mark.promise("bodies-bounded")
def test_chunks_are_counted_whatever_they_add_up_to(service):
    chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    answer = raw(service, head("Transfer-Encoding: chunked"), chunk * 13)
    assert answer.startswith("HTTP/1.1 413 ") and "body_too_large" in answer


def test_a_body_in_chunks_is_read_like_any_other(service):
    def chunks():
        for letter in json.dumps(OFFER):
            yield letter.encode()

    answer = service.client.post("/v1/offers", content=chunks(), headers=JSON)
    assert answer.status_code == 200


def test_a_body_beyond_its_length_is_not_read(service):
    body = json.dumps(OFFER).encode()
    rest = b'{"request_id": "smuggled"}'
    answer = raw(service, head(f"Content-Length: {len(body)}"), body + rest)
    assert answer.count("HTTP/1.1 ") == 1 or "HTTP/1.1 200 " in answer
    assert "HTTP/1.1 400 " in answer, "what followed is no request"


@pytest.mark.promise("bodies-bounded")
def test_a_body_that_does_not_come_is_not_waited_for(service, monkeypatch):
    monkeypatch.setattr(bodies, "BODY_WITHIN_S", 0.05)
    answer = raw(service, head("Content-Length: 100"), b'{"request_id":')
    assert answer.startswith("HTTP/1.1 408 ") and "body_too_slow" in answer


def test_a_caller_who_hangs_up_within_the_body_is_no_error_of_ours(service, caplog):
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as wire:
        wire.sendall(head("Content-Length: 100") + b'{"request_id":')
    assert service.client.get("/healthz").status_code == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
