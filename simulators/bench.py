"""How fast the world is: user-steps a second of one core through the registered environment."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import asdict, dataclass

import gymnasium
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from envs.errors import InputError
from envs.lineage import lineage
from simulators.draws import Luck, Purpose, user_keys

ENVIRONMENT = "simulators:SceneLift-v0"


@dataclass(frozen=True, slots=True)
class BenchConfig:
    """Measure user-steps a second of one core with random allowed actions.

    A user-step is one decision: the action drawn, the world's step, the user state advanced, the
    next observation, its mask and the reward, in ``OfferVectorEnv``.
    """

    users: int = 8192
    """Users side by side."""
    steps: int = 60
    """Steps of a repeat."""
    repeats: int = 7
    """Repeats; the median counts."""
    seed: int = 0
    """Of the world and of the actions."""
    preset: str = "default"
    """Of the world."""
    json: bool = False
    """Print one JSON object."""


@dataclass(frozen=True, slots=True)
class Speed:
    """User-steps a second: the median of some repeats and their extremes.

    The process has one thread, so its processor time is the time of one core; on a busy machine
    it is the fairer clock, while wall time is what a user waits.
    """

    median: float
    """By processor time."""
    lowest: float
    highest: float
    wall_median: float
    """By wall time."""
    repeats: int
    users: int


class RandomAllowed:
    """Draws an allowed action at random, equally likely, by the luck of (seed, row, tick)."""

    def __init__(self, seed: int, rows: int) -> None:
        self._keys = user_keys(seed, np.arange(rows))
        self._tick = 0

    def actions(self, mask: NDArray[np.int8]) -> NDArray[np.int64]:
        """One allowed action a row, int64 [N]; mask is [N, A]."""
        self._tick += 1
        draw = Luck(self._keys, np.full(len(mask), self._tick)).uniform(Purpose.ACTION)
        passed = np.array(mask.T, np.uint8, order="C")  # [A, N]: long runs are fast
        for action in range(1, len(passed)):
            passed[action] += passed[action - 1]  # allowed up to this one
        left = (draw * passed[-1]).astype(np.uint8)  # how many of them to pass over
        behind = (passed <= left).view(np.uint8)
        return behind.sum(axis=0, dtype=np.uint8).astype(np.int64)


def measure(config: BenchConfig) -> Speed:
    """Measure the environment; the first repeat warms up and does not count.

    Raises:
        InputError: users, steps or repeats are below 1.
    """
    if min(config.users, config.steps, config.repeats) < 1:
        raise InputError("users, steps and repeats have to be 1 or more")
    env = gymnasium.make_vec(
        ENVIRONMENT,
        num_envs=config.users,
        vectorization_mode="vector_entry_point",
        preset=config.preset,
    )
    chooser = RandomAllowed(config.seed, config.users)
    observation, _ = env.reset(seed=config.seed)
    core, wall = [], []
    for _ in range(config.repeats + 1):
        started, core_started = time.perf_counter(), time.process_time()
        for _ in range(config.steps):
            actions = chooser.actions(observation["action_mask"])
            observation, *_ = env.step(actions)
        core.append(config.users * config.steps / (time.process_time() - core_started))
        wall.append(config.users * config.steps / (time.perf_counter() - started))
    env.close()
    return Speed(
        statistics.median(core[1:]),
        min(core[1:]),
        max(core[1:]),
        statistics.median(wall[1:]),
        config.repeats,
        config.users,
    )


def run_bench(config: BenchConfig) -> None:
    """The command: measure and print."""
    speed = measure(config)
    if config.json:
        print(json.dumps({**asdict(speed), "lineage": lineage(config.seed)}))
        return
    text = f"{speed.median:,.0f} user-steps/s of one core"
    spread = f"{speed.lowest:,.0f} to {speed.highest:,.0f} in {speed.repeats} repeats"
    wall = f"{speed.wall_median:,.0f} by the wall clock"
    Console().print(f"{text} ({spread}), {wall}, {speed.users} users", highlight=False)
