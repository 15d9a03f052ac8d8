"""The command that lets a policy decide in the synthetic world and keeps what a service would log.

A trace keeps everything that happened, the hidden state too; a log keeps what a service could know:
observation, mask, action, propensity and reward. Learners train from it, estimators judge with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from envs.aside import folder_aside
from envs.catalogue import load_catalogue
from envs.decisions import Policy
from envs.errors import InputError
from envs.lineage import lineage
from simulators.logs.logged import Log, write_log
from simulators.make import world_factory
from simulators.progress import Bar
from simulators.replay import LoadPolicy
from simulators.rollout import Player
from simulators.rows import Tick
from simulators.world import SyntheticWorld

BATCH = 512
"""Users side by side, and in one file of the log."""


@dataclass(frozen=True, slots=True)
class LogConfig:
    """Let a policy decide for users of the synthetic world and keep the log of its decisions."""

    out: Path
    """Folder of the log; a new one, or an empty one."""
    policy: str = "uniform"
    """A baseline (silence, uniform, rule_book, constant:OFFER/CHANNEL) or a bundle's folder."""
    users: int = 1000
    """How many users."""
    first_user: int = 0
    """Number of the first of them."""
    days: float = 28.0
    """How long to follow each."""
    seed: int = 0
    """Of all luck."""
    preset: str = "default"
    """Of the world: default, small, sparse, grocery, budget or tabular."""
    catalogue: Path | None = None
    """A catalogue file; the preset's own when left out."""
    json: bool = False
    """Print one JSON object."""


class Remembering:
    """A policy that keeps what it saw last, and what was known of the users then."""

    def __init__(self, policy: Policy, world: SyntheticWorld) -> None:
        self._policy, self._world = policy, world
        self.name = policy.name
        self.observations = np.zeros((0, 0), np.float32)
        self.attributes = np.zeros((0, 0), np.float32)

    def probabilities(
        self, observations: NDArray[np.float32], mask: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """The chance of each action, float64 [N, A]."""
        self.observations = observations
        self.attributes = self._world.users.attributes.copy()
        return self._policy.probabilities(observations, mask)


def run_log(config: LogConfig, load_policy: LoadPolicy) -> None:
    """The command: play, keep the log, say how much it holds.

    Raises:
        InputError: nothing can be written there, or there is nobody to follow.
    """
    if config.users < 1 or not config.days >= 1:
        raise InputError(f"users {config.users} and days {config.days} have to be 1 or more")
    if config.out.exists() and (not config.out.is_dir() or any(config.out.iterdir())):
        raise InputError(f"{config.out}: there is something there: give a new or an empty folder")
    catalogue = None if config.catalogue is None else load_catalogue(config.catalogue)
    make = world_factory(config.preset, catalogue)
    policy = load_policy(config.policy, make.catalogue)
    world = make(min(BATCH, config.users), config.seed)
    decisions = 0
    with folder_aside(config.out) as aside, Bar(f"playing {policy.name}", not config.json) as bar:
        for number, log in enumerate(played(world, policy, config)):
            write_log(log, aside / f"part-{number:06d}.parquet")
            decisions += len(log)
            bar.update((number + 1) * BATCH / config.users)
    if config.json:
        result = {"log": str(config.out), "decisions": decisions, "users": config.users}
        print(json.dumps(result | {"lineage": lineage(config.seed)}))
    else:
        Console(stderr=True).print(f"{decisions:,} decisions in {config.out}", highlight=False)


def played(world: SyntheticWorld, policy: Policy, config: LogConfig) -> Iterator[Log]:
    """What a policy decides for users, as one log after the other.

    Args:
        world: its rows are how many users go into one log.
        policy: decides.
        config: whom to follow, and for how long.
    """
    rows = len(world.departed)
    seeing = Remembering(policy, world)
    player = Player(world, seeing, config.days)
    origin = lineage(config.seed)
    everybody = np.arange(config.first_user, config.first_user + config.users)
    for first in range(0, len(everybody), rows):
        users = everybody[first : first + rows]
        who = np.zeros(rows, np.int64)
        who[: len(users)] = users
        ticks = [
            _decisions(world, tick, number, who, seeing, origin)
            for number, tick in enumerate(player.ticks(users))
        ]
        yield Log.joined(ticks)


def _decisions(
    world: SyntheticWorld,
    tick: Tick,
    number: int,
    users: NDArray[np.int64],
    seen: Remembering,
    origin: dict[str, str | int],
) -> Log:
    """The decisions of one tick; the people that take part in it."""
    rows = np.flatnonzero(tick.active)
    names = [f"user-{user}" for user in users[rows].tolist()]
    return Log(
        catalogue=world.catalogue,
        decision_ids=np.asarray([f"{name}-{number}" for name in names], object),
        user_ids=np.asarray(names, object),
        times=tick.moment.now[rows],
        scenes=tick.moment.scene[rows].astype(np.int16),
        actions=tick.actions[rows],
        propensities=tick.propensity[rows],
        observations=seen.observations[rows],
        mask=tick.mask[rows],
        rewards=tick.step.parts.net_cents()[rows].astype(np.float64),
        attributes=seen.attributes[rows].astype(np.float64),
        degraded=np.zeros(len(rows), np.bool_),
        source=f"synthetic world {world.preset.name}, seed {world.seed}",
        lineage=origin,
    )
