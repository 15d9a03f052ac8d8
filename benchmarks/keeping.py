"""What the service keeps: bytes a user in Redis, and whether a replica's memory stays as it is.

Many users are written through the API, with events and with decisions; then load goes on for
minutes while the memory of each replica is noted. Exit status 1 when a user takes more than 1 KiB
or a replica grows.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import redis
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.command import run
from benchmarks.connections import Client
from benchmarks.hammer_clients import EVENTS
from benchmarks.journals import wait_until_written
from benchmarks.load import BATCH, Crowd, batch_bodies, offer_bodies, paced
from benchmarks.machine import origin
from benchmarks.processes import REPLICA, processes, resident_bytes
from benchmarks.served import Served, service_up
from envs.catalogue import load_catalogue
from serving.store.redis_server import RedisServer

MOST_BYTES: Final = 1024
KINDS: Final = {
    "user": "u",
    "decision": "d",
    "decisions of a user": "i",
    "links": "k",
    "merges": "m",
}
"""What a key holds, and the part of its name that says so."""
SAMPLE: Final = 1_000
LOOK_S: Final = 5.0
MINUTE: Final = 12
"""Samples of memory in a block: what is near in time is alike."""
DRAWS: Final = 2_000
WRITTEN_WITHIN_S: Final = 300.0
FLAT: Final = 0.01
"""Share of its memory that a replica may gain in ten minutes and count as flat: the lower end of
the interval is held to it, so that one step of an allocator is no leak."""
TOLD: Final[tuple[dict[str, Any], ...]] = (
    {"kind": "scene_entered", "scene": "mall"},
    {"kind": "viewed", "scene": "mall", "offer": "off10"},
    {"kind": "bought", "amount_cents": 2950},
)


@dataclass(frozen=True, slots=True)
class KeepingBenchmark:
    """Write many users, then measure what they take and whether memory stays flat under load."""

    users: int = 100_000
    """Written through the API, each with some events and a decision."""
    batch: int = 1_000
    """Events and offers in a call."""
    minutes: float = 10.0
    """Of load while memory is watched; 0 leaves that out."""
    settle_minutes: float = 1.0
    """Of load before memory is watched: allocators and caches fill first."""
    rate: float = 150.0
    """Decisions a second in that time."""
    replicas: int = 2
    """Processes that decide."""
    redis_timeout_ms: int = 500
    """How long a decision waits for Redis: here every user is to be written."""
    seed: int = 0
    """Of users and scenes."""
    json: bool = False
    """Print one JSON object instead of a table."""


def measure(config: KeepingBenchmark, folder: Path) -> dict[str, Any]:
    """Both measurements.

    Raises:
        ChildError: the service did not start.
    """
    settings = {"SCENELIFT_REDIS_TIMEOUT_MS": str(config.redis_timeout_ms)}
    with (
        RedisServer.start(folder / "redis") as server,
        service_up(
            folder / "run", replicas=config.replicas, redis_url=server.url, settings=settings
        ) as served,
        redis.Redis.from_url(server.url, socket_timeout=60.0) as client,
    ):
        empty = used_bytes(client)
        written = asyncio.run(_write(config, served.url))
        left = wait_until_written(server.url, WRITTEN_WITHIN_S)
        grown = used_bytes(client) - empty
        found: dict[str, Any] = {
            "written": written | {"left_in_journal": left},
            "keys": {name: kept(client, letter) for name, letter in KINDS.items()},
            "redis_bytes": grown,
            "redis_bytes_a_user": grown / config.users,
        }
        if config.minutes:
            found["memory"] = asyncio.run(_watched(config, served))
    return found | {
        "broken": broken_promises(found),
        "options": asdict(config),
        "lineage": origin(config.seed),
    }


def used_bytes(client: redis.Redis) -> int:
    """Memory that Redis has given out, without what connections take."""
    memory: Any = client.info("memory")
    clients = int(memory.get("mem_clients_normal", 0)) + int(memory.get("mem_aof_buffer", 0))
    return int(memory["used_memory"]) - clients


def kept(client: redis.Redis, letter: str) -> dict[str, float]:
    """Keys of a kind, and the bytes that one takes: with its name, and with what Redis adds."""
    count, sizes = 0, list[float]()
    for key in client.scan_iter(f"sl:*:{letter}:*", 10_000):
        count += 1
        if len(sizes) < SAMPLE:
            sizes.append(float(client.memory_usage(key, samples=0) or 0))
    if not sizes:
        return {"keys": 0, "bytes": 0.0, "most_bytes": 0.0}
    return {"keys": count, "bytes": float(np.mean(sizes)), "most_bytes": max(sizes)}


async def _write(config: KeepingBenchmark, url: str) -> dict[str, int]:
    """Every user with its events and one decision; what was refused or degraded."""
    client, failed = Client(url, timeout_s=60.0), 0
    scenes = tuple(scene.name for scene in load_catalogue().scenes)
    crowd = Crowd(config.users, scenes, config.seed)
    offers = batch_bodies(crowd, "k", config.batch)
    calls = [(EVENTS, body) for body in event_bodies(config.users, config.batch)]
    calls += [(BATCH, offers(number)) for number in range(-(-config.users // config.batch))]
    degraded = 0
    for path, body in calls:
        for _ in range(5):
            reply = await client.post(path, body)
            if reply.status == 200 and b'"degraded":true' not in reply.body:
                break  # else told or asked again: nothing counts twice
        failed += reply.status != 200
        degraded += reply.body.count(b'"degraded":true')
    client.close()
    return {"calls": len(calls), "failed": failed, "degraded": degraded}


def event_bodies(users: int, batch: int) -> Iterator[bytes]:
    """Calls that tell some events of every user."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    events = [
        {"event_id": f"u{user}-{number}", "user_id": f"u{user}", "time": now, **what}
        for user in range(users)
        for number, what in enumerate(TOLD)
    ]
    for start in range(0, len(events), batch):
        yield json.dumps({"events": events[start : start + batch]}).encode()


async def _watched(config: KeepingBenchmark, served: Served) -> dict[str, Any]:
    """The memory of each replica while load goes on."""
    scenes = tuple(scene.name for scene in load_catalogue().scenes)
    body = offer_bodies(Crowd(config.users, scenes, config.seed), "w")
    seconds = 60 * (config.settle_minutes + config.minutes)
    loading = asyncio.create_task(paced(served.url, config.rate, seconds, 16, body))
    await asyncio.sleep(60 * config.settle_minutes)
    times, sizes = await _noted(served.child.pid, loading.done)
    calls = await loading
    rng = np.random.default_rng(config.seed)
    return {
        "calls": len(calls.seconds),
        "failed": calls.failed,
        "degraded": calls.degraded,
        "replicas": {
            f"{pid}": growth(times, column, rng)
            for pid, column in sizes.items()
            if len(column) == len(times)
        },
        "ended": sum(len(column) < len(times) for column in sizes.values()),
    }


async def _noted(
    root: int, done: Callable[[], bool]
) -> tuple[NDArray[np.float64], dict[int, NDArray[np.float64]]]:
    """Minutes since the start, and bytes of each replica at those times."""
    start, times = time.monotonic(), []
    sizes: dict[int, list[float]] = {pid: [] for pid in processes(root, REPLICA)}
    while not done():
        times.append((time.monotonic() - start) / 60)
        for pid, column in sizes.items():
            if size := resident_bytes(pid):
                column.append(float(size))
        await asyncio.sleep(LOOK_S)
    return np.asarray(times), {pid: np.asarray(column) for pid, column in sizes.items()}


def growth(
    times: NDArray[np.float64], sizes: NDArray[np.float64], rng: np.random.Generator
) -> dict[str, float]:
    """The slope of memory, and its interval of 95 % by blocks of a minute drawn anew.

    Args:
        times: minutes, [N].
        sizes: bytes, [N].
        rng: of the draws.
    """
    slope, level = np.polyfit(times, sizes, 1)
    left = sizes - (level + slope * times)
    block = max(1, min(MINUTE, len(times) // 3))
    slopes = []
    for _ in range(DRAWS):
        starts = rng.integers(len(times) - block + 1, size=-(-len(times) // block))
        drawn = np.concatenate([left[start : start + block] for start in starts])[: len(times)]
        slopes.append(slope + np.polyfit(times, drawn, 1)[0])
    low, high = np.quantile(slopes, (0.025, 0.975))
    megabyte = 2.0**20
    return {
        "first_mb": float(sizes[0]) / megabyte,
        "last_mb": float(sizes[-1]) / megabyte,
        "mb_a_minute": float(slope) / megabyte,
        "low": float(low) / megabyte,
        "high": float(high) / megabyte,
    }


def broken_promises(found: dict[str, Any]) -> list[str]:
    """What was promised and does not hold, one line each."""
    broken, user = [], found["keys"]["user"]
    if user["keys"] == 0 or found["written"]["failed"]:
        broken.append("not every user was written")
    if user["bytes"] > MOST_BYTES:
        broken.append(f"a user takes {user['bytes']:.0f} bytes in Redis")
    memory = found.get("memory", {"replicas": {}, "ended": 0})
    if memory["ended"]:
        broken.append(f"{memory['ended']} replicas ended under load")
    for pid, row in memory["replicas"].items():
        if 10 * row["low"] > FLAT * row["first_mb"]:
            broken.append(f"replica {pid} grows by {row['mb_a_minute']:.2f} MB a minute")
    return broken


def main() -> int:
    """Measure and print; 1 when a promise is broken, 2 for what the caller can mend."""
    return run("keeping", __doc__, KeepingBenchmark, measure, _show)


def _show(found: dict[str, Any]) -> None:
    console = Console()
    console.print(_kept(found))
    if "memory" in found:
        console.print(_memory(found["memory"]["replicas"]))
    console.print("\n".join(found["broken"]) or "Every promise held.")


def _kept(found: dict[str, Any]) -> Table:
    title = f"In all {found['redis_bytes_a_user']:,.0f} bytes of Redis a user"
    table = Table(title=title, box=box.SIMPLE)
    for heading in ("", "keys", "bytes of one", "most bytes"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for name, row in found["keys"].items():
        table.add_row(name, *(f"{row[key]:,.0f}" for key in ("keys", "bytes", "most_bytes")))
    return table


def _memory(replicas: dict[str, dict[str, float]]) -> Table:
    table = Table(title="Memory of the replicas under load", box=box.SIMPLE)
    for heading in ("replica", "first MB", "last MB", "MB a minute", "95 %"):
        table.add_column(heading, justify="right", no_wrap=True)
    for pid, row in replicas.items():
        table.add_row(
            pid,
            *(f"{row[key]:,.1f}" for key in ("first_mb", "last_mb")),
            f"{row['mb_a_minute']:+.3f}",
            f"{row['low']:+.3f} to {row['high']:+.3f}",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
