"""Stresses that people feel: for a time, or more and more, their traits are other ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from envs.clock import DAY
from envs.decisions import Moment, Step
from simulators.draws import TRAITS, Luck, Purpose, user_keys
from simulators.population import Traits
from simulators.stress.wrapper import Stress, within
from simulators.world import SyntheticWorld

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]
Floats = NDArray[np.float32]

WEEK: Final = 7 * DAY


class Altered(Stress):
    """A stress that people feel: at a moment their traits are other ones than they were born with.

    ``traits`` still gives the latter: nobody is told.
    """

    def altered(self, traits: Traits, moment: Moment) -> Traits:
        """What the traits are at the moment."""
        raise NotImplementedError

    def step(self, actions: Rows, active: Flags | None = None) -> Step:
        """As the world inside, with the traits of the moment."""
        with self._felt():
            return self.world.step(actions, active)

    def gains(self, rows: Rows, actions: Rows) -> NDArray[np.float64]:
        """As the world inside, with the traits of the moment."""
        with self._felt():
            return self.world.gains(rows, actions)

    def prospects(
        self, rows: Rows, actions: Rows
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """As the world inside, with the traits of the moment."""
        with self._felt():
            return self.world.prospects(rows, actions)

    def action_gains(self) -> NDArray[np.float64]:
        """As the world inside, with the traits of the moment."""
        with self._felt():
            return self.world.action_gains()

    @contextmanager
    def _felt(self) -> Iterator[None]:
        people = self.world
        while isinstance(people, Stress):
            people = people.world
        own = people.traits
        people.traits = self.altered(own, self.world.moment())
        try:
            yield
        finally:
            people.traits = own

    def _days(self, moment: Moment) -> NDArray[np.float64]:
        return (moment.now - self.world.start_s) / DAY


class Drift(Altered):
    """People change: every week each trait takes a step, half of it everybody's, half one's own."""

    def __init__(self, world: SyntheticWorld, spread: float) -> None:
        """``spread`` is the standard deviation of a week's step, of the logarithm (or log odds)."""
        super().__init__(world)
        within("spread", spread, 0, 1)
        self._spread = spread
        self._week = np.zeros(len(world.departed), np.int64)
        self._walked = np.zeros((len(MOVING), len(world.departed)))

    def restart(
        self, rows: Rows, user_ids: NDArray[np.int64], traits: Traits | None = None
    ) -> None:
        """As the world inside; new people have not changed yet."""
        self.world.restart(rows, user_ids, traits)
        self._week[rows] = 0
        self._walked[:, rows] = 0

    def altered(self, traits: Traits, moment: Moment) -> Traits:
        """Each trait times a random walk in weeks."""
        self._walk_on(moment)
        factor = np.exp(self._spread * self._walked).astype(np.float32)
        needs, basket, odds, liking, reach, tiring, unforgiving, temper, departing = factor
        return replace(
            traits,
            needs_per_week=traits.needs_per_week * needs,
            basket_cents=traits.basket_cents * basket,
            loyalty=_with_odds(traits.loyalty, odds),
            deal_liking=traits.deal_liking * liking,
            gift_liking=traits.gift_liking * liking,
            reach_interrupting=traits.reach_interrupting * reach,
            reach_waiting=traits.reach_waiting * reach,
            tiring=traits.tiring * tiring,
            forgiving=_with_complement(traits.forgiving, unforgiving),
            temper=traits.temper * temper,
            departing=traits.departing * departing,
        )

    def _walk_on(self, moment: Moment) -> None:
        week = (moment.now - self.world.start_s) // WEEK
        while (late := np.flatnonzero(self._week < week)).size:
            at = TRAITS - 1 - self._week  # before the first opportunity, a place for every week
            own = self.world.luck(at).take(late)
            shared = Luck(user_keys(self.world.seed, np.full(len(late), EVERYBODY)), at.take(late))
            steps = [ndtri(luck.uniform(p)) for p in MOVING for luck in (own, shared)]
            self._walked[:, late] += np.sqrt(0.5) * np.add(steps[::2], steps[1::2])
            self._week[late] += 1


MOVING: Final = (
    Purpose.NEEDS,
    Purpose.BASKET_SIZE,
    Purpose.LOYALTY,
    Purpose.DEALS,
    Purpose.REACH,
    Purpose.TIRING,
    Purpose.FORGIVING,
    Purpose.TEMPER,
    Purpose.DEPARTING,
)
"""The traits that drift, by the draw that made them."""
EVERYBODY: Final = -1
"""The user whose luck all share."""


def _with_odds(chance: Floats, factor: Floats) -> Floats:
    """Chances whose odds are multiplied; a factor of 1 changes no bit."""
    return chance + chance * (1 - chance) * (factor - 1) / (1 + chance * (factor - 1))


def _with_complement(chance: Floats, factor: Floats) -> Floats:
    """Chances whose complement is multiplied; a factor of 1 changes no bit."""
    return np.maximum(chance - (1 - chance) * (factor - 1), np.float32(0))


class SeasonalShock(Altered):
    """People need more, or less, between two days."""

    def __init__(
        self, world: SyntheticWorld, factor: float, from_day: float, to_day: float
    ) -> None:
        """Needs are multiplied by ``factor``, 0 to 10."""
        super().__init__(world)
        within("factor", factor, 0, 10)
        self._factor, self._from, self._to = factor, from_day, to_day

    def altered(self, traits: Traits, moment: Moment) -> Traits:
        """Needs times the factor, in the season."""
        days = self._days(moment)
        season = (self._from <= days) & (days < self._to)
        needs = traits.needs_per_week * np.where(season, self._factor, 1).astype(np.float32)
        return replace(traits, needs_per_week=needs)


class PriceShock(Altered):
    """A rival cuts prices: from a day on, fewer needs are met here unprompted."""

    def __init__(self, world: SyntheticWorld, loss: float, from_day: float) -> None:
        """``loss`` is the share of the loyalty that is lost, 0 to 1."""
        super().__init__(world)
        within("loss", loss, 0, 1)
        self._loss, self._from = loss, from_day

    def altered(self, traits: Traits, moment: Moment) -> Traits:
        """What is left of the loyalty."""
        left = np.where(self._days(moment) >= self._from, 1 - self._loss, 1).astype(np.float32)
        return replace(traits, loyalty=traits.loyalty * left)
