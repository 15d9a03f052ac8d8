"""What a service hears of one step: an application's events, sorted by user."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.decisions import EventKind, Events, Moment
from simulators.contacts import SOON_S

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Sales:
    """The purchases of one kind that were reported in a step, at most one a user; arrays [N]."""

    made: Flags
    price_cents: NDArray[np.float64]
    """At list price, as far as the rounding of the discount lets one tell; 0 where none."""
    time: NDArray[np.int32]
    """Seconds since the epoch; 0 where none."""
    offer: NDArray[np.int16]
    """-1 where no contact made it."""
    channel: NDArray[np.int16]

    @classmethod
    def of(cls, events: Events, which: NDArray[np.int64], n: int) -> Sales:
        """Of the purchases among the events whose numbers are ``which``."""
        chosen = events.take(which)
        sales = cls(
            np.zeros(n, np.bool_),
            np.zeros(n),
            np.zeros(n, np.int32),
            np.full(n, -1, np.int16),
            np.full(n, -1, np.int16),
        )
        sales.made[chosen.row] = True
        sales.price_cents[chosen.row] = chosen.amount_cents / (1.0 - chosen.discount)
        sales.time[chosen.row] = chosen.time
        sales.offer[chosen.row], sales.channel[chosen.row] = chosen.offer, chosen.channel
        return sales


@dataclass(frozen=True, slots=True)
class Heard:
    """One step of N users as the service hears of it; arrays [N]."""

    opened: Flags
    clicked: Flags
    refused: Flags
    """Wants no more of the offer."""
    opted_out: Flags
    viewed: Flags
    carted: Flags
    favourited: Flags
    at_once: Sales
    """The contact of this step sold, and the purchase followed at once."""
    brought_forward: Sales
    """The contact of this step sold, and so an earlier sale that was still to follow was made."""
    later: Sales
    """Purchases that followed a contact of this or an earlier step with a delay."""
    unprompted: Sales

    @classmethod
    def of(
        cls, catalogue: Catalogue, before: Moment, actions: NDArray[np.int64], events: Events
    ) -> Heard:
        """Sort the events that followed ``actions`` (int64 [N]) decided at ``before``."""
        n = len(actions)

        def told(kind: EventKind) -> Flags:
            return np.bincount(events.row[events.kind == kind], minlength=n) > 0

        bought = events.kind == EventKind.BOUGHT
        action = actions[events.row]
        soon = events.time == before.now[events.row] + np.int32(SOON_S)
        soon &= told(EventKind.CLICKED)[events.row]
        soon &= events.offer == catalogue.action_offer[action]
        soon &= events.channel == catalogue.action_channel[action]
        prompted = bought & (events.offer >= 0)
        forward = prompted & (events.time == before.now[events.row])
        return cls(
            told(EventKind.OPENED),
            told(EventKind.CLICKED),
            told(EventKind.NOT_INTERESTED),
            told(EventKind.OPTED_OUT),
            told(EventKind.VIEWED),
            told(EventKind.CARTED),
            told(EventKind.FAVOURITED),
            Sales.of(events, np.flatnonzero(prompted & soon), n),
            Sales.of(events, np.flatnonzero(forward), n),
            Sales.of(events, np.flatnonzero(prompted & ~soon & ~forward), n),
            Sales.of(events, np.flatnonzero(bought & (events.offer < 0)), n),
        )
