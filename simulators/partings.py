"""Partings: users give up channels, come back to them, or leave for good."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.decisions import Events, Moment
from envs.rewards import RewardParts
from simulators.behaviour import Behaviour
from simulators.contacts import Contacts
from simulators.draws import Luck, Purpose
from simulators.expectations import Expectations
from simulators.hidden import Hidden
from simulators.population import Traits
from simulators.reports import Reports

Flags = NDArray[np.bool_]
Days = NDArray[np.float64]


class Partings:
    """Who parts with what in one step."""

    def __init__(self, behaviour: Behaviour, expectations: Expectations, reports: Reports) -> None:
        self._behaviour, self._expectations, self._reports = behaviour, expectations, reports

    def opt_out(
        self,
        moment: Moment,
        traits: Traits,
        hidden: Hidden,
        contacts: Contacts,
        parts: RewardParts,
    ) -> Events:
        """Users give up all channels of a contact's group that they still had."""
        rows = contacts.rows.take(contacts.opted_out)
        actions = contacts.actions.take(contacts.opted_out)
        held = traits.consents.take(rows) & ~hidden.withdrawn.take(rows)
        parts.opt_out_cost_cents[rows] = self._expectations.opt_out_cost(held, actions)
        lost = held & self._behaviour.group_channels.take(actions)
        hidden.withdrawn[rows] |= lost
        return self._reports.opted_out(moment, rows, lost)

    def leave(
        self, traits: Traits, hidden: Hidden, active: Flags, elapsed_days: Days, luck: Luck
    ) -> Flags:
        """Who leaves for good, bool [N]."""
        chance = self._behaviour.leaving(traits, hidden, elapsed_days)
        leaving: Flags = luck.uniform(Purpose.LEAVE) < chance
        leaving &= active
        return leaving

    def come_back(
        self,
        hidden: Hidden,
        active: Flags,
        elapsed_days: Days,
        then: NDArray[np.int32],
        luck: Luck,
    ) -> Events:
        """Users who gave up channels opt in to all of them again, just before the next scene."""
        without = np.flatnonzero(hidden.withdrawn)
        without = without[active.take(without)]
        chance = self._behaviour.preset.return_per_week / 7 * elapsed_days.take(without)
        rows = without[luck.take(without).uniform(Purpose.RETURN) < chance]
        withdrawn = hidden.withdrawn.take(rows)
        hidden.withdrawn[rows] = 0
        return self._reports.opted_in(rows, then.take(rows) - np.int32(1), withdrawn)
