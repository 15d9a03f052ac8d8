"""The commands, as a user types them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import yaml

from envs.errors import InputError
from serving.security import Role, entry_of
from simulators.logs.logged import read_log

ROOT = Path(__file__).parents[2]
MINIMAL = b'{"request_id":"r1","user_id":"u1","scene":"commute"}'
# Ray Serve's own models use an argument that pydantic is about to drop.
SERVE_IMPORTED = pytest.mark.filterwarnings("ignore:Using extra keyword arguments on `Field`")
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(**more):
    """This process's environment, without what would change the service."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SCENELIFT_", "RAY_SERVE_")) and name != "REDIS_URL"
    }
    return kept | {"PYTHONUNBUFFERED": "1"} | more


def command(*arguments, **more):
    return subprocess.run(
        [sys.executable, "-m", "serving", *arguments],
        cwd=ROOT,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=120,
    )


def listeners(port):
    """Names of the processes that listen on a port of this machine."""
    inodes = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].split(":")[1], 16) == port and fields[3] == "0A":
            inodes.add(f"socket:[{fields[9]}]")
    names = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            sockets = {os.readlink(descriptor) for descriptor in (process / "fd").iterdir()}
            if sockets & inodes:
                names.add((process / "comm").read_text().strip())
        except OSError:  # it has ended meanwhile
            continue
    return names


def processes_of(folder):
    """Command lines that name a folder: Redis and HAProxy of one service."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            where = os.readlink(process / "cwd")
        except OSError:
            continue
        if str(folder) in line or where.startswith(str(folder)):
            found.append(line)
    return found


def listening(port):
    """The same, once there are some: while HAProxy reloads, its socket changes hands."""
    deadline = time.monotonic() + 10
    while not (found := listeners(port)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


@pytest.mark.slow
def test_up_serves_through_haproxy_and_stops_all_it_started(tmp_path):
    port, run_dir = free_port(), tmp_path / "run"
    arguments = ["up", "--policy", "uniform", "--port", str(port), "--run-dir", str(run_dir)]
    before = set(Path("/tmp").glob("sl-*"))
    with (
        open(tmp_path / "errors", "w+") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "serving", *arguments],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as service,
    ):
        try:
            line = service.stdout.readline()
            errors.seek(0)
            assert ADDRESS.search(line), f"{line!r} {errors.read()}"
            url = ADDRESS.search(line).group()
            assert url == f"http://127.0.0.1:{port}"
            errors.seek(0)
            assert "warning: no API keys are configured" in errors.read()
            assert listening(port) == {"haproxy"}
            post = {"content": MINIMAL, "headers": {"content-type": "application/json"}}
            # The first answer of a machine that is busy starting may come late, and so be silence.
            for _ in range(50):
                first = httpx.post(f"{url}/v1/offers", **post)
                if not first.json()["degraded"]:
                    break
            assert (first.status_code, first.json()["policy"]) == (200, "uniform")
            for _ in range(50):
                again = httpx.post(f"{url}/v1/offers", **post)
                if not again.json()["degraded"]:
                    break
            assert again.content == first.content
            bad = httpx.post(f"{url}/v1/offers", json={"request_id": "r1"})
            assert (bad.status_code, bad.json()["error"]["field"]) == (422, "user_id")
            assert "scenelift_decisions_total" in httpx.get(f"{url}/metrics").text
            status = command("status", "--url", url, "--json")
            assert json.loads(status.stdout)["policy"] == "uniform"
            service.send_signal(signal.SIGTERM)
            status_at_end = service.wait(30)
            errors.seek(0)
            assert status_at_end == 0, errors.read()
            assert service.stdout.read() == "", "more than one line was printed"
        finally:
            service.kill()
    assert listeners(port) == set()
    assert processes_of(tmp_path) == []
    assert set(Path("/tmp").glob("sl-*")) <= before
    log = read_log(run_dir / "journal.parquet")
    assert log.decision_ids.tolist() == [first.json()["decision_id"]]
    assert command("journal", "--run-dir", str(run_dir)).stdout.startswith("1 decisions in ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["--host", "0.0.0.0"], {}, "no API keys are configured"),
        (["--policy", "no_such_policy"], {}, "no policy 'no_such_policy'"),
        (["--catalogue", "no_such_file.yaml"], {}, "no_such_file.yaml"),
        ([], {"REDIS_URL": "redis://127.0.0.1:1/0"}, "no Redis answers"),
        ([], {"RAY_SERVE_HAPROXY_BINARY_PATH": "/no/haproxy"}, "HAProxy cannot start"),
        (["--run-dir", "/proc/no"], {}, "--run-dir /proc/no"),
    ],
)
def test_what_keeps_it_from_starting_is_said_in_one_line(tmp_path, arguments, variables, said):
    usual = ["--run-dir", str(tmp_path), "--port", str(free_port())]
    end = command("up", *usual, *arguments, **variables)
    assert end.returncode == 2, end.stderr
    assert end.stderr.startswith("error: ") and end.stderr.count("\n") == 1
    assert said in end.stderr
    assert end.stdout == ""
    assert processes_of(tmp_path) == []


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        end = command("up", "--run-dir", str(tmp_path), "--port", port)
    assert end.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in end.stderr
    assert end.stderr.count("\n") == 1


def test_the_status_of_nobody_is_said_in_one_line():
    end = command("status", "--url", f"http://127.0.0.1:{free_port()}")
    assert end.returncode == 2
    assert "no service answers" in end.stderr and end.stderr.count("\n") == 1


@SERVE_IMPORTED
def test_the_serve_config_is_one_that_serve_accepts():
    from ray.serve.schema import ServeDeploySchema

    content = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    config = ServeDeploySchema.model_validate(content)
    assert config.http_options.host == "127.0.0.1"
    assert config.applications[0].import_path == "serving.deployment:build"


@SERVE_IMPORTED
def test_the_application_of_the_serve_config_is_built(monkeypatch):
    from serving.deployment import DeployArguments, build

    content = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:6379/0")
    monkeypatch.setenv("SCENELIFT_USER_SECRET", "a secret of the tests only")
    monkeypatch.setenv("SCENELIFT_API_KEYS", entry_of(Role.APP, "some key of ours"))
    app = build(DeployArguments.model_validate(content["applications"][0]["args"]))
    deployment = app._bound_deployment
    assert deployment.user_config == {"policy": "rule_book"}
    assert deployment.num_replicas == 2
    assert deployment.max_ongoing_requests > 100


@pytest.mark.promise("closed-by-default")
@SERVE_IMPORTED
def test_a_cluster_without_keys_is_refused_unless_it_is_meant_to_be_open(monkeypatch):
    from serving.deployment import DeployArguments, build

    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:6379/0")
    monkeypatch.setenv("SCENELIFT_USER_SECRET", "a secret of the tests only")
    monkeypatch.setenv("SCENELIFT_API_KEYS", " ,")
    with pytest.raises(InputError, match=r"no API keys.*SCENELIFT_OPEN=1"):
        build(DeployArguments())
    monkeypatch.setenv("SCENELIFT_OPEN", "1")
    assert build(DeployArguments())
