"""The service as its users run it: ``python -m serving up``, with what a benchmark sets of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.children import Child
from serving.ingress import free_ports

READY_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Served:
    """A service that is up."""

    url: str
    run_dir: Path
    child: Child


@contextmanager
def service_up(
    run_dir: Path,
    *,
    policy: str = "uniform",
    replicas: int = 1,
    redis_url: str = "",
    catalogue: Path | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Served]:
    """The service on a free port; leaving ends it and all it started, its journal written.

    Args:
        run_dir: its run folder; its output is kept beside it.
        policy: as ``up`` takes it.
        replicas: processes that decide.
        redis_url: Redis to use; one of its own in the run folder when left out.
        catalogue: the default one when left out.
        settings: ``SCENELIFT_`` variables.

    Raises:
        ChildError: it did not start.
    """
    port = free_ports(1)[0]
    arguments = ["serving", "up", "--policy", policy, "--replicas", str(replicas)]
    arguments += ["--port", str(port), "--run-dir", str(run_dir)]
    arguments += ["--redis", redis_url] if redis_url else []
    arguments += ["--catalogue", str(catalogue)] if catalogue else []
    log = run_dir.parent / f"{run_dir.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with Child("the service", arguments, log, environment=surroundings(settings)) as child:
        yield Served(child.address(READY_SECONDS), run_dir, child)


def surroundings(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment, without what would change the service, and with ``settings``."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SCENELIFT_", "RAY_")) and name != "REDIS_URL"
    }
    return kept | {"PYTHONUNBUFFERED": "1"} | dict(settings or {})
