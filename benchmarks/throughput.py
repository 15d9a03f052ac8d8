"""How many steps a second two learners sample and train, side by side, and where the time goes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from ray.rllib.algorithms.dqn import DQN
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.learner_group import LearnerGroup
from ray.rllib.env.env_runner_group import EnvRunnerGroup
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    LEARNER_RESULTS,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_MODULE_STEPS_TRAINED_LIFETIME,
)
from ray.rllib.utils.replay_buffers.episode_replay_buffer import EpisodeReplayBuffer
from ray.tune import Trainable

from agents.columns import ReplayColumns
from agents.q_learning import QLearning
from envs.offer_env import OfferVectorEnv
from simulators.speed.stopwatch import Stopwatch

Key = TypeVar("Key")

PHASES: Final[dict[str, tuple[tuple[Any, tuple[str, ...] | None], ...]]] = {
    "environment": ((OfferVectorEnv, ("step", "reset")),),
    "rest of sampling": ((SingleAgentEnvRunner, ("sample",)),),
    "replay": ((ReplayColumns, ("add", "sample")), (EpisodeReplayBuffer, ("add", "sample"))),
    "learning": ((LearnerGroup, ("update",)),),
    "handing over": ((EnvRunnerGroup, ("sync_weights",)),),
    "rest": ((QLearning, ("training_step",)), (DQN, ("training_step",)), (Trainable, ("train",))),
}
"""What belongs to each phase of an iteration; a function's time is its own."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Steps a second of one block of iterations.

    A process that samples and learns by itself is timed by its processor time too: on a busy
    machine that is the fairer clock. Work in remote runners only shows on the wall clock.
    """

    sampled: float
    trained: float
    """By processor time of the driver."""
    wall_sampled: float
    wall_trained: float


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some repetitions and their extremes."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Of one value a repetition."""
        found = list(values)
        return cls(statistics.median(found), min(found), max(found))


def counts(algorithm: Any) -> tuple[int, int]:
    """Steps sampled and rows trained since the beginning."""
    sampled = (ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME)
    trained = (LEARNER_RESULTS, DEFAULT_MODULE_ID, NUM_MODULE_STEPS_TRAINED_LIFETIME)
    peek = algorithm.metrics.peek
    return int(peek(sampled, default=0)), int(peek(trained, default=0))


def warm_up(algorithm: Any, steps: int) -> None:
    """Iterate until so many steps are remembered and learning has begun."""
    while min(counts(algorithm)[0] - steps, counts(algorithm)[1] - 1) < 0:
        algorithm.train()


def block(algorithm: Any, seconds: float) -> Rate:
    """Iterate for some seconds of wall time, at least once."""
    sampled, trained = counts(algorithm)
    core, wall = time.process_time(), time.perf_counter()
    while True:
        algorithm.train()
        wall_took = time.perf_counter() - wall
        if wall_took >= seconds:
            break
    core_took = time.process_time() - core
    more_sampled, more_trained = counts(algorithm)
    sampled, trained = more_sampled - sampled, more_trained - trained
    return Rate(sampled / core_took, trained / core_took, sampled / wall_took, trained / wall_took)


def in_turn(algorithms: dict[Key, Any], seconds: float, repeats: int) -> dict[Key, list[Rate]]:
    """Rates of all, block by block in turn, so that a busy machine is unkind to all of them."""
    rates: dict[Key, list[Rate]] = {name: [] for name in algorithms}
    for _ in range(repeats):
        for name, algorithm in algorithms.items():
            rates[name].append(block(algorithm, seconds))
    return rates


def phases(algorithm: Any, seconds: float) -> dict[str, float]:
    """Share of the processor time by phase, measured apart from the speed, which it lowers."""
    with Stopwatch(PHASES) as watch:
        block(algorithm, seconds)
    return watch.shares()
