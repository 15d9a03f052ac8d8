"""What deciding users are worth when they are simulated: discounted, paired, by user.

A player decides for all rows of a world at every opportunity. It may look at anything; honest ones
look at what the service knows. Everybody meets the same luck, so differences are paired.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.clock import DAY
from envs.decisions import Moment, Step
from simulators.oracle.criterion import GAMMA, flow
from simulators.oracle.known_rules import KnownRules
from simulators.oracle.plan import Plan, Standing, Today
from simulators.population import Traits
from simulators.presets import Preset
from simulators.world import SyntheticWorld


class Player(Protocol):
    """Decides for the rows of a world."""

    name: str

    def begin(self, world: SyntheticWorld) -> None:
        """Users were put into the rows: forget everything."""

    def decide(self, world: SyntheticWorld, allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Allowed actions for every row, int64 [N]; ``allowed`` is bool [N, A]."""

    def learn(
        self, moment: Moment, actions: NDArray[np.int64], step: Step, world: SyntheticWorld
    ) -> None:
        """What came of the actions that were played at ``moment``; the world has moved on."""


class Smoothing(Protocol):
    """Takes luck out of a simulation without moving its means."""

    def begin(self) -> None:
        """Nobody has been contacted yet."""

    def due(self, world: SyntheticWorld, actions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Before a step: what these actions should bring, float64 [N] cents."""

    def luck(
        self, world: SyntheticWorld, before: Moment, due: NDArray[np.float64], step: Step
    ) -> NDArray[np.float64]:
        """After the step: how much of what came is luck, float64 [N] cents."""


class Rival(Player, Protocol):
    """One that the optimum is compared with."""

    def tuned(self) -> dict[str, float | str]:
        """What was chosen by trying, by name; nothing where nothing was."""


@dataclass(frozen=True, slots=True)
class Attained:
    """What came of a player."""

    value_cents: NDArray[np.float64]
    """Constant flow with the same discounted value, by row, cents a user-week, float64 [N]: mean
    net value given the hidden state, with the luck taken out that can be."""
    net_cents: NDArray[np.float64]
    """The same of the net value as it fell."""
    spend_cents: NDArray[np.float64]
    """The same of what was spent on offers and sends, as it fell."""
    mean_spend_cents: NDArray[np.float64]
    """The same of the mean of that given the hidden state."""
    contacts: NDArray[np.float64]
    """A user-week, by row, float64 [N]."""
    refused: dict[str, float]
    """Share of the contacts that a rule left out of plans would have refused, by its name and for
    any of them."""


@dataclass(frozen=True, slots=True)
class Users:
    """Whom to follow; row i holds the person with this id, or with these traits and its luck."""

    ids: NDArray[np.int64]
    """int64 [N]; repetitions are the same person again."""
    traits: Traits | None = None
    """Of each row; drawn from the preset when left out."""


def play(
    preset: Preset,
    catalogue: Catalogue,
    seed: int,
    player: Player,
    users: Users,
    days: float,
    all_rules: bool = False,
    gamma: float = GAMMA,
    steadying: Smoothing | None = None,
) -> Attained:
    """Let a player decide for users, each from the start of the world.

    Args:
        preset: of the world.
        catalogue: of the world.
        seed: of all luck.
        player: decides.
        users: whom to follow.
        days: how long.
        all_rules: all rules bind. Otherwise only those that plans know, and it is counted what
            the others would have refused.
        gamma: discount a day.
        steadying: takes the luck of selling out of the values; their means stay as they are.
    """
    n = len(users.ids)
    world = SyntheticWorld(n, seed, preset, catalogue)
    world.restart(np.arange(n), users.ids, users.traits)
    referee = _Referee(KnownRules(catalogue), all_rules)
    player.begin(world)
    if steadying:
        steadying.begin()
    until = world.start_s + round(days * DAY)
    sums, made, none = _Sums(n), np.zeros(n), np.zeros(n)
    active = world.moment().now < until
    while active.any():
        moment = world.moment()
        actions = referee.play(world, player, active)
        due = steadying.due(world, actions) if steadying else none
        step = world.step(actions, active)
        player.learn(moment, actions, step, world)
        luck = steadying.luck(world, moment, due, step) if steadying else none
        weight = gamma ** ((moment.now - world.start_s) / DAY)
        sums.add(step, luck, np.where(active, weight, 0.0))
        made += actions > 0
        active = active & ~step.departed & (world.moment().now < until)
    value, net, spend, mean_spend = (
        np.asarray([flow(cents, days, gamma) for cents in total]) for total in sums.totals()
    )
    return Attained(value, net, spend, mean_spend, made / (days / 7), referee.shares())


class _Sums:
    """Adds up what steps brought, discounted."""

    def __init__(self, n: int) -> None:
        self._value, self._net = np.zeros(n), np.zeros(n)
        self._spend, self._mean_spend = np.zeros(n), np.zeros(n)

    def add(self, step: Step, luck: NDArray[np.float64], weight: NDArray[np.float64]) -> None:
        """``weight`` is 0 for who does not move, float64 [N]."""
        self._value += np.where(weight > 0, weight * (step.expected_cents - luck), 0.0)
        self._net += weight * step.parts.net_cents()
        self._spend += weight * step.parts.spend_cents()
        self._mean_spend += np.where(weight > 0, weight * step.expected_spend_cents, 0.0)

    def totals(self) -> tuple[NDArray[np.float64], ...]:
        """Mean value, value as it fell, spend as it fell and mean spend, each float64 [N]."""
        return self._value, self._net, self._spend, self._mean_spend


class _Referee:
    """Applies the rules and counts what they refuse."""

    def __init__(self, rules: KnownRules, all_rules: bool) -> None:
        self._rules, self._all_rules = rules, all_rules
        self._contacts = 0
        self._refused = dict.fromkeys((*rules.left_out, "any"), 0)

    def play(
        self, world: SyntheticWorld, player: Player, active: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """The player's actions, int64 [N]."""
        refusals = self._rules.rules.refusals(world.users, world.moment(), world.budget_left())
        binding = refusals if self._all_rules else refusals & self._rules.known_bits
        actions = np.where(active, player.decide(world, binding == 0), 0)
        rows = np.flatnonzero(actions)
        bits = refusals[rows, actions[rows]]
        self._contacts += len(rows)
        for name, bit in self._rules.left_out.items():
            self._refused[name] += int(np.count_nonzero(bits & bit))
        self._refused["any"] += int(np.count_nonzero(bits))
        return actions

    def shares(self) -> dict[str, float]:
        """Of the contacts made."""
        return {name: count / max(self._contacts, 1) for name, count in self._refused.items()}


class Silent:
    """Contacts nobody."""

    name = "silence"

    def begin(self, world: SyntheticWorld) -> None:
        """Nothing to forget."""

    def decide(self, world: SyntheticWorld, allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Silence for everybody, int64 [N]."""
        return np.zeros(len(allowed), np.int64)

    def learn(
        self, moment: Moment, actions: NDArray[np.int64], step: Step, world: SyntheticWorld
    ) -> None:
        """Nothing to learn."""


class Optimal:
    """Follows each individual's own plan and sees the hidden state."""

    name = "optimal"

    def __init__(self, plans: list[Plan], plan_of: NDArray[np.int64]) -> None:
        """``plan_of`` numbers the plan of each row, int64 [N]."""
        self._plans = [
            (plan, np.flatnonzero(plan_of == number)) for number, plan in enumerate(plans)
        ]
        self._today = Today(len(plan_of))

    def begin(self, world: SyntheticWorld) -> None:
        """Nobody has been contacted yet."""
        self._today = Today(len(world.departed))

    def decide(self, world: SyntheticWorld, allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The best action of each row's plan, int64 [N]."""
        at = Standing.of(world, self._today.contacts(world.moment()))
        actions = np.zeros(len(allowed), np.int64)
        for plan, rows in self._plans:
            worth = plan.advantages(at.take(rows))
            actions[rows] = np.where(allowed[rows], worth, -np.inf).argmax(axis=1)
        return actions

    def learn(
        self, moment: Moment, actions: NDArray[np.int64], step: Step, world: SyntheticWorld
    ) -> None:
        """Count the contacts of the day."""
        self._today.count(moment, actions > 0)
