"""Learning curves on one problem: what a learner's policy is worth after so many seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from agents.baselines import make_baseline
from agents.judging.field import Field, play
from agents.policy import Policy
from simulators.value import Estimate

POINTS: Final = 12
"""Checkpoints of a curve, each later than the one before by the same factor."""
FIRST: Final = 1 / 40
"""The first checkpoint, as a share of the time."""
PLATEAU: Final = 0.95
"""Share of our final value that counts as having learnt."""


@dataclass(frozen=True, slots=True)
class Point:
    """What a policy was worth at a checkpoint."""

    seconds: float
    """Of processor time that learning took; judging is not counted."""
    wall_seconds: float
    steps: int
    """Decisions sampled until then."""
    gain: Estimate
    """Over silence, paired, by conditional means, cents a user-week."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One training of one learner."""

    learner: str
    settings: str
    seed: int
    points: list[Point] = field(default_factory=list)

    @property
    def final(self) -> float:
        """What it was worth in the end, cents a user-week."""
        return self.points[-1].gain.mean if self.points else -np.inf

    def seconds_to(self, gain: float) -> float | None:
        """Processor time until its policy was worth so much; None when it never was."""
        return next((p.seconds for p in self.points if p.gain.mean >= gain), None)

    def held_from(self, gain: float) -> float | None:
        """Processor time from which on all its policies were worth so much; None at no time."""
        below = [k for k, point in enumerate(self.points) if point.gain.mean < gain]
        after = self.points[below[-1] + 1 if below else 0 :]
        return after[0].seconds if after else None


class Judge:
    """Plays policies for the same users with the same luck."""

    def __init__(self, where: Field) -> None:
        self._field = where
        self._silence = play(where, make_baseline("silence", where.catalogue)).value

    def gain(self, policy: Policy) -> Estimate:
        """Over silence, cents a user-week."""
        return Estimate.of(play(self._field, policy).value - self._silence)


class Checkpoints:
    """Stops the clock of a training now and then, and has its policy judged."""

    def __init__(
        self, curve: Curve, seconds: float, judge: Judge, told: Callable[[float], None]
    ) -> None:
        self._curve = curve
        self._due = list(seconds * np.geomspace(FIRST, 1.0, POINTS))
        self._seconds = seconds
        self._judge = judge
        self._told = told
        self._core = self._wall = 0.0

    def passed(self, policy: Callable[[], Policy], steps: Callable[[], int]) -> bool:
        """Judge when it is time; whether to go on.

        Args:
            policy: what has been learnt so far.
            steps: decisions sampled so far.
        """
        core = self._core + time.process_time() - self._core_started
        if not self._due or core < self._due[0]:
            return bool(self._due)
        wall = self._wall + time.perf_counter() - self._wall_started
        self._curve.points.append(Point(core, wall, steps(), self._judge.gain(policy())))
        self._due = [due for due in self._due if due > core]
        self._told(min(1.0, core / self._seconds))
        self._core, self._wall = core, wall
        self.start()
        return bool(self._due)

    @property
    def share(self) -> float:
        """Of the time that there is, what has been used."""
        return min(1.0, (self._core + time.process_time() - self._core_started) / self._seconds)

    def start(self) -> None:
        """Let the clock run from now on."""
        self._core_started, self._wall_started = time.process_time(), time.perf_counter()


@dataclass(frozen=True, slots=True)
class Standing:
    """How long one way to learn took, over its seeds."""

    learner: str
    settings: str
    final: float
    """Gain over silence in the end, cents a user-week, mean over seeds."""
    seconds: float | None
    """Processor time to the plateau, the median over seeds; None when half of them never came."""
    held: float | None
    """The same from which on they stayed there."""
    given: float
    """Processor time it had."""
    pace: float
    """Steps sampled a second of it, learning included."""


def standings(curves: list[Curve], ours: str) -> tuple[float, list[Standing]]:
    """Where our plateau is, and how long everybody took to 95 % of it.

    Args:
        curves: of all learners; those of one learner with the same settings are its seeds.
        ours: whose final value is the plateau: the mean over seeds, of its best settings.
    """
    ways: dict[tuple[str, str], list[Curve]] = {}
    for curve in curves:
        ways.setdefault((curve.learner, curve.settings), []).append(curve)
    finals = {way: float(np.mean([curve.final for curve in of])) for way, of in ways.items()}
    plateau = max(final for (learner, _), final in finals.items() if learner == ours)
    return plateau, [_standing(*way, of, plateau) for way, of in ways.items()]


def _standing(learner: str, settings: str, curves: list[Curve], plateau: float) -> Standing:
    return Standing(
        learner, settings,
        final=float(np.mean([curve.final for curve in curves])),
        seconds=_median([curve.seconds_to(PLATEAU * plateau) for curve in curves]),
        held=_median([curve.held_from(PLATEAU * plateau) for curve in curves]),
        given=float(np.mean([curve.points[-1].seconds for curve in curves])),
        pace=float(np.mean([c.points[-1].steps / c.points[-1].seconds for c in curves])),
    )  # fmt: skip


def _median(took: list[float | None]) -> float | None:
    """Median over seeds, of which those that never came took for ever."""
    median = float(np.median([np.inf if seconds is None else seconds for seconds in took]))
    return median if np.isfinite(median) else None


def train_until(
    algorithm: Any, checkpoints: Checkpoints, policy: Callable[[], Policy],
    steps: Callable[[], int], told: Callable[[float], None] | None = None,
) -> None:  # fmt: skip
    """Let an RLlib algorithm iterate until its time is over; ``told`` hears of the share of it."""
    checkpoints.start()
    while checkpoints.passed(policy, steps):
        algorithm.train()
        if told is not None:
            told(checkpoints.share)
