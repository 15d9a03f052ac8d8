"""Purchases: settled by contacts or made unprompted, made now or later, kept or brought back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.clock import DAY, NEVER
from envs.decisions import Events, Moment
from envs.rewards import RewardParts
from simulators.baskets import Baskets
from simulators.contacts import Contacts
from simulators.draws import Luck, Purpose
from simulators.hidden import Hidden
from simulators.population import Traits
from simulators.presets import Preset
from simulators.reports import UNPROMPTED_S, Reports

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]
Times = NDArray[np.int32]


class Purchases:
    """What users buy in one step. It is valued when it is settled, and reported when it is made."""

    def __init__(self, preset: Preset, baskets: Baskets, reports: Reports) -> None:
        self._preset, self._baskets, self._reports = preset, baskets, reports

    def settle(
        self,
        moment: Moment,
        traits: Traits,
        hidden: Hidden,
        contacts: Contacts,
        luck: Luck,
        parts: RewardParts,
    ) -> Events:
        """Note purchases that contacts made: valued now, made now or later.

        Returns:
            Purchases still outstanding that are made now, because there is another one.
        """
        rows, actions = contacts.rows.take(contacts.sold), contacts.actions.take(contacts.sold)
        waiting = rows[hidden.promised_at.take(rows) != NEVER]
        forward = self._reports.kept(hidden, waiting, moment.now.take(waiting))
        own = luck.take(rows)
        price = self._price(traits, rows, own)
        off = self._baskets.taken_off(price, actions)
        times = moment.now.take(rows) + contacts.delay_s
        hidden.promise(rows, actions, times, price - off)
        kept = self._kept(hidden, rows, own, times, price - off)
        parts.margin_cents[rows] = self._baskets.margin(price) * kept
        parts.offer_cost_cents[rows] = (off + self._baskets.gift_cents.take(actions)) * kept
        return forward

    def unprompted(
        self,
        moment: Moment,
        traits: Traits,
        hidden: Hidden,
        rows: Rows,
        luck: Luck,
        parts: RewardParts,
    ) -> Events:
        """Some users buy with no contact's help; ``luck`` is theirs, [M]."""
        price = self._price(traits, rows, luck)
        times = moment.now.take(rows) + np.int32(UNPROMPTED_S)
        kept = self._kept(hidden, rows, luck, times, price)
        parts.margin_cents[rows] = self._baskets.margin(price) * kept
        return self._reports.bought(moment, rows, price)

    def _price(self, traits: Traits, rows: Rows, luck: Luck) -> NDArray[np.int32]:
        return self._baskets.price(traits.basket_cents.take(rows), luck.uniform(Purpose.BASKET))

    def _kept(
        self, hidden: Hidden, rows: Rows, luck: Luck, times: Times, paid_cents: NDArray[np.int32]
    ) -> Flags:
        """Whose purchase is not brought back later, bool [M]; the others' return is noted."""
        draw, share = luck.uniform(Purpose.RETURNED), self._preset.returned
        back = np.flatnonzero(draw < share)
        if len(back):
            part = draw.take(back) / share
            wait = (DAY * (1 + part * (self._preset.refund_days - 1))).astype(np.int32)
            hidden.bring_back(rows.take(back), times.take(back) + wait, paid_cents.take(back))
        kept: Flags = draw >= share
        return kept

    def come_due(
        self, hidden: Hidden, active: Flags, leaving: Flags, then: Times
    ) -> tuple[Events, Events]:
        """Purchases and returns before the next scene; who leaves for good does both before."""
        due = []
        for at in (hidden.promised_at, hidden.refund_at):
            waiting = np.flatnonzero(at != NEVER)
            soon = (at.take(waiting) < then.take(waiting)) | leaving.take(waiting)
            due.append(waiting[soon & active.take(waiting)])
        latest = [then.take(rows) - np.int32(1) for rows in due]
        return (
            self._reports.kept(hidden, due[0], latest[0]),
            self._reports.refunded(hidden, due[1], latest[1]),
        )

    def ask(self, made: list[Events], then: Times, luck: Luck) -> Events:
        """Some contact the service about what they bought, shortly before their next scene."""
        rows = np.unique(np.concatenate([events.row for events in made]))
        draw = luck.take(rows).uniform(Purpose.SERVICE)
        rows = rows[draw < self._preset.service_contacts]
        return self._reports.asked(rows, then.take(rows))
