"""Pieces of the oracle's work: each a pure function of the setting, done here or by a Ray task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from simulators.oracle.attained import Attained, Optimal, Player, Rival, Silent, play
from simulators.oracle.criterion import GAMMA
from simulators.oracle.grid import Nodes
from simulators.oracle.panel import Panel
from simulators.oracle.plan import Plan, Potential
from simulators.oracle.planning import Planner
from simulators.oracle.steadying import Steadying
from simulators.population import Traits
from simulators.presets import Preset
from simulators.world import START

Individuals = NDArray[np.int64]
ALL_RULES: Final = "attained_under_all_rules"


@dataclass(frozen=True, slots=True)
class Setting:
    """The world, and whom to follow in it for how long."""

    preset: Preset
    catalogue: Catalogue
    seed: int
    days: float
    panel: Panel
    nodes: Nodes
    rivals: Sequence[Rival] = ()
    """Whom to simulate, once they are known; their plans are large, so they travel once for all."""

    def planner(self, refined: bool = False) -> Planner:
        """A planner for this world, on a grid twice as fine where that is asked for."""
        nodes = self.nodes.doubled() if refined else self.nodes
        return Planner(self.catalogue, self.preset, START, nodes=nodes)

    def play(
        self,
        player: Player,
        individuals: Individuals,
        potentials: list[Potential] | None = None,
        all_rules: bool = False,
    ) -> Attained:
        """What a player attains with the copies of some individuals.

        Their potentials, where they are known, take most of the luck out of it.
        """
        copies = np.repeat(np.arange(len(individuals)), self.panel.copies)
        return play(
            self.preset,
            self.catalogue,
            self.seed,
            player,
            self.panel.part(individuals),
            self.days,
            all_rules=all_rules,
            steadying=Steadying(potentials, copies, GAMMA) if potentials else None,
        )

    def optimal(self, plans: list[Plan]) -> Optimal:
        """Plays one plan for the copies of each individual."""
        return Optimal(plans, np.repeat(np.arange(len(plans)), self.panel.copies))


@dataclass(frozen=True, slots=True)
class OptimumOf:
    """Plan for individuals, and simulate what their plans attain."""

    individuals: Individuals

    def done(self, setting: Setting) -> Optimum:
        """Plans stay here: they are large."""
        persons, planner = setting.panel.persons, setting.planner()
        plans = [planner.plan(persons.take(np.asarray([i]))) for i in self.individuals]
        player, potentials = setting.optimal(plans), [plan.potential for plan in plans]
        return Optimum(
            np.asarray([plan.value_cents for plan in plans]),
            np.asarray([plan.silence_cents for plan in plans]),
            {
                "silence": setting.play(Silent(), self.individuals, potentials),
                "attained": setting.play(player, self.individuals, potentials),
                ALL_RULES: setting.play(player, self.individuals, potentials, all_rules=True),
            },
            potentials,
        )


@dataclass(frozen=True, slots=True)
class Optimum:
    """Of some individuals."""

    planned: NDArray[np.float64]
    """Cents a user-week, float64 [I]."""
    silence: NDArray[np.float64]
    """With no contact at all, exact, float64 [I]."""
    played: dict[str, Attained]
    """Of their copies."""
    potentials: list[Potential]


@dataclass(frozen=True, slots=True)
class RefinedOf:
    """Plan for individuals on a grid twice as fine, and simulate."""

    individuals: Individuals

    def done(self, setting: Setting) -> Optimum:
        """As for the usual grid, without what does not depend on it."""
        planner = setting.planner(refined=True)
        persons = setting.panel.persons
        plans = [planner.plan(persons.take(np.asarray([i]))) for i in self.individuals]
        potentials = [plan.potential for plan in plans]
        return Optimum(
            np.asarray([plan.value_cents for plan in plans]),
            np.asarray([plan.silence_cents for plan in plans]),
            {"attained": setting.play(setting.optimal(plans), self.individuals, potentials)},
            potentials,
        )


@dataclass(frozen=True, slots=True)
class PlansFor:
    """Plan for imagined people: the centres of archetypes, or the mean user."""

    people: Traits

    def done(self, setting: Setting) -> list[Plan]:
        """One plan for each."""
        planner = setting.planner()
        rows = range(len(self.people.archetype))
        return [planner.plan(self.people.take(np.asarray([row]))) for row in rows]


@dataclass(frozen=True, slots=True)
class RivalOf:
    """Simulate one of the setting's rivals for the copies of some individuals."""

    number: int
    individuals: Individuals
    potentials: list[Potential]

    def done(self, setting: Setting) -> Attained:
        """Under all rules, as everybody has to."""
        rival = setting.rivals[self.number]
        return setting.play(rival, self.individuals, self.potentials, all_rules=True)


@dataclass(frozen=True, slots=True)
class Tuned:
    """Tune a rival on users of its own."""

    tune: Callable[[Preset, Catalogue, int], Rival]

    def done(self, setting: Setting) -> Rival:
        """The rival at its best."""
        return self.tune(setting.preset, setting.catalogue, setting.seed)


Job = OptimumOf | RefinedOf | PlansFor | RivalOf | Tuned


def done(setting: Setting, job: Job) -> Optimum | list[Plan] | Attained | Rival:
    """Do one piece of work."""
    return job.done(setting)
