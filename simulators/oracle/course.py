"""The course that every policy runs: the same users with the same luck, beside the optimum.

The users are copies of individuals whose optimum is known, once for each seed of luck. All rules
bind everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from simulators.cluster import Progress, everywhere, quiet_ray
from simulators.oracle.attained import Attained, Player, Silent, play
from simulators.oracle.finite import Following, Shortfall
from simulators.oracle.judging import Individuals, Setting
from simulators.oracle.plan import Potential
from simulators.oracle.tabular import FiniteModel
from simulators.oracle.yardstick import STORE_BYTES, Workers

Floats = NDArray[np.float64]
Arrays = Mapping[str, NDArray[np.generic]]

ROWS: Final = 2048
"""Users side by side at most; few steps of many users cost less than many of few."""
SILENCE: Final = "silence"
ORACLE: Final = "oracle"


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a player on a course, by individual, seed and copy; float64 [I * K * copies]."""

    value_cents: Floats
    """A user-week, as of ``Attained``: the mean given the hidden state, with little luck in it."""
    net_cents: Floats
    """A user-week, as it fell."""
    spend_cents: Floats
    """A user-week, as it fell."""
    contacts: Floats
    """A user-week."""

    @classmethod
    def of(cls, seeds: Sequence[Sequence[Attained]], copies: int) -> Self:
        """Put together by seed, then by piece of the individuals."""

        def whole(name: str) -> Floats:
            each = [np.concatenate([getattr(part, name) for part in parts]) for parts in seeds]
            return np.stack([values.reshape(-1, copies) for values in each], axis=1).reshape(-1)

        return cls(*(whole(field.name) for field in fields(cls)))

    def arrays(self, prefix: str = "") -> dict[str, Floats]:
        """By name."""
        return {prefix + field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def read(cls, arrays: Arrays, prefix: str = "") -> Self:
        """From arrays by name."""
        return cls(*(np.asarray(arrays[prefix + f.name], np.float64) for f in fields(cls)))


@dataclass(frozen=True, slots=True)
class Course:
    """Users and luck, and what is known of the best that can be done with them."""

    setting: Setting
    seeds: tuple[int, ...]
    """Of the luck; each plays all users once more."""
    optimum: Floats
    """Planned, or exact in a finite world, cents a user-week, float64 [I]."""
    silence: Floats
    """With no contact at all, exact, float64 [I]."""
    potentials: tuple[Potential, ...] = ()
    """Of the individuals; none in a finite world."""
    shortfall: Shortfall | None = None
    """Of a finite world."""

    def __len__(self) -> int:
        """Users, each counted once a seed."""
        return len(self.setting.panel) * self.setting.panel.copies * len(self.seeds)

    def pieces(self) -> list[Individuals]:
        """The individuals, so many at a time as play side by side."""
        panel = self.setting.panel
        count = -(-len(panel) * panel.copies // ROWS)
        return np.array_split(np.arange(len(panel)), min(count, len(panel)))

    def run(self, player: Player, seed: int, individuals: Individuals) -> Attained:
        """Let a player decide for the copies of some individuals."""
        setting = replace(self.setting, seed=seed)
        if self.shortfall is None:
            potentials = [self.potentials[i] for i in individuals]
            return setting.play(player, individuals, potentials, all_rules=True)
        users = setting.panel.part(individuals)
        attained = play(
            setting.preset, setting.catalogue, seed, player, users, setting.days,
            all_rules=True, steadying=self.shortfall,
        )  # fmt: skip
        optimum = np.repeat(self.optimum[individuals], setting.panel.copies)
        return replace(attained, value_cents=optimum + attained.value_cents)


@dataclass(frozen=True, slots=True)
class LaidOf:
    """Plan for individuals, and let silence and their plans run."""

    individuals: Individuals
    seeds: tuple[int, ...]

    def done(self, setting: Setting) -> Laid:
        """Plans stay here: they are large."""
        persons, planner = setting.panel.persons, setting.planner()
        plans = [planner.plan(persons.take(np.asarray([i]))) for i in self.individuals]
        potentials = [plan.potential for plan in plans]
        players: dict[str, Player] = {SILENCE: Silent(), ORACLE: setting.optimal(plans)}
        return Laid(
            np.asarray([plan.value_cents for plan in plans]),
            np.asarray([plan.silence_cents for plan in plans]),
            potentials,
            {
                name: [
                    replace(setting, seed=seed).play(
                        player, self.individuals, potentials, all_rules=True
                    )
                    for seed in self.seeds
                ]
                for name, player in players.items()
            },
        )


@dataclass(frozen=True, slots=True)
class Laid:
    """What is known of some individuals."""

    optimum: Floats
    silence: Floats
    potentials: list[Potential]
    ran: dict[str, list[Attained]]
    """Of silence and the oracle, by seed."""


def planned_course(
    setting: Setting, seeds: tuple[int, ...], parts: Sequence[Laid]
) -> tuple[Course, dict[str, Ran]]:
    """The course of the individuals of all parts, and how silence and the oracle ran it."""
    course = Course(
        setting,
        seeds,
        np.concatenate([part.optimum for part in parts]),
        np.concatenate([part.silence for part in parts]),
        tuple(potential for part in parts for potential in part.potentials),
    )
    copies = setting.panel.copies
    ran = {
        name: Ran.of([[part.ran[name][k] for part in parts] for k in range(len(seeds))], copies)
        for name in (SILENCE, ORACLE)
    }
    return course, ran


def finite_course(
    setting: Setting, seeds: tuple[int, ...], model: FiniteModel
) -> tuple[Course, list[Player]]:
    """The course of a finite world, and its silence, its oracle and its myopic policy."""
    best, none = model.best(), np.zeros(len(model.states), np.int64)
    values = best.values, model.values_of(none)
    optimum, silence = (np.full(len(setting.panel), model.value_cents(v)) for v in values)
    course = Course(setting, seeds, optimum, silence, shortfall=Shortfall(model, best))
    oracle = Following(ORACLE, model, best.actions)
    return course, [Silent(), oracle, Following("myopic", model, model.myopic())]


def race(
    course: Course, players: Sequence[Player], workers: Workers, progress: Progress
) -> dict[str, Ran]:
    """Let players run a course, by name. The result is the same for any number of workers."""
    pieces = course.pieces()
    starts = [
        (number, seed, piece)
        for number in range(len(players))
        for seed in course.seeds
        for piece in pieces
    ]
    came = each(partial(_run, course, players), starts, workers, progress)
    by_seed = [came[i : i + len(pieces)] for i in range(0, len(came), len(pieces))]
    seeds, copies = len(course.seeds), course.setting.panel.copies
    return {
        player.name: Ran.of(by_seed[number * seeds : (number + 1) * seeds], copies)
        for number, player in enumerate(players)
    }


def _run(
    course: Course, players: Sequence[Player], start: tuple[int, int, Individuals]
) -> Attained:
    number, seed, individuals = start
    return course.run(players[number], seed, individuals)


def each(
    function: Callable[[Any], Any], jobs: Sequence[Any], workers: Workers, progress: Progress
) -> list[Any]:
    """Results in the order of the jobs; a single job needs no Ray of its own."""
    if workers.address is None and (len(jobs) < 2 or not workers.workers):
        return list(everywhere(function, jobs, progress=progress))
    with quiet_ray(workers.address, workers.workers, STORE_BYTES) if jobs else nullcontext():
        return list(everywhere(function, jobs, workers.address, workers.workers, progress))
