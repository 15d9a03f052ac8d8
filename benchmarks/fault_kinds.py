"""What goes wrong, one fault a function: it returns once the cause is gone."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.children import Child, ChildError
from benchmarks.connections import Client
from benchmarks.fault_redis import FaultyRedis
from benchmarks.processes import REPLICA, WRITER, command_line, processes
from benchmarks.served import Served

FIRST_POLICY: Final = "uniform"
SECOND_POLICY: Final = "rule_book"
SHELF: Final = "16m"
"""Size of the disk that is filled: the journal of a fault takes far less."""
RESPAWNED_WITHIN_S: Final = 30.0
WRITER_LIVES_S: Final = 6.0
"""At most, before it is killed: it starts within two seconds, then writes every two seconds."""


@dataclass(slots=True)
class Scene:
    """What there is to break."""

    served: Served
    redis: FaultyRedis
    wire: Child
    """Between the service and Redis."""
    mounted: bool
    """Whether the journal has a disk of its own."""
    broken_bundle: Path
    seed: int
    hold_s: float
    """How long a fault that has a length is held."""
    dead_s: float
    """How long Redis is gone."""
    kills: int
    """How often the journal writer is killed."""
    notes: dict[str, Any] = field(default_factory=dict)
    """What the table should know besides: changes that were made, ways that were taken."""


Fault = Callable[[Scene], Awaitable[None]]


async def replica_killed(scene: Scene) -> None:
    """One of the replicas ends with SIGKILL, in the middle of its calls."""
    found = processes(scene.served.child.pid, REPLICA)
    if not found:
        raise ChildError("no replica was found among the processes of the service")
    os.kill(found[0], signal.SIGKILL)


async def redis_killed(scene: Scene) -> None:
    """Redis ends with SIGKILL and is started again on its append-only file."""
    await asyncio.to_thread(scene.redis.kill)
    await asyncio.sleep(scene.dead_s)
    await asyncio.to_thread(scene.redis.start_again)


async def redis_stopped(scene: Scene) -> None:
    """Redis stands still, with its connections open."""
    scene.redis.stop()
    await asyncio.sleep(scene.hold_s)
    scene.redis.go_on()


async def redis_slowed(scene: Scene) -> None:
    """Every reply of Redis comes 200 ms late."""
    os.kill(scene.wire.pid, signal.SIGUSR1)
    await asyncio.sleep(scene.hold_s)
    os.kill(scene.wire.pid, signal.SIGUSR2)


async def writer_killed(scene: Scene) -> None:
    """The journal writer ends with SIGKILL, again and again, whatever it is doing."""
    rng = random.Random(scene.seed)
    for number in range(scene.kills):
        writer = await _writer(scene)
        await asyncio.sleep(rng.uniform(0.0, WRITER_LIVES_S))
        with suppress(ProcessLookupError):
            os.kill(writer, signal.SIGKILL)
            scene.notes["kills"] = number + 1
        while WRITER in command_line(writer):  # it is gone once nobody has to collect it
            await asyncio.sleep(0.02)
    await _writer(scene)  # the last one goes on


async def _writer(scene: Scene) -> int:
    """The journal writer that runs now."""
    deadline = time.monotonic() + RESPAWNED_WITHIN_S
    while time.monotonic() < deadline:
        if found := processes(scene.served.child.pid, WRITER):
            return found[0]
        await asyncio.sleep(0.02)
    raise ChildError(f"no journal writer within {RESPAWNED_WITHIN_S:g} s")


async def disk_full(scene: Scene) -> None:
    """There is no room for the journal; then there is again."""
    if not scene.mounted:
        await _no_file_may_grow(scene)
        return
    scene.notes["disk"] = "a full tmpfs"
    ballast = scene.served.run_dir / "journal" / "ballast"
    await asyncio.to_thread(_fill, ballast)
    await asyncio.sleep(scene.hold_s)
    ballast.unlink()


def _fill(ballast: Path) -> None:
    """Write until there is no room left for a single byte."""
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while file.write(bytes(size)):
                    pass


async def _no_file_may_grow(scene: Scene) -> None:
    """Without the right to mount: the writer may write no byte to any file."""
    scene.notes["disk"] = f"RLIMIT_FSIZE ({errno.errorcode[errno.EFBIG]})"
    writer = await _writer(scene)
    usual = resource.prlimit(writer, resource.RLIMIT_FSIZE)
    resource.prlimit(writer, resource.RLIMIT_FSIZE, (0, usual[1]))
    await asyncio.sleep(scene.hold_s)
    with suppress(ProcessLookupError):  # it has ended, and its successor has no such limit
        resource.prlimit(writer, resource.RLIMIT_FSIZE, usual)


async def policy_swapped(scene: Scene) -> None:
    """Another policy is loaded and serves."""
    await _change(scene, "PUT", "/v1/policies/second", {"source": SECOND_POLICY})
    await _change(scene, "PUT", "/v1/policies:serving", {"policy": "second"})
    scene.notes |= {"policy": SECOND_POLICY, "changed": time.monotonic()}


async def bundle_refused(scene: Scene) -> None:
    """A bundle with broken weights is loaded and asked to serve: both are refused."""
    source = {"source": str(scene.broken_bundle)}
    for path, body in (
        ("/v1/policies/broken", source),
        ("/v1/policies:serving", {"policy": "broken"}),
    ):
        status = await _call(scene, "PUT", path, body)
        scene.notes.setdefault("refusals", []).append(status)
    if not all(400 <= status < 500 for status in scene.notes["refusals"]):
        scene.notes["broken"] = f"a broken bundle was answered with {scene.notes['refusals']}"
    scene.notes |= {"policy": FIRST_POLICY, "changed": time.monotonic()}


async def rolled_back(scene: Scene) -> None:
    """Another policy serves for a while, then the one before it again."""
    await policy_swapped(scene)
    await asyncio.sleep(scene.hold_s)
    await _change(scene, "POST", "/v1/policies:rollback", None)
    scene.notes |= {"policy": FIRST_POLICY, "changed": time.monotonic()}


async def _change(scene: Scene, method: str, path: str, body: object) -> None:
    status = await _call(scene, method, path, body)
    if status != 200:
        scene.notes["broken"] = f"{method} {path} was answered with {status}"


async def _call(scene: Scene, method: str, path: str, body: object) -> int:
    client = Client(scene.served.url, timeout_s=20.0)
    text = b"" if body is None else json.dumps(body).encode()
    reply = await client.call(method, path, text)
    client.close()
    return reply.status


FAULTS: Final[dict[str, Fault]] = {
    "replica_killed": replica_killed,
    "redis_killed": redis_killed,
    "redis_stopped": redis_stopped,
    "redis_slowed": redis_slowed,
    "writer_killed": writer_killed,
    "disk_full": disk_full,
    "policy_swapped": policy_swapped,
    "bundle_refused": bundle_refused,
    "rolled_back": rolled_back,
}


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A small disk at ``folder``, where this process may mount one; whether it could."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SHELF}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], capture_output=True)
