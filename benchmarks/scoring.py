"""How many decisions `agents score` takes a second, beside the bare policy, and in what memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import tyro
from rich import box
from rich.console import Console
from rich.table import Table

from agents.policy import QNetworkPolicy, save_bundle
from agents.shipping.scoring import ROWS
from envs.catalogue import Catalogue, load_catalogue
from envs.encoding import Encoding
from envs.lineage import lineage
from envs.rules import Rules
from simulators.make import world_factory
from simulators.progress import Bar
from simulators.snapshot import GROUP, Life, people_after
from simulators.user_columns import UsersInfo, user_file
from simulators.user_rows import UserReader


@dataclass(frozen=True, slots=True)
class ScoringBenchmark:
    """Decide for many users from a file, and for some in memory; compare speeds and memory."""

    users: int = 1_000_000
    """In the larger file; the smaller one has a quarter of them."""
    lives: int = 65_536
    """People who are simulated; the files have them again and again, under other names."""
    days: float = 3.0
    """How long they have lived."""
    hidden: tuple[int, ...] = (128, 128)
    """Widths of the network, whose weights are random: speed does not depend on what is learnt."""
    workers: int = 2
    """Row groups decided at a time."""
    repeats: int = 3
    """Of each measurement; the best counts, since other work on the machine only slows down."""
    seed: int = 0
    """Of people and weights."""
    folder: Path | None = None
    """Where the files are made and kept; a temporary folder when left out."""
    json: bool = False
    """Print one JSON object instead of a table."""


def measure(config: ScoringBenchmark, folder: Path) -> dict[str, Any]:
    """Make users and a policy, then measure the floor and both files."""
    shown = not config.json
    lives = _lives(config, shown)
    policy = _policy(config)
    bundle = folder / "policy"
    save_bundle(bundle, policy, load_catalogue(), lineage(config.seed), {})
    found: dict[str, Any] = {"floor": _floor(config, policy, lives[0])}
    for name, users in (("quarter", config.users // 4), ("whole", config.users)):
        path = users_file(config, folder / f"{name}.parquet", lives, users)
        with Bar(f"deciding for {users:,}", shown):
            found[name] = best_of(
                _score(config, bundle, path, folder) for _ in range(config.repeats)
            )
    return found | {"ratios": ratios(found, config.workers), "lineage": lineage(config.seed)}


def _lives(config: ScoringBenchmark, shown: bool) -> list[pa.Table]:
    """People who have lived under random contacts, in groups."""
    from agents.baselines import Uniform

    life = Life(world_factory(), config.seed, Uniform(), config.days)
    numbers, tables = np.arange(config.lives), []
    with Bar("living", shown) as bar:
        for start in range(0, config.lives, GROUP):
            tables.append(people_after(numbers[start : start + GROUP], life))
            bar.update(min(1.0, (start + GROUP) / config.lives))
    return tables


def _policy(config: ScoringBenchmark) -> QNetworkPolicy:
    """A network with random weights."""
    catalogue, rng = load_catalogue(), np.random.default_rng(config.seed)
    widths = (Encoding(catalogue).width, *config.hidden, len(catalogue.actions))
    layers = []
    for inputs, outputs in pairwise(widths):
        weight = (rng.normal(size=(inputs, outputs)) / np.sqrt(inputs)).astype(np.float32)
        layers.append((weight.astype(np.float64), np.zeros(outputs)))
    return QNetworkPolicy(tuple(layers))


def users_file(config: ScoringBenchmark, path: Path, lives: list[pa.Table], users: int) -> Path:
    """A file of so many users, in row groups as `snapshot` makes them."""
    catalogue = load_catalogue()
    info = UsersInfo("default", catalogue.text, catalogue.hash, lineage(config.seed))
    with user_file(path, info) as file:
        number = 0
        while file.rows < users:
            group = lives[number % len(lives)].slice(0, users - file.rows)
            names = pa.array([f"user-{file.rows + row}" for row in range(group.num_rows)])
            file.add(group.set_column(0, "user_id", names))
            number += 1
    return path


def _floor(config: ScoringBenchmark, policy: QNetworkPolicy, lives: pa.Table) -> dict[str, float]:
    """The bare policy on one core: observations and masks in memory, rows out, nothing drawn."""
    catalogue = load_catalogue()
    people = UserReader(Path("memory"), catalogue).people(lives.combine_chunks().to_batches()[0])
    observations, mask = _seen(catalogue, people.users, people.moment)
    walls, works = [], []
    for _ in range(3 * config.repeats):
        wall, work = time.perf_counter(), time.process_time()
        for start in range(0, len(mask), ROWS):
            policy.probabilities(observations[start : start + ROWS], mask[start : start + ROWS])
        walls.append(time.perf_counter() - wall)
        works.append(time.process_time() - work)
    return {"per_second": len(mask) / min(walls), "per_cpu_second": len(mask) / min(works)}


def _seen(catalogue: Catalogue, users: Any, moment: Any) -> tuple[Any, Any]:
    return Encoding(catalogue).encode(users, moment), ~Rules(catalogue).refused(users, moment)


def _score(config: ScoringBenchmark, bundle: Path, users: Path, folder: Path) -> dict[str, Any]:
    """One call of the command, in a process of its own."""
    command = [sys.executable, "-m", "agents", "score", str(bundle), str(users)]
    command += ["--out", str(folder / "decisions"), "--workers", str(config.workers), "--json"]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    whole = time.perf_counter() - started
    said = json.loads(done.stdout)
    return {
        "users": said["decisions"],
        "seconds": said["seconds"],
        "seconds_with_start": whole,
        "per_second": said["decisions"] / said["seconds"],
        "per_cpu_second": said["decisions"] / said["cpu_seconds"],
        "peak_worker_mb": said["peak_worker_mb"],
        "peak_driver_mb": said["peak_driver_mb"],
    }


def best_of(runs: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """The fastest run, with the least processor time and the most memory of all."""
    every = list(runs)
    best = max(every, key=lambda run: float(run["per_second"]))
    return best | {
        "per_cpu_second": max(run["per_cpu_second"] for run in every),
        "peak_worker_mb": max(run["peak_worker_mb"] for run in every),
        "peak_driver_mb": max(run["peak_driver_mb"] for run in every),
    }


def ratios(found: dict[str, Any], workers: int) -> dict[str, float]:
    """Speed beside the bare policy's, as the clock and as the processor saw it; memory by size.

    Once workers have started, the larger file takes longer by its further users alone.
    """
    floor, whole, quarter = found["floor"], found["whole"], found["quarter"]
    return {
        "speed_of_floor": whole["per_second"] / floor["per_second"],
        "speed_of_floor_a_core": whole["per_cpu_second"] / floor["per_cpu_second"],
        "further_per_second": (whole["users"] - quarter["users"])
        / (whole["seconds"] - quarter["seconds"]),
        "two_cores_alone_per_second": workers * whole["per_cpu_second"],
        "worker_memory": whole["peak_worker_mb"] / quarter["peak_worker_mb"],
        "driver_memory": whole["peak_driver_mb"] / quarter["peak_driver_mb"],
    }


@contextmanager
def _place(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with TemporaryDirectory() as temporary:
        yield Path(temporary)


def main() -> None:
    """Measure and print."""
    config = tyro.cli(ScoringBenchmark, prog="python -m benchmarks.scoring")
    with _place(config.folder) as folder:
        found = measure(config, folder)
    if config.json:
        print(json.dumps(found))
        return
    Console().print(_table(found))


def _table(found: dict[str, Any]) -> Table:
    said = found["ratios"]
    title = (
        f"{said['speed_of_floor']:.2f} times the bare policy on one core "
        f"({said['speed_of_floor_a_core']:.2f} a core); once workers have started "
        f"{said['further_per_second']:,.0f} a second; a worker's memory x "
        f"{said['worker_memory']:.2f} for four times the users"
    )
    table = Table(title=title, box=box.SIMPLE)
    for heading in ("", "users", "a second", "a second of a core", "worker MB", "driver MB"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    floor = found["floor"]
    table.add_row("bare policy", "", *_speeds(floor), "", "")
    for name in ("quarter", "whole"):
        row = found[name]
        memory = (f"{row['peak_worker_mb']:.0f}", f"{row['peak_driver_mb']:.0f}")
        table.add_row(name, f"{row['users']:,}", *_speeds(row), *memory)
    return table


def _speeds(row: dict[str, float]) -> tuple[str, str]:
    return f"{row['per_second']:,.0f}", f"{row['per_cpu_second']:,.0f}"


if __name__ == "__main__":
    main()
