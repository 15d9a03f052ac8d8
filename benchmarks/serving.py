"""How fast the service answers, beside a floor, plain uvicorn, and Ray Serve as it comes.

Each is a real process behind HTTP on this machine, on a Redis of its own, one after the other and
all of them again in each repeat. Rates are only meant as ratios: client, Redis and service share
the processors.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final

import httpx
import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from agents.policy import QNetworkPolicy, save_bundle
from benchmarks.children import Child
from benchmarks.command import run
from benchmarks.load import Crowd, batch_bodies, batches, offer_bodies, paced, require_wrk, rush
from benchmarks.machine import origin
from benchmarks.served import READY_SECONDS, service_up, surroundings
from envs.catalogue import load_catalogue
from envs.encoding import Encoding
from envs.errors import InputError
from envs.lineage import lineage
from serving.ingress import free_ports
from serving.store.redis_server import RedisServer

OURS: Final = "ours"
FLOOR: Final = "floor"
PLAIN: Final = "plain"
AS_IT_COMES: Final = "as_it_comes"
WAYS: Final = {
    OURS: "Serve with HAProxy",
    PLAIN: "plain uvicorn",
    FLOOR: "the floor",
    AS_IT_COMES: "Serve as it comes",
}
AIMS: Final = {
    "throughput_of_floor": (">=", 0.4),
    "throughput_of_plain": (">=", 0.6),
    "throughput_of_as_it_comes": (">=", 8.0),
    "p99_of_floor": ("<=", 3.0),
    "batch_per_second": (">=", 20_000.0),
}
DEGRADED: Final = re.compile(r"^scenelift_degraded_total(?:\{.*\})? (\S+)$", re.MULTILINE)
WIDTHS: Final = (128, 128)


@dataclass(frozen=True, slots=True)
class ServingBenchmark:
    """Measure the service beside three others, one after the other, several times."""

    seconds: float = 8.0
    """Of each measurement."""
    warm_seconds: float = 3.0
    """Of load before the first of them."""
    repeats: int = 3
    """Of everything, in turn; ratios are of the same repeat, and the median counts."""
    connections: int = 16
    """Open at once."""
    users: int = 10_000
    """Different users who ask."""
    batch: int = 1_000
    """Offers in a batch; 0 leaves batches out."""
    batch_connections: int = 2
    """Batches in flight."""
    batch_replicas: int = 2
    """Processes that decide batches: one for each processor. Everything else has one."""
    policy: str = ""
    """What decides; a network with random weights when left out: speed does not depend on them."""
    ways: tuple[str, ...] = tuple(WAYS)
    """Which of ours, plain, floor and as_it_comes."""
    redis_timeout_ms: int = 40
    """How long a decision waits for Redis, for all ways alike."""
    seed: int = 0
    """Of users, scenes and weights."""
    json: bool = False
    """Print one JSON object instead of a table."""


def measure(config: ServingBenchmark, folder: Path) -> dict[str, Any]:
    """Every way in every repeat, and the ratios.

    Raises:
        InputError: ``wrk`` is not installed, or a way is not known.
        ChildError: a service did not start.
    """
    require_wrk()
    if unknown := set(config.ways) - set(WAYS):
        raise InputError(f"--ways {' '.join(sorted(unknown))}: give some of {' '.join(WAYS)}")
    policy = config.policy or str(network_bundle(folder / "policy", config.seed))
    repeats: list[dict[str, Any]] = []
    for number in range(config.repeats):
        place = folder / f"repeat-{number}"
        repeats.append({way: _one(config, way, policy, place / way) for way in config.ways})
        if config.batch:
            repeats[-1]["batch"] = _batches(config, policy, place / "batch")
    return {
        "repeats": repeats,
        "ratios": ratios(repeats),
        "aims": AIMS,
        "options": asdict(config),
        "lineage": origin(config.seed),
    }


def network_bundle(folder: Path, seed: int) -> Path:
    """A bundle with a network for the default catalogue, of random weights."""
    catalogue, rng = load_catalogue(), np.random.default_rng(seed)
    widths = (Encoding(catalogue).width, *WIDTHS, len(catalogue.actions))
    layers = tuple(
        ((rng.normal(size=(inputs, outputs)) / np.sqrt(inputs)), np.zeros(outputs))
        for inputs, outputs in pairwise(widths)
    )
    save_bundle(folder, QNetworkPolicy(layers), catalogue, lineage(seed), {})
    return folder.resolve()


def _one(config: ServingBenchmark, way: str, policy: str, folder: Path) -> dict[str, Any]:
    """One way: its throughput, then its times at half of that."""
    crowd = _crowd(config)
    folder.mkdir(parents=True)
    with (
        RedisServer.start(folder / "redis") as redis,
        _started(config, way, policy, redis.url, folder) as url,
    ):
        rush(url, crowd, "warm", config.warm_seconds, config.connections, folder)
        before = degraded(url)
        full = rush(url, crowd, "full", config.seconds, config.connections, folder)
        after = degraded(url)
        rate = full.per_second / 2
        body = offer_bodies(crowd, "half")
        half = asyncio.run(paced(url, rate, config.seconds, config.connections, body))
    return {
        "throughput": asdict(full) | {"degraded": None if before is None else after - before},
        "half": {
            "rate": rate,
            "calls": len(half.seconds),
            "p50_ms": half.quantile_ms(0.5),
            "p99_ms": half.quantile_ms(0.99),
            "failed": half.failed,
            "degraded": half.degraded,
        },
    }


def _batches(config: ServingBenchmark, policy: str, folder: Path) -> dict[str, float]:
    """Decisions a second in batches, of the service with a replica for each processor."""
    crowd = _crowd(config)
    folder.mkdir(parents=True)
    with RedisServer.start(folder / "redis") as redis:
        settings = _settings(config)
        with service_up(
            folder / "run",
            policy=policy,
            replicas=config.batch_replicas,
            redis_url=redis.url,
            settings=settings,
        ) as served:
            for prefix, seconds in (("warm", config.warm_seconds), ("full", config.seconds)):
                body = batch_bodies(crowd, prefix, config.batch)
                found = asyncio.run(
                    batches(served.url, seconds, config.batch_connections, config.batch, body)
                )
    return found


def _crowd(config: ServingBenchmark) -> Crowd:
    scenes = tuple(scene.name for scene in load_catalogue().scenes)
    return Crowd(config.users, scenes, config.seed)


def _settings(config: ServingBenchmark) -> Mapping[str, str]:
    return {"SCENELIFT_REDIS_TIMEOUT_MS": str(config.redis_timeout_ms)}


@contextmanager
def _started(
    config: ServingBenchmark, way: str, policy: str, redis_url: str, folder: Path
) -> Iterator[str]:
    """The address of a service that runs in this way."""
    settings = _settings(config)
    if way == OURS:
        run_dir = folder / "run"
        with service_up(run_dir, policy=policy, redis_url=redis_url, settings=settings) as served:
            yield served.url
        return
    arguments = [f"benchmarks.{way}", "--redis", redis_url, "--port", str(free_ports(1)[0])]
    if way == FLOOR:
        arguments += ["--redis-timeout-ms", str(config.redis_timeout_ms)]
    else:
        arguments += ["--policy", policy]
    log = folder / "log"
    with Child(WAYS[way], arguments, log, environment=surroundings(settings)) as child:
        yield child.address(READY_SECONDS)


def degraded(url: str) -> Any:
    """Degraded answers that the service has counted; None where nobody counts."""
    answer = httpx.get(f"{url}/metrics", timeout=10)
    if answer.status_code != 200:
        return None
    return sum(float(number) for number in DEGRADED.findall(answer.text))


def ratios(repeats: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Of each figure that has an aim: the median over the repeats, the lowest and the highest."""
    found = {}
    for name in AIMS:
        values = [value for repeat in repeats if (value := _figure(name, repeat)) is not None]
        if values:
            found[name] = {"median": median(values), "low": min(values), "high": max(values)}
    return found


def _figure(name: str, repeat: dict[str, Any]) -> float | None:
    if name == "batch_per_second":
        return float(repeat["batch"]["per_second"]) if "batch" in repeat else None
    what, _, other = name.partition("_of_")
    if OURS not in repeat or other not in repeat:
        return None
    ours, theirs = (
        row["half"]["p99_ms"] if what == "p99" else row["throughput"]["per_second"]
        for row in (repeat[OURS], repeat[other])
    )
    return float(ours / theirs) if theirs else None


def main() -> int:
    """Measure and print; 2 for what the caller can mend."""
    return run("serving", __doc__, ServingBenchmark, measure, _show)


def _show(found: dict[str, Any]) -> None:
    console = Console()
    console.print(_speeds(found["repeats"]))
    console.print(_aims(found["ratios"]))


def _speeds(repeats: list[dict[str, Any]]) -> Table:
    title = "Medians over the repeats; times at half of each one's own throughput"
    table = Table(title=title, box=box.SIMPLE)
    for heading in ("", "decisions/s", "p50 ms", "p99 ms", "not 200", "degraded"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for way in (way for way in WAYS if way in repeats[0]):
        full = [repeat[way]["throughput"] for repeat in repeats]
        half = [repeat[way]["half"] for repeat in repeats]
        failed = sum(row["refused"] + row["broken"] for row in full)
        table.add_row(
            WAYS[way],
            f"{median(row['per_second'] for row in full):,.0f}",
            f"{median(row['p50_ms'] for row in half):.1f}",
            f"{median(row['p99_ms'] for row in half):.1f}",
            f"{failed + sum(row['failed'] for row in half)}",
            f"{sum((row['degraded'] or 0) for row in full + half):.0f}",
        )
    if batch := [repeat["batch"] for repeat in repeats if "batch" in repeat]:
        failed, silent = (sum(row[name] for row in batch) for name in ("failed", "degraded"))
        speed = median(row["per_second"] for row in batch)
        table.add_row("in batches", f"{speed:,.0f}", "", "", f"{failed}", f"{silent}")
    return table


def _aims(found: dict[str, dict[str, float]]) -> Table:
    table = Table(title="Ours, as ratios of the same repeat", box=box.SIMPLE)
    for heading in ("", "median", "lowest", "highest", "aim", ""):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for name, row in found.items():
        sign, aim = AIMS[name]
        reached = row["median"] >= aim if sign == ">=" else row["median"] <= aim
        values = (f"{row[key]:,.2f}" for key in ("median", "low", "high"))
        words = name.replace("_", " ")
        table.add_row(words, *values, f"{sign} {aim:,g}", "reached" if reached else "missed")
    return table


if __name__ == "__main__":
    sys.exit(main())
