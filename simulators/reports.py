"""What an application would report of a step: the events that it can see."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.clock import NEVER
from envs.decisions import EventKind, Events, Moment
from simulators.baskets import Baskets
from simulators.contacts import Contacts
from simulators.hidden import Hidden

Rows = NDArray[np.int64]

SEEN_S: Final = 20
CLICKED_S: Final = 40
LEFT_S: Final = 60
"""Seconds after a contact at which it is opened, answered and opted out of; assumed."""
VIEWED_S: Final = 120
CARTED_S: Final = 300
UNPROMPTED_S: Final = 720
"""Seconds into a stay at which people look around, fill a basket and buy unprompted; assumed."""


class Reports:
    """Makes the events of one step; every part holds a user at most once, rows ascending."""

    def __init__(self, catalogue: Catalogue, baskets: Baskets) -> None:
        self._offer, self._channel = catalogue.action_offer, catalogue.action_channel
        self._baskets = baskets

    def contacted(self, moment: Moment, contacts: Contacts) -> Events:
        """What the decisions themselves imply."""
        return self._of(moment, contacts, slice(None), EventKind.CONTACTED, 0)

    def answers(self, moment: Moment, contacts: Contacts) -> list[Events]:
        """Opened, clicked, dismissed, refused for good, opted out."""
        kinds = (
            (contacts.seen, EventKind.OPENED, SEEN_S),
            (contacts.clicked, EventKind.CLICKED, CLICKED_S),
            (contacts.dismissed, EventKind.DISMISSED, CLICKED_S),
            (contacts.refused, EventKind.NOT_INTERESTED, CLICKED_S),
            (contacts.opted_out, EventKind.OPTED_OUT, LEFT_S),
        )
        return [
            self._of(moment, contacts, np.flatnonzero(flags), kind, delay)
            for flags, kind, delay in kinds
        ]

    def _of(
        self, moment: Moment, contacts: Contacts, which: Rows | slice, kind: EventKind, delay: int
    ) -> Events:
        rows, actions = contacts.rows[which], contacts.actions[which]
        return Events.of(
            rows,
            kind,
            moment.now.take(rows) + np.int32(delay),
            moment.scene.take(rows),
            self._channel.take(actions),
            self._offer.take(actions),
        )

    def bought(self, moment: Moment, rows: Rows, paid_cents: NDArray[np.int32]) -> Events:
        """Purchases that no contact made."""
        times = moment.now.take(rows) + np.int32(UNPROMPTED_S)
        scene = moment.scene.take(rows)
        return Events.of(rows, EventKind.BOUGHT, times, scene, amount_cents=paid_cents)

    def kept(self, hidden: Hidden, due: Rows) -> Events:
        """Purchases that contacts made, now that their time has come; forgotten, in place."""
        actions = hidden.promised_action.take(due)
        events = Events.of(
            due,
            EventKind.BOUGHT,
            hidden.promised_at.take(due),
            -1,
            self._channel.take(actions),
            self._offer.take(actions),
            hidden.promised_cents.take(due),
            self._baskets.discount.take(actions),
        )
        hidden.promised_at[due] = NEVER
        return events

    def looked(self, moment: Moment, viewed: Rows, carted: Rows) -> list[Events]:
        """Users looked around in the app, and some put something into the basket."""
        return [
            Events.of(rows, kind, moment.now.take(rows) + np.int32(delay), moment.scene.take(rows))
            for rows, kind, delay in (
                (viewed, EventKind.VIEWED, VIEWED_S),
                (carted, EventKind.CARTED, CARTED_S),
            )
        ]

    def returned(
        self, withdrawn: NDArray[np.uint16], rows: Rows, time: NDArray[np.int32]
    ) -> Events:
        """Users opted in again to the channels they had left; the arrays are [M]."""
        parts = []
        for channel in range(int(self._channel.max()) + 1 if len(rows) else 0):
            left = np.flatnonzero(withdrawn >> np.uint16(channel) & 1)
            parts.append(Events.of(rows[left], EventKind.OPTED_IN, time[left], channel=channel))
        return Events.concatenate(parts)
