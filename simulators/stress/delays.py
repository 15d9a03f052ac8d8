"""The stress of late news: what happened, and what it earned, is learnt hours later."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.clock import HOUR
from envs.decisions import EventKind, Events, Moment, Step
from envs.rewards import RewardParts
from envs.users import UserState, advance
from simulators.population import Traits
from simulators.stress.wrapper import Stress, contacted, within
from simulators.world import SyntheticWorld

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]


class DelayedFeedback(Stress):
    """What users did is learnt hours later, by the user state and by the caller; so is the reward.

    The service knows at once whom it contacted, and platforms enforce opt-outs and opt-ins at
    once. Whoever leaves for good leaves nothing untold; ``untold`` is what a caller who stops
    before has not been told. Conditional means are not delayed: they are for judging.
    """

    def __init__(self, world: SyntheticWorld, hours: float) -> None:
        """``hours`` of delay, 0 to 2400."""
        super().__init__(world)
        within("hours", hours, 0, 2400)
        self._delay_s = int(hours * HOUR)
        self.users = UserState.empty(world.catalogue, len(world.departed))
        self._events, self._sales = Events.concatenate([]), Sales.none()
        advance(self.users, world.introduction())

    def restart(
        self, rows: Rows, user_ids: NDArray[np.int64], traits: Traits | None = None
    ) -> None:
        """As the world inside; of those who were in the rows nothing more is heard."""
        self.world.restart(rows, user_ids, traits)
        self.users.clear(rows)
        advance(self.users, self.world.introduction())
        self._events = self._events.take(~np.isin(self._events.row, rows))
        self._sales = self._sales.take(~np.isin(self._sales.row, rows))

    def step(self, actions: Rows, active: Flags | None = None) -> Step:
        """As the world inside; what has become due is told instead of what happened."""
        moment, here = self.world.moment(), ~self.world.departed
        here = here if active is None else here & active
        step = self.world.step(actions, active)
        events = Events.concatenate([self._events, step.events])
        told = self._due(events.row, events.time, step) | np.isin(events.kind, AT_ONCE)
        self._events, events = events.take(~told), events.take(told)
        advance(self.users, contacted(self.world, moment, actions, here & (actions > 0)))
        advance(self.users, events)
        sales = self._sales.and_those_of(step.parts, moment)
        told = self._due(sales.row, sales.time, step)
        self._sales, sales = sales.take(~told), sales.take(told)
        return replace(step, parts=sales.counted_into(step.parts), events=events)

    def untold(self) -> RewardParts:
        """What has been earned and not been told, [N]."""
        return self._sales.counted_into(RewardParts.zeros(len(self.world.departed)))

    def _due(self, row: Rows, time: NDArray[np.int32], step: Step) -> Flags:
        """What is told of things that befell rows at times, bool [M]."""
        late = time + np.int32(self._delay_s) >= self.world.moment().now.take(row)
        due: Flags = ~late | step.departed.take(row)
        return due


AT_ONCE: Final = (EventKind.OPTED_OUT, EventKind.OPTED_IN)
"""Events that no delay holds back."""


@dataclass(frozen=True, slots=True)
class Sales:
    """Purchases that have been valued; arrays [M]."""

    row: Rows
    time: NDArray[np.int32]
    margin_cents: NDArray[np.int32]
    offer_cost_cents: NDArray[np.int32]

    @classmethod
    def none(cls) -> Sales:
        """No purchases."""
        return cls(np.zeros(0, np.int64), *(np.zeros(0, np.int32) for _ in range(3)))

    def and_those_of(self, parts: RewardParts, moment: Moment) -> Sales:
        """These, then those that a step's reward counts, at its moment."""
        rows = np.flatnonzero((parts.margin_cents != 0) | (parts.offer_cost_cents != 0))
        new = Sales(
            rows, moment.now.take(rows), parts.margin_cents[rows], parts.offer_cost_cents[rows]
        )
        names = [field.name for field in fields(Sales)]
        return Sales(*(np.concatenate([getattr(self, n), getattr(new, n)]) for n in names))

    def take(self, chosen: Flags) -> Sales:
        """Some of them."""
        return Sales(*(getattr(self, field.name)[chosen] for field in fields(Sales)))

    def counted_into(self, parts: RewardParts) -> RewardParts:
        """A reward with these for its margin and offer cost."""
        margin, offer_cost = np.zeros_like(parts.margin_cents), np.zeros_like(parts.margin_cents)
        np.add.at(margin, self.row, self.margin_cents)
        np.add.at(offer_cost, self.row, self.offer_cost_cents)
        return replace(parts, margin_cents=margin, offer_cost_cents=offer_cost)
