"""A Redis that is reached over TLS by a user who may do only what the service needs."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from serving.ingress import free_ports
from serving.journal.files import JournalFiles
from serving.journal.writer import Keeper, begun, opened
from serving.store.connect import connect_sync
from serving.store.redis_server import require_answer
from tests.serving.conftest import installed_program
from tests.serving.live import NOON, running
from tests.serving.redis_cluster import redis_cluster

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
READY_WITHIN_S = 30.0
OFFER = {"user_id": "u1", "scene": "commute", "now": NOON}
ONE = "/personalizer/v1.0"


def documented_rules() -> list[str]:
    """What docs/security.md tells to give the user."""
    text = (ROOT / "docs" / "security.md").read_text()
    (rules,) = re.findall(r"^ACL SETUSER scenelift (.*)$", text, re.MULTILINE)
    return rules.split()


@dataclass
class Guarded:
    """A Redis that speaks TLS only."""

    url: str
    """As the service's user."""
    certificates: Path
    admin: redis.Redis


def certify(folder: Path) -> None:
    """A key and a certificate of this machine that is its own authority."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=redis of the tests"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", folder / "key.pem", "-out", folder / "certificate.pem"),
        ],
        check=True,
        capture_output=True,
    )


@contextmanager
def redis_over_tls(folder: Path, program: Path) -> Iterator[Guarded]:
    """A redis-server with the user of the documentation, ended with the block."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl is installed on this machine")
    certify(folder)
    (port,) = free_ports(1)
    rules = [rule.replace(">PASSWORD", ">of-the-service") for rule in documented_rules()]
    options = [
        *("port 0", f"tls-port {port}", "bind 127.0.0.1", 'save ""', "appendonly no"),
        *("tls-cert-file certificate.pem", "tls-key-file key.pem"),
        *("tls-ca-cert-file certificate.pem", "tls-auth-clients no"),
        *("user default on >of-the-admin ~* &* +@all", f"user scenelift {' '.join(rules)}"),
    ]
    (folder / "redis.conf").write_text("\n".join(options))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([program, "redis.conf"], cwd=folder, stdout=log)
    where = f"127.0.0.1:{port}/0?ssl_ca_certs={folder / 'certificate.pem'}"
    admin = redis.Redis.from_url(f"rediss://default:of-the-admin@{where}", retry=None)
    try:
        deadline = time.monotonic() + READY_WITHIN_S
        while True:
            try:
                admin.ping()
                break
            except redis.RedisError:
                said = (folder / "log").read_text()
                assert process.poll() is None and time.monotonic() < deadline, said
        url = f"rediss://scenelift:of-the-service@{where}"
        yield Guarded(url, folder / "certificate.pem", admin)
    finally:
        admin.close()
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory) -> Iterator[Guarded]:
    with redis_over_tls(tmp_path_factory.mktemp("tls"), installed_program()) as server:
        yield server


def do_everything(service) -> None:
    """Each call of the service once or more, with what makes it touch Redis."""
    post, put = service.client.post, service.client.put
    answers = [
        post(
            "/v1/offers:batch", json={"offers": [OFFER | {"request_id": f"b{n}"} for n in range(3)]}
        ),
        put("/v1/policies/other", json={"source": "rule_book"}),
        put("/v1/policies:canary", json={"policy": "other", "share": 0.5}),
        put("/v1/policies:serving", json={"policy": "other"}),
        post("/v1/policies:rollback"),
        post("/v1/users:link", json={"user_id": "u1", "identities": ["d1", "d2"]}),
        post(f"{ONE}/rank", json={"eventId": "e1", "actions": [{"id": "a", "features": []}]}),
        post(f"{ONE}/events/e1/reward", json={"value": 1.0}),
        post(f"{ONE}/events/e1/activate"),
    ]
    decided = service.offer("r1", "u1")
    assert not decided["degraded"]
    for request in ("r2", "r3"):
        deferred = service.offer(request, "u2", defer=True)
        answers += [post(f"/v1/decisions/{deferred['decision_id']}:activate")]
    told = {"event_id": "e1", "user_id": "d1", "kind": "bought", "amount_cents": 500, "time": NOON}
    service.tell(told | {"decision_id": decided["decision_id"]})
    for path in (f"/v1/decisions/{decided['decision_id']}", "/v1/users/u1", "/v1/policies"):
        answers.append(service.client.get(path))
    answers += [service.client.get("/metrics"), service.client.get("/readyz")]
    answers += [service.client.delete(f"/v1/users/{user}") for user in ("u1", "u2", "nobody")]
    refused = [(a.request.url.path, a.status_code, a.text) for a in answers if a.status_code >= 400]
    assert not refused


@pytest.mark.promise("redis-rights")
def test_the_service_does_all_it_does_with_exactly_the_rights_documented(
    guarded, catalogue, tmp_path
):
    guarded.admin.flushall()
    guarded.admin.acl_log_reset()
    options = {"redis_timeout_ms": 5_000, "budget_cents": 100_000, "replicas": 1}
    with running(guarded.url, catalogue, **options) as service:
        assert service.service.policies.configure("uniform")
        do_everything(service)
    files = begun(tmp_path, catalogue)
    assert Keeper(lambda: opened(guarded.url, catalogue, files), files).finish()
    assert isinstance(files, JournalFiles) and list(files.described.parent.rglob("*.parquet"))
    assert guarded.admin.acl_log() == []
    assert {key.split(b":")[0] for key in guarded.admin.scan_iter()} == {b"sl"}


def test_the_command_that_starts_the_service_may_look_at_the_server(guarded):
    require_answer(guarded.url)


def test_a_cluster_needs_two_rights_more(catalogue, tmp_path):
    rules = [rule.replace(">PASSWORD", ">of-the-service") for rule in documented_rules()]
    with redis_cluster(tmp_path / "nodes", installed_program()) as cluster:
        for node in cluster.nodes():
            with node:
                setting = ("ACL SETUSER", "scenelift", *rules, "+cluster|slots", "+command")
                node.execute_command(*setting)
        url = cluster.url.replace("://", "://scenelift:of-the-service@")
        options = {"redis_timeout_ms": 5_000, "budget_cents": 100_000}
        with running(url, catalogue, **options) as service:
            assert service.service.policies.configure("uniform")
            do_everything(service)
        files = begun(tmp_path, catalogue)
        assert Keeper(lambda: opened(url, catalogue, files), files).finish()
        for node in cluster.nodes():
            with node:
                assert node.acl_log() == []


@pytest.mark.parametrize(
    "command",
    [
        *("KEYS *", "FLUSHALL", "CONFIG GET *", "ACL WHOAMI", "SCAN 0"),
        *(
            "GET other",
            "SET other 1",
            "PUBLISH sl:x 1",
            "SUBSCRIBE sl:x",
            "SHUTDOWN",
            "SCRIPT FLUSH",
        ),
    ],
)
def test_the_service_may_do_nothing_else(guarded, command):
    with (
        connect_sync(guarded.url) as client,
        pytest.raises(redis.exceptions.NoPermissionError),
    ):
        client.execute_command(*command.split())


def test_each_right_is_one_that_the_code_makes_use_of():
    code = "\n".join(path.read_text() for path in (ROOT / "serving").rglob("*.py")).lower()
    clients = {"select"}  # of the client library, to begin a connection
    for rule in documented_rules():
        if rule.startswith("+") and rule[1:] not in clients:
            name = rule[1:].replace("|", "_")
            assert re.search(rf"redis\.call\('{name}'|\.{name}\(|\"{name}\"", code), rule


def test_a_certificate_of_nobody_known_is_not_trusted(guarded):
    where = guarded.url.partition("?")[0]
    with connect_sync(where) as client, pytest.raises(redis.ConnectionError, match="certificate"):
        client.ping()


def test_a_certificate_of_another_host_is_not_trusted(guarded):
    with (
        connect_sync(guarded.url.replace("127.0.0.1", "localhost")) as client,
        pytest.raises(redis.ConnectionError, match=r"certificate|Hostname|refused"),
    ):
        client.ping()


def test_without_tls_nobody_answers(guarded):
    plain = guarded.url.replace("rediss://", "redis://").partition("?")[0]
    with connect_sync(plain) as client, pytest.raises(redis.RedisError):
        client.ping()
