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
Times = NDArray[np.int32]

SEEN_S: Final = 20
CLICKED_S: Final = 40
LEFT_S: Final = 60
"""Seconds after a contact at which it is opened, answered and opted out of; assumed."""
VIEWED_S: Final = 120
FAVOURED_S: Final = 240
CARTED_S: Final = 300
UNPROMPTED_S: Final = 720
"""Seconds into a stay at which people look around, keep a favourite, fill a basket and buy
unprompted; assumed."""
ASKED_S: Final = 60
"""Seconds before the next scene at which people ask the service about what they bought; assumed."""

_ANSWERS: Final = np.asarray(
    [
        EventKind.CONTACTED,
        EventKind.OPENED,
        EventKind.CLICKED,
        EventKind.DISMISSED,
        EventKind.NOT_INTERESTED,
    ],
    np.uint8,
)
_ANSWERED_S: Final = np.asarray([0, SEEN_S, CLICKED_S, CLICKED_S, CLICKED_S], np.int32)
_LOOKS: Final = np.asarray([EventKind.VIEWED, EventKind.FAVOURITED, EventKind.CARTED], np.uint8)
_LOOKED_S: Final = np.asarray([VIEWED_S, FAVOURED_S, CARTED_S], np.int32)


class Reports:
    """Makes the events of one step; of each kind a user has at most one, rows ascending."""

    def __init__(self, catalogue: Catalogue, baskets: Baskets) -> None:
        self._offer, self._channel = catalogue.action_offer, catalogue.action_channel
        self._channels = len(catalogue.channels)
        self._baskets = baskets

    def answers(self, moment: Moment, contacts: Contacts) -> Events:
        """The contacts, which the decisions themselves imply, then what came of them.

        Opened, clicked, dismissed, refused for good.
        """
        everyone = np.arange(len(contacts.rows))
        which = (everyone, contacts.seen, contacts.clicked, contacts.dismissed, contacts.refused)
        sizes = [len(some) for some in which]
        chosen = np.concatenate(which)
        rows, actions = contacts.rows.take(chosen), contacts.actions.take(chosen)
        return Events.of(
            rows,
            np.repeat(_ANSWERS, sizes),
            moment.now.take(rows) + np.repeat(_ANSWERED_S, sizes),
            moment.scene.take(rows),
            self._channel.take(actions),
            self._offer.take(actions),
        )

    def opted_out(self, moment: Moment, rows: Rows, channels: NDArray[np.uint16]) -> Events:
        """Users left channels (bit c for channel c, [M])."""
        return self._by_channel(
            EventKind.OPTED_OUT, rows, moment.now.take(rows) + np.int32(LEFT_S), channels
        )

    def opted_in(self, rows: Rows, time: Times, channels: NDArray[np.uint16]) -> Events:
        """Users came back to channels they had left (bit c for channel c, [M])."""
        return self._by_channel(EventKind.OPTED_IN, rows, time, channels)

    def _by_channel(
        self, kind: EventKind, rows: Rows, time: Times, channels: NDArray[np.uint16]
    ) -> Events:
        bits = channels[:, None] >> np.arange(self._channels, dtype=np.uint16) & np.uint16(1)
        which, channel = np.nonzero(bits)
        return Events.of(rows[which], kind, time[which], channel=channel)

    def bought(self, moment: Moment, rows: Rows, paid_cents: NDArray[np.int32]) -> Events:
        """Purchases that no contact made."""
        times = moment.now.take(rows) + np.int32(UNPROMPTED_S)
        scene = moment.scene.take(rows)
        return Events.of(rows, EventKind.BOUGHT, times, scene, amount_cents=paid_cents)

    def kept(self, hidden: Hidden, due: Rows, latest: Times) -> Events:
        """Purchases that contacts made, now or at the latest time; forgotten, in place.

        ``due`` are users with such a purchase outstanding, ``latest`` is [M].
        """
        actions = hidden.promised_action.take(due)
        events = Events.of(
            due,
            EventKind.BOUGHT,
            np.minimum(hidden.promised_at.take(due), latest),
            -1,
            self._channel.take(actions),
            self._offer.take(actions),
            hidden.promised_cents.take(due),
            self._baskets.discount.take(actions),
        )
        hidden.promised_at[due] = NEVER
        return events

    def refunded(self, hidden: Hidden, due: Rows, latest: Times) -> Events:
        """What was bought is brought back, now or at the latest time; forgotten, in place."""
        times = np.minimum(hidden.refund_at.take(due), latest)
        cents = hidden.refund_cents.take(due)
        hidden.refund_at[due], hidden.refund_cents[due] = NEVER, 0
        return Events.of(due, EventKind.REFUNDED, times, amount_cents=cents)

    def asked(self, rows: Rows, then: Times) -> Events:
        """Users contacted the service shortly before their next scene (``then``, [M])."""
        return Events.of(rows, EventKind.SERVICE_CONTACT, then - np.int32(ASKED_S))

    def looked(self, moment: Moment, viewed: Rows, favoured: Rows, carted: Rows) -> Events:
        """Users looked around in the app; some kept a favourite or filled a basket."""
        rows = np.concatenate([viewed, favoured, carted])
        sizes = [len(viewed), len(favoured), len(carted)]
        times = moment.now.take(rows) + np.repeat(_LOOKED_S, sizes)
        return Events.of(rows, np.repeat(_LOOKS, sizes), times, moment.scene.take(rows))
