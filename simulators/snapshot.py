"""The command that writes a file of users: what the service would know of simulated people."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from rich.console import Console

from envs.catalogue import load_catalogue
from envs.decisions import Policy
from envs.errors import InputError
from envs.lineage import lineage
from simulators.cluster import everywhere
from simulators.make import SyntheticWorlds, world_factory
from simulators.progress import Bar
from simulators.replay import LoadPolicy
from simulators.rollout import Player
from simulators.user_columns import People, UserColumns, UsersInfo, user_file
from simulators.world import START, SyntheticWorld

GROUP: Final = 16_384
"""Users of a row group: what is read, and scored, in one piece."""


@dataclass(frozen=True, slots=True)
class SnapshotConfig:
    """Let people live for a while and write what a service would know of each, for `score`."""

    out: Path = Path("runs/users.parquet")
    """The Parquet file."""
    users: int = 1000
    """How many people are followed; those who leave for good are not in the file."""
    first_user: int = 0
    """Number of the first of them; the same number is the same person in any run of a seed."""
    days: float = 7.0
    """How long they live before; then each stands at the next opportunity."""
    policy: str = "uniform"
    """Who decides until then: a baseline or a bundle's folder."""
    seed: int = 0
    """Of all luck."""
    preset: str = "default"
    """Of the world: default, small, sparse, grocery, budget or tabular."""
    catalogue: Path | None = None
    """A catalogue file; the preset's own when left out."""
    start: str = START
    """ISO 8601 time with zone."""
    workers: int = 0
    """Ray tasks at a time; 0: no Ray, or all cores of the cluster at --address."""
    address: str | None = None
    """Ray cluster to use; with --workers one is started here when left out."""
    json: bool = False
    """Print one JSON object."""


@dataclass(frozen=True, slots=True)
class Life:
    """How people live until the snapshot."""

    worlds: SyntheticWorlds
    seed: int
    policy: Policy
    days: float


def run_snapshot(config: SnapshotConfig, load_policy: LoadPolicy) -> None:
    """The command: let people live, write them, say how many there are."""
    if min(config.users, config.days) < 1 or min(config.first_user, config.workers) < 0:
        raise InputError(
            f"users {config.users} and days {config.days:g} have to be 1 or more, first_user "
            f"{config.first_user} and workers {config.workers} 0 or more"
        )
    catalogue = None if config.catalogue is None else load_catalogue(config.catalogue)
    worlds = world_factory(config.preset, catalogue, config.start)
    policy = load_policy(config.policy, worlds.catalogue)
    life = Life(worlds, config.seed, policy, config.days)
    origin = lineage(config.seed)
    info = UsersInfo(config.preset, worlds.catalogue.text, worlds.catalogue.hash, origin)
    started = time.perf_counter()
    with user_file(config.out, info) as file, Bar("living", shown=not config.json) as bar:
        groups = _groups(config.first_user, config.users)
        for table in everywhere(
            partial(people_after, life=life), groups, config.address, config.workers, bar.update
        ):
            file.add(table)
    seconds = time.perf_counter() - started
    if config.json:
        result = {"out": str(config.out), "users": file.rows, "seconds": round(seconds, 3)}
        print(json.dumps(result | {"lineage": origin}))
        return
    line = f"{file.rows:,} users in {seconds:.1f} s -> {config.out}"
    Console(stderr=True).print(line, highlight=False, soft_wrap=True)


def _groups(first: int, users: int) -> list[NDArray[np.int64]]:
    numbers = np.arange(first, first + users)
    return [numbers[start : start + GROUP] for start in range(0, users, GROUP)]


def people_after(users: NDArray[np.int64], life: Life) -> pa.Table:
    """What is known of users, int64 [U], once they have lived; those who left are not in it."""
    world = life.worlds(len(users), life.seed)
    for _ in Player(world, life.policy, life.days).ticks(users):
        pass
    return people_table(world, users)


def people_table(world: SyntheticWorld, users: NDArray[np.int64]) -> pa.Table:
    """The rows of a world as a file of users has them; ``users`` says who they are, int64 [N]."""
    here = np.flatnonzero(~world.departed)
    ids = pa.array([f"user-{user}" for user in users[here].tolist()], pa.string())
    people = People(ids, world.users.take(here), world.moment().take(here))
    zones = world.time_zones()
    return UserColumns.of(world.catalogue).table(people, [zones[row] for row in here.tolist()])
