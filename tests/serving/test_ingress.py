"""HAProxy in front of the replicas."""

import subprocess
import time
from pathlib import Path

from serving.ingress import PIDS, end_haproxy, prepare

CONFIGURATION = """
defaults
  mode http
  timeout connect 1s
  timeout client 1s
  timeout server 1s
frontend one
  bind *:{port}
  http-request return status 200
"""


def test_a_haproxy_that_nobody_ended_is_ended_by_its_process_id(tmp_path):
    environment = prepare(tmp_path)
    port = int(environment["RAY_SERVE_HAPROXY_STATS_PORT"])
    configuration = tmp_path / "haproxy.cfg"
    configuration.write_text(CONFIGURATION.format(port=port))
    launcher = environment["RAY_SERVE_HAPROXY_BINARY_PATH"]
    with subprocess.Popen([launcher, "-db", "-f", configuration]) as left:
        program = Path(f"/proc/{left.pid}/exe")
        deadline = time.monotonic() + 20
        while program.resolve().name != "haproxy" and time.monotonic() < deadline:
            assert left.poll() is None
        end_haproxy(tmp_path)
        assert left.wait(20) != 0
    assert (tmp_path / PIDS).read_text().split() == [str(left.pid)]
    assert f"bind 127.0.0.1:{port}" in configuration.read_text()


def test_a_process_that_is_not_ours_is_left_alone(tmp_path):
    with subprocess.Popen(["sleep", "60"]) as other:
        (tmp_path / PIDS).write_text(f"{other.pid}\n")
        end_haproxy(tmp_path)
        assert other.poll() is None
        other.kill()


def test_nothing_to_end_is_no_error(tmp_path):
    end_haproxy(tmp_path)
    assert not (tmp_path / PIDS).exists()
