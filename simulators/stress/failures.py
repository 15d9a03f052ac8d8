"""Stresses of the technology: a channel that delivers nothing, values that do not arrive."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.clock import DAY, NEVER
from envs.decisions import Events, Moment, Step
from envs.errors import InputError
from envs.users import advance
from simulators.draws import TRAITS, Purpose, uniforms
from simulators.population import Traits
from simulators.signals import MISSING, Signals
from simulators.stress.wrapper import Stress, contacted, within
from simulators.world import SyntheticWorld

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]


class FailedChannel(Stress):
    """A channel delivers nothing between two days, and nobody notices: sends cost and count."""

    def __init__(self, world: SyntheticWorld, channel: str, from_day: float, to_day: float) -> None:
        """``channel`` is a name of the catalogue."""
        super().__init__(world)
        names = [part.name for part in world.catalogue.channels]
        if channel not in names:
            raise InputError(f"channel {channel!r} is not one of {', '.join(names)}")
        self._of_channel = world.catalogue.action_channel == names.index(channel)  # [A]
        self._from_s = world.start_s + from_day * DAY
        self._to_s = world.start_s + to_day * DAY

    def step(self, actions: Rows, active: Flags | None = None) -> Step:
        """What is lost on the way is silence that costs."""
        moment = self.world.moment()
        lost = self._failing(moment) & self._of_channel.take(actions) & ~self.world.departed
        lost = lost if active is None else lost & active
        step = self.world.step(np.where(lost, 0, actions), active)
        if not lost.any():
            return step
        cents = np.where(lost, self.world.send_cents.take(actions), 0).astype(np.int32)
        self.world.purse.spend(cents)
        advance(self.world.users, contacted(self.world, moment, actions, lost))
        parts = replace(step.parts, contact_cost_cents=step.parts.contact_cost_cents + cents)
        expected = step.expected_cents - cents
        spend = step.expected_spend_cents + cents
        return replace(step, parts=parts, expected_cents=expected, expected_spend_cents=spend)

    def gains(self, rows: Rows, actions: Rows) -> NDArray[np.float64]:
        """A lost contact gains nothing and costs its send."""
        lost = self._failing(self.world.moment()).take(rows) & self._of_channel.take(actions)
        return np.where(lost, -self.world.send_cents.take(actions), self.world.gains(rows, actions))

    def prospects(
        self, rows: Rows, actions: Rows
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The same of what lasts, and the send is all that it costs."""
        gain, cost = self.world.prospects(rows, actions)
        lost = self._failing(self.world.moment()).take(rows) & self._of_channel.take(actions)
        send = self.world.send_cents.take(actions)
        return np.where(lost, -send, gain), np.where(lost, send, cost)

    def action_gains(self) -> NDArray[np.float64]:
        """As ``gains``, for every row and action."""
        lost = self._failing(self.world.moment())[:, None] & self._of_channel
        return np.where(lost, -self.world.send_cents, self.world.action_gains())

    def _failing(self, moment: Moment) -> Flags:
        failing: Flags = (self._from_s <= moment.now) & (moment.now < self._to_s)
        return failing


class MissingSignals(Stress):
    """Attributes and signals are blank, each by itself, with a chance."""

    def __init__(self, world: SyntheticWorld, chance: float) -> None:
        """``chance`` that one is blank, 0 to 1."""
        super().__init__(world)
        within("chance", chance, 0, 1)
        self._chance = chance
        self._introduction = self._blanked(world.introduction())

    def restart(
        self, rows: Rows, user_ids: NDArray[np.int64], traits: Traits | None = None
    ) -> None:
        """As the world inside, with blanks in what is told of the people."""
        self.world.restart(rows, user_ids, traits)
        self._introduction = self._blanked(self.world.introduction())

    def step(self, actions: Rows, active: Flags | None = None) -> Step:
        """As the world inside; what was blank stays blank when it is told anew."""
        step = self.world.step(actions, active)
        return replace(step, events=self._blanked(step.events))

    def introduction(self) -> Events:
        """What is told of the people of the latest restart."""
        return self._introduction

    def signals(self) -> Signals:
        """Those of the world inside, with blanks."""
        signals = self.world.signals()
        draw = self.world.luck().uniform(Purpose.BLANK)
        codes: dict[str, Any] = {
            name: np.where(self._blank(draw, number), np.int8(MISSING), values)
            for number, (name, values) in enumerate(signals.codes().items())
        }
        return replace(signals, **codes)

    def _blanked(self, told: Events) -> Events:
        """Events with blanks among what they tell; the user state forgets what is blank."""
        if told.attributes is None:
            return told
        draw = self.world.luck(TRAITS).uniform(Purpose.BLANK).take(told.row)
        width = told.attributes.shape[1]
        blank = np.stack([self._blank(draw, column) for column in range(width)], axis=1)
        users = self.world.users
        event, column = np.nonzero(blank)
        users.attributes[told.row[event], column] = np.nan
        users.attributes_at[told.row[event], column] = NEVER
        return replace(told, attributes=np.where(blank, np.float32(np.nan), told.attributes))

    def _blank(self, draw: NDArray[np.float64], number: int) -> Flags:
        """Whether the attribute or signal of that number is blank, a luck apart for each."""
        apart = (draw * 2**32).astype(np.int64)
        return uniforms(self.world.seed, apart, number, Purpose.BLANK) < self._chance
