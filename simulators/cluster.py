"""Ray for the time of a piece of work: a small one here, or a cluster that is already there."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from envs.errors import InputError

ROOT: Final = Path(__file__).resolve().parent.parent
STAYS_HERE: Final = (".git", ".venv", "runs")
"""Folders of the checkout that no other machine needs."""
PATIENCE_S: Final = 5.0
"""How long a cluster may take to answer."""
RERUNS: Final = 5
"""How often a task is begun anew after its worker died."""
STORE_BYTES: Final = 200 * 2**20
"""Memory of a Ray of our own for what tasks are given and hand over, unless told otherwise."""

_JOINED: Final[ContextVar[str | None]] = ContextVar("joined", default=None)
"""The address by which this process found the Ray it speaks to, as it was given."""

Argument = TypeVar("Argument")
Result = TypeVar("Result")
Progress = Callable[[float], None]
"""Told the share that is done, 0 to 1."""


@contextmanager
def quiet_ray(
    address: str | None, processes: int = 0, store_bytes: int = STORE_BYTES
) -> Iterator[None]:
    """Ray for the time of a piece of work: a small local one, or a cluster's; ended only if ours.

    What is printed in the meantime goes to standard error; print results when the work is done.

    Args:
        address: of a cluster; RAY_ADDRESS when left out, and a Ray of our own without either.
        processes: remote ones that are wanted; they share the cores where there are fewer.
        store_bytes: memory of a Ray of our own for what tasks are given and hand over.

    Raises:
        InputError: no cluster answers there, or this process already speaks to another Ray.
    """
    address = address or os.environ.get("RAY_ADDRESS")  # set where `ray job submit` runs us
    if address is None and "RAY_AUTH_MODE" not in os.environ:
        # Some ports of Ray listen on all addresses: only whoever knows this may speak to them.
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a Ray of our own tells nobody of it
    import ray

    for name in ("ray", "ray.rllib", "ray.tune"):
        logging.getLogger(name).setLevel(logging.ERROR)
    ours = not ray.is_initialized()
    if ours and address is not None:
        _join(address)
        _JOINED.set(address)
    elif address is not None:
        _require_joined(address)
    elif ours:
        ray.init(
            address="local",  # and not the Ray that others may have started on this machine
            num_cpus=max(os.cpu_count() or 1, processes + 1),
            include_dashboard=False,
            logging_level=logging.ERROR,
            log_to_driver=False,
            object_store_memory=store_bytes,
            _node_ip_address="127.0.0.1",
        )
    try:
        with redirect_stdout(sys.stderr):  # Ray tells of killed workers where results belong
            yield
    finally:
        if ours:
            ray.shutdown()
            _JOINED.set(None)


def _join(address: str) -> None:
    """Become a driver of a cluster, with this checkout's code unless a job brought it along.

    Raises:
        InputError: there is no cluster.
    """
    import ray

    submitted = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ
    code = {"working_dir": str(ROOT), "excludes": [f"/{name}" for name in STAYS_HERE]}
    refused = InputError(
        f"no Ray cluster answers at {address}: start one, or leave the address out"
    )
    if not _answers(address):  # Ray itself would try for minutes
        raise refused
    try:
        ray.init(
            address=address,
            runtime_env=None if submitted else code,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    except (ConnectionError, ValueError):
        raise refused from None


def _require_joined(address: str) -> None:
    """See that the Ray of this process is the one at the address: there can be no second one.

    Raises:
        InputError: it is another one.
    """
    import ray

    there = ray.get_runtime_context().gcs_address
    if address not in (_JOINED.get(), there, "auto"):
        raise InputError(
            f"this process already speaks to the Ray at {there}, not to {address}: end that one "
            "first (ray.shutdown()), or leave the address out"
        )


def _answers(address: str) -> bool:
    """Whether anything listens there; what is no host and port is for Ray to understand."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        return True
    try:
        with socket.create_connection((host, int(port)), PATIENCE_S):
            return True
    except (OSError, OverflowError):
        return False


def everywhere(
    function: Callable[[Argument], Result],
    arguments: Iterable[Argument],
    address: str | None = None,
    workers: int = 0,
    progress: Progress | None = None,
) -> Iterator[Result]:
    """Results of a pure function, in the order of its arguments, computed here or by Ray tasks.

    Results are handed over as they are taken: few of them wait at any time, however many there
    are. A task whose worker or machine is lost is begun anew, so the function has to be pure; it,
    its arguments and results have to be picklable. Ray is started for these tasks alone, or stays
    up between several calls where ``quiet_ray`` is around them.

    Args:
        function: of one argument; what all calls share goes into a partial and travels once:
            arrays in it are not copied by the workers of a machine, and cannot be written to.
        arguments: one a task.
        address: of a cluster; a Ray of our own on this machine when left out.
        workers: tasks at a time; 0 means no Ray without an address, and with one as many as the
            cluster has cores.
        progress: told the share of tasks done.
    """
    given = list(arguments)
    found: Iterator[Result] = map(function, given)
    if workers or address is not None:
        found = _as_tasks(function, given, address, workers)
    for done, result in enumerate(found, start=1):
        if progress is not None:
            progress(done / len(given))
        yield result


def _as_tasks(
    function: Callable[[Argument], Result],
    arguments: list[Argument],
    address: str | None,
    workers: int,
) -> Iterator[Result]:
    with quiet_ray(address, workers):
        import ray

        at_a_time = workers or cluster_cores()
        shared = ray.put(function)  # once, not with every task
        task: Any = ray.remote(num_cpus=1, max_retries=RERUNS)(_call)
        task = task.options(name=_name(function))
        ahead, line = deque(arguments), deque[Any]()
        while ahead or line:
            running = _still_running(line)
            # Twice as many results as workers may wait for their turn: a slow task at the head of
            # the line stops nobody, and a slow reader is not flooded.
            while ahead and len(running) < at_a_time and len(line) < 3 * at_a_time:
                line.append(task.remote(shared, ahead.popleft()))
                running.append(line[-1])
            if line[0] in running:
                ray.wait(running, num_returns=1, fetch_local=False)  # any that ends makes room
            else:
                yield ray.get(line.popleft())


def cluster_cores() -> int:
    """Cores of the Ray that is up, 1 or more."""
    import ray

    there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return max(1, int(there.get("CPU", 1)))


def _still_running(line: Iterable[Any]) -> list[Any]:
    import ray

    tasks = list(line)
    return ray.wait(tasks, num_returns=len(tasks), timeout=0)[1] if tasks else []


def _name(function: Callable[..., Any]) -> str:
    """What lists of tasks and processes call it."""
    inner = function.func if isinstance(function, partial) else function
    return str(getattr(inner, "__name__", type(inner).__name__))


def _call(function: Callable[[Argument], Result], argument: Argument) -> Result:
    return function(argument)
