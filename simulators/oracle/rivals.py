"""Honest rivals of the optimum: looking ahead is worth what it adds to the best of them.

* **Myopic**: traits and hidden state known; the best mean gain of the present step.
* **Priced myopic**: the same, less a price for the fatigue that a contact adds, tuned on other
  users, and with a sale charged with the later purchase that it takes the place of.
* **Best constant**: one action whenever it is allowed, the best of all on other users.
* **No information**: everybody is taken for the mean user; the stage of the need is filtered from
  the history as if that were so, and the mean user's plan is followed.
* **Filtered**: kind of person and stage of the need are filtered from the history; acts on the
  mixture of the plans of the archetypes' centres, as if all came out after this step (QMDP:
  Littman, Cassandra and Kaelbling, 1995).

The last two see what a service sees and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.clock import HOUR, NEVER, hour_of_week
from envs.decisions import Moment, Step
from envs.users import UserState
from simulators.journey import Journey
from simulators.oracle.filtering import Belief
from simulators.oracle.impressions import Impressions
from simulators.oracle.plan import Plan, Standing, Today, plane_of
from simulators.oracle.reactions import Nature
from simulators.population import Traits
from simulators.presets import Preset
from simulators.world import SyntheticWorld

Allowed = NDArray[np.bool_]
Actions = NDArray[np.int64]
Prices = NDArray[np.float64] | float
"""One for all rows, or one for each."""

DOUBTFUL: Final = 0.02
"""Kinds and stages that are less likely than that have no say in a decision."""


class Constant:
    """One action whenever it is allowed, else silence."""

    def __init__(self, name: str, actions: Actions | int, title: str = "") -> None:
        """``actions`` is one for all rows, or one for each; ``title`` names it."""
        self.name, self._actions, self._title = name, actions, title

    def tuned(self) -> dict[str, float | str]:
        """The action."""
        return {"action": self._title}

    def begin(self, world: SyntheticWorld) -> None:
        """Nothing to forget."""

    def decide(self, world: SyntheticWorld, allowed: Allowed) -> Actions:
        """The action where it is allowed, int64 [N]."""
        actions = np.broadcast_to(np.asarray(self._actions, np.int64), len(allowed))
        return np.where(allowed[np.arange(len(allowed)), actions], actions, 0)

    def learn(self, moment: Moment, actions: Actions, step: Step, world: SyntheticWorld) -> None:
        """Nothing to learn."""


class Myopic:
    """The best mean gain of the present step less prices, traits and hidden state known."""

    def __init__(self, name: str, fatigue_cents: Prices = 0.0, later_share: Prices = 0.0) -> None:
        """Prices by row or for all.

        Args:
            name: what reports call it.
            fatigue_cents: price of a unit of fatigue.
            later_share: share of the later purchase here that a sale is charged with.
        """
        self.name, self._fatigue_cents, self._later_share = name, fatigue_cents, later_share

    def tuned(self) -> dict[str, float | str]:
        """The prices."""
        return {
            "cents_a_unit_of_fatigue": float(np.mean(self._fatigue_cents)),
            "share_of_later_purchase": float(np.mean(self._later_share)),
        }

    def begin(self, world: SyntheticWorld) -> None:
        """Nothing to forget."""

    def decide(self, world: SyntheticWorld, allowed: Allowed) -> Actions:
        """The best allowed action, silence where none is above 0, int64 [N]."""
        rows, contacts = np.nonzero(allowed[:, 1:])
        worth = np.full(allowed.shape, -np.inf)
        worth[:, 0] = 0.0
        worth[rows, contacts + 1] = self._worth(world, rows, contacts + 1)
        best: Actions = worth.argmax(axis=1)
        return best

    def _worth(
        self, world: SyntheticWorld, rows: NDArray[np.int64], actions: Actions
    ) -> NDArray[np.float64]:
        """Priced gains of contacts, float64 [M]; a user may have many."""
        moment, behaviour, traits, hidden = (
            world.moment(),
            world.behaviour,
            world.traits,
            world.hidden,
        )
        journey = Journey.drawn(world.path, traits.routine, moment, world.luck())
        ripening = behaviour.ripening(traits, journey.exposure)
        soon = world.expectations.silence(traits, hidden, ripening)
        hour = moment.local() // np.int32(HOUR) % np.int32(24)
        where = moment.scene.take(rows), hour.take(rows)
        chances = behaviour.funnel(traits, hidden, rows, *where, actions)
        gain = world.expectations.gain(traits, hidden, rows, actions, chances, soon.take(rows))
        later = behaviour.loyal(traits, hidden) * world.baskets.mean_margin(traits.basket_cents)
        charged = np.broadcast_to(self._later_share * (later - soon), len(later)).take(rows)
        price = np.broadcast_to(self._fatigue_cents, len(later)).take(rows)
        worth: NDArray[np.float64] = gain - chances.sale() * charged
        return worth - price * behaviour.weight.take(actions)

    def learn(self, moment: Moment, actions: Actions, step: Step, world: SyntheticWorld) -> None:
        """Nothing to learn."""


class Filtering:
    """Plans for kinds of people, mixed by what the history says of each user."""

    def __init__(
        self, name: str, plans: Sequence[Plan], shares: Sequence[float], told: bool
    ) -> None:
        """One plan a kind.

        Args:
            name: what reports call it.
            plans: of people who consent to everything, so that every channel has its worth.
            shares: how frequent the kinds are.
            told: whether the kinds are the preset's archetypes, about which something can be learnt
                from what users tell at the start.
        """
        self.name, self._plans, self._told = name, list(plans), told
        self._shares = np.asarray(shares) / np.sum(shares)

    def tuned(self) -> dict[str, float | str]:
        """Nothing was tuned."""
        return {}

    def begin(self, world: SyntheticWorld) -> None:
        """Of the users only what they told at the start is known."""
        n, nature = len(world.departed), Nature.of(world.preset, world.catalogue)
        kinds = [plan.traits for plan in self._plans]
        people = _stacked(kinds).take(np.tile(np.arange(len(kinds)), n))
        prior = np.tile(self._shares, (n, 1))
        if self._told:
            impressions, told = Impressions(world.catalogue, world.preset), world.users.attributes
            prior *= impressions.chances(told)
            tastes = impressions.tastes(told)
            people = replace(people, category_shares=tastes.reshape(len(people), -1))
        self.belief = Belief(nature, people, prior)
        self._today = Today(n)

    def decide(self, world: SyntheticWorld, allowed: Allowed) -> Actions:
        """The highest mean worth, silence where none is above 0, int64 [N]."""
        moment, belief = world.moment(), self.belief
        weights, fatigue, reference = belief.weights(), belief.fatigue(), belief.reference()
        plane = plane_of(lost_channels(world.users), world.catalogue, world.preset)
        hour, today = hour_of_week(moment.local()), self._today.contacts(moment)
        asked = np.flatnonzero(allowed[:, 1:].any(axis=1))
        worth = np.zeros(allowed.shape)
        for kind, plan in enumerate(self._plans):
            stage, who = np.nonzero(weights[asked, kind].T > DOUBTFUL)
            rows = asked.take(who)
            at = Standing(
                hour.take(rows),
                moment.scene.take(rows),
                stage.astype(np.int8),
                today.take(rows),
                fatigue[rows, kind],
                reference[rows, kind],
                plane.take(rows),
            )
            part = plan.advantages(at) * weights[rows, kind, stage][:, None]
            bounds = np.searchsorted(stage, np.arange(weights.shape[2] + 1))
            for first, stop in pairwise(bounds.tolist()):  # within a stage no user comes twice
                worth[rows[first:stop]] += part[first:stop]
        worth[~allowed] = -np.inf
        best: Actions = worth.argmax(axis=1)
        return best

    def learn(self, moment: Moment, actions: Actions, step: Step, world: SyntheticWorld) -> None:
        """Take in what an application would have reported."""
        self._today.count(moment, actions > 0)
        self.belief.learn(moment, actions, step.events, world.moment())


def lost_channels(users: UserState) -> NDArray[np.uint16]:
    """Bits of the channels that users opted out of and have not come back to, uint16 [N]."""
    lost = (users.opted_out_at != NEVER) & ~users.consents()
    bits = np.uint16(1) << np.arange(lost.shape[1], dtype=np.uint16)
    summed: NDArray[np.uint16] = (lost * bits).sum(axis=1).astype(np.uint16)
    return summed


def people(preset: Preset, catalogue: Catalogue | None = None) -> Traits:
    """Those to plan for: the centre of each archetype, then the mean user.

    All consent to every channel of the catalogue (the preset's own when left out), so that their
    plans know the worth of each.
    """
    catalogue = preset.load_catalogue() if catalogue is None else catalogue
    every = np.uint16(2 ** len(catalogue.channels) - 1)
    kinds = [Traits.centre(preset, kind) for kind in range(len(preset.archetypes))]
    several = _stacked([*kinds, Traits.mean(preset)])
    return replace(several, consents=np.full_like(several.consents, every))


def myopic() -> Myopic:
    """The best gain of the present step."""
    return Myopic("myopic")


def filtered(preset: Preset, plans: Sequence[Plan]) -> Filtering:
    """Acts on the history alone; ``plans`` are those for ``people``."""
    shares = [kind.weight for kind in preset.archetypes]
    return Filtering("filtered", plans[: len(shares)], shares, told=True)


def no_information(plans: Sequence[Plan]) -> Filtering:
    """Takes everybody for the mean user; ``plans`` are those for ``people``."""
    return Filtering("no_information", plans[-1:], [1.0], told=False)


def _stacked(parts: Sequence[Traits]) -> Traits:
    columns = (np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Traits))
    return Traits(*columns)
