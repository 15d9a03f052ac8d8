"""Ours and RLlib's own DQN at several sizes: their rates in turn, and the ratios."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from agents.judging.field import OTHER_LUCK
from benchmarks.contestants import Problem, our_config
from benchmarks.stock_dqn import stock_config
from benchmarks.throughput import Rate, Spread, in_turn, phases, warm_up

WARM_ROWS: Final = 10_000
"""Remembered before anything is measured."""
OURS, STOCK = "ours", "rllib dqn"


@dataclass(frozen=True, slots=True)
class Pace:
    """What one learner did in its blocks, steps a second."""

    envs: int
    """Environments a runner."""
    sampled: Spread
    trained: Spread
    """Both by the driver's processor time."""
    wall_sampled: Spread
    wall_trained: Spread

    @classmethod
    def of(cls, envs: int, rates: Sequence[Rate]) -> Pace:
        """Of some blocks."""
        return cls(
            envs,
            Spread.of(rate.sampled for rate in rates),
            Spread.of(rate.trained for rate in rates),
            Spread.of(rate.wall_sampled for rate in rates),
            Spread.of(rate.wall_trained for rate in rates),
        )


@dataclass(frozen=True, slots=True)
class Pair:
    """Ours beside stock; the ratios are of blocks that followed each other."""

    title: str
    runners: int
    """Remote ones; 0: the driver samples."""
    ours: Pace
    stock: Pace
    sampled_ratio: Spread
    trained_ratio: Spread
    """By processor time where the driver does everything, else by the wall clock."""

    @classmethod
    def of(
        cls, title: str, runners: int, envs: tuple[int, int], rates: tuple[list[Rate], list[Rate]]
    ) -> Pair:
        """Of the blocks of both, ours first."""
        each = list(zip(*rates, strict=True))
        names = ("wall_sampled", "wall_trained") if runners else ("sampled", "trained")
        sampled, trained = (
            Spread.of(getattr(a, name) / max(getattr(b, name), 1e-9) for a, b in each)
            for name in names
        )
        ours, stock = (Pace.of(size, of) for size, of in zip(envs, rates, strict=True))
        return cls(title, runners, ours, stock, sampled, trained)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How the two are measured."""

    preset: str
    envs: tuple[int, ...]
    runners: tuple[int, ...]
    repeats: int
    seconds: float
    seed: int


@dataclass(frozen=True, slots=True)
class Paces:
    """All that was measured."""

    pairs: list[Pair]
    phases: dict[str, dict[str, float]]
    """Share of the processor time by phase, of each at its best number of environments."""


def measure(sizes: Sizes, told: Callable[[float], None]) -> Paces:
    """Every number of environments in the driver; then remote runners, each side at its best."""
    with _built(sizes, [(name, n) for n in sizes.envs for name in (OURS, STOCK)], 0) as algorithms:
        rates = in_turn(algorithms, sizes.seconds, sizes.repeats)
        pairs = [_pair("same number", 0, (n, n), rates) for n in sizes.envs]
        best = _best(OURS, sizes.envs, rates), _best(STOCK, sizes.envs, rates)
        pairs.append(_pair("each at its best", 0, best, rates))
        shares = {
            name: phases(algorithms[name, n], sizes.seconds)
            for name, n in zip((OURS, STOCK), best, strict=True)
        }
    told(1 / (1 + len(sizes.runners)))
    for done, runners in enumerate(sizes.runners, start=2):
        with _built(sizes, list(zip((OURS, STOCK), best, strict=True)), runners) as algorithms:
            rates = in_turn(algorithms, sizes.seconds, sizes.repeats)
        pairs.append(_pair("each at its best", runners, best, rates))
        told(done / (1 + len(sizes.runners)))
    return Paces(pairs, shares)


Key = tuple[str, int]
"""Name and number of environments."""


def _pair(title: str, runners: int, envs: tuple[int, int], rates: dict[Key, list[Rate]]) -> Pair:
    found = rates[OURS, envs[0]], rates[STOCK, envs[1]]
    return Pair.of(title, runners, envs, found)


def _best(name: str, envs: Sequence[int], rates: dict[Key, list[Rate]]) -> int:
    """With so many environments it sampled most, by processor time."""
    return max(envs, key=lambda n: Spread.of(rate.sampled for rate in rates[name, n]).median)


@contextmanager
def _built(sizes: Sizes, keys: list[Key], runners: int) -> Iterator[dict[Key, Any]]:
    """Algorithms that have begun to learn, ended afterwards."""
    algorithms: dict[Key, Any] = {}
    try:
        for name, envs in keys:
            config = _sized(sizes, envs, runners)
            if name == STOCK:
                config = stock_config(config.env, config.env_config, envs, runners, config)
                config.debugging(seed=sizes.seed + OTHER_LUCK, log_level="ERROR")
            algorithms[name, envs] = config.build_algo()
            warm_up(algorithms[name, envs], WARM_ROWS)
        yield algorithms
    finally:
        for algorithm in algorithms.values():
            algorithm.stop()


def _sized(sizes: Sizes, envs: int, runners: int) -> Any:
    """Ours with so many environments, as many rows an iteration and a runner as it comes with.

    Rows learnt from a sampled row stay the same as well.
    """
    config = our_config(Problem(sizes.preset, 28.0, 400_000), sizes.seed)
    rows = config.rollout_fragment_length * config.num_envs_per_env_runner
    config.env_runners(
        num_env_runners=runners,
        num_envs_per_env_runner=envs,
        rollout_fragment_length=max(1, rows // envs),
    )
    return config.training(updates=config.updates * max(1, runners), first_rows=WARM_ROWS)
