"""What the arrays of a user state mean: one slot for each decayed sum, and how fast it decays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, groupby, pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.caps import CapSlots, cap_slots
from envs.catalogue import Catalogue
from envs.clock import DAY, NEVER
from envs.decisions import EventKind

Numbers = NDArray[np.float32]
Instants = NDArray[np.int32]

COUNTED: Final = (
    EventKind.SCENE_ENTERED,
    EventKind.VIEWED,
    EventKind.DWELT,
    EventKind.FAVOURITED,
    EventKind.CARTED,
    EventKind.BOUGHT,
    EventKind.REFUNDED,
    EventKind.OPENED,
    EventKind.CLICKED,
    EventKind.DISMISSED,
    EventKind.SERVICE_CONTACT,
)
"""Kinds that have a decayed count of their own."""

BY_CHANNEL: Final = (EventKind.CONTACTED, EventKind.CLICKED, EventKind.DISMISSED)
"""Kinds that are also counted for each channel."""

SPEND: Final = len(COUNTED)
"""Slot of the decayed spend, in typical baskets."""
DISCOUNT: Final = SPEND + 1
"""Slot of the decayed sum of discounts taken; over the purchases, the reference discount."""
FIRST_CHANNEL: Final = DISCOUNT + 1
"""First slot of the counts by channel."""
BOUGHT: Final = COUNTED.index(EventKind.BOUGHT)
"""Slot of the decayed purchases."""

RECENT: Final = (EventKind.VIEWED, EventKind.CARTED, EventKind.BOUGHT, EventKind.CLICKED)
"""Kinds whose latest time is kept, besides the latest contact through each channel."""

SHORT, MIDDLE, LONG = 2.0, 7.0, 30.0
"""Half-lives in days, assumed: contacts, behaviour, purchases and habits."""

ERA_S: Final = 14 * DAY
"""Sums are kept as of the beginning of an era; in it, none grows by more than 2 to the 7th."""


def slot_names(catalogue: Catalogue) -> tuple[str, ...]:
    """Name of each decayed sum, in order."""
    names = [kind.name.lower() for kind in COUNTED] + ["spend", "discount"]
    for kind in BY_CHANNEL:
        names += [f"{kind.name.lower()}/{channel.name}" for channel in catalogue.channels]
    return tuple(names)


def _half_lives(catalogue: Catalogue) -> list[float]:
    purchases = (EventKind.BOUGHT, EventKind.REFUNDED, EventKind.SERVICE_CONTACT)
    days = [LONG if kind in purchases else MIDDLE for kind in COUNTED] + [LONG, LONG]
    for kind in BY_CHANNEL:
        days += [SHORT if kind is EventKind.CONTACTED else LONG] * len(catalogue.channels)
    return days


@dataclass(frozen=True, slots=True)
class Span:
    """Neighbouring slots that decay alike."""

    slots: slice
    rate: np.float32
    """Decay per second, negative."""


def _spans(half_lives: list[float]) -> tuple[Span, ...]:
    spans, start = [], 0
    for days, group in groupby(half_lives):
        stop = start + len(list(group))
        spans.append(Span(slice(start, stop), _rate(days)))
        start = stop
    return tuple(spans)


def _rate(half_life_days: float) -> np.float32:
    return np.float32(-np.log(2.0) / (half_life_days * DAY))


def _counting(channels: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first and the second slot of each pair, -1 where there is none."""
    first, also = (np.full((len(EventKind), channels + 1), -1) for _ in range(2))
    for slot, kind in enumerate(COUNTED):
        first[kind] = slot
    for block, kind in enumerate(BY_CHANNEL):
        table = also if kind in COUNTED else first
        table[kind, 1:] = FIRST_CHANNEL + block * channels + np.arange(channels)
    return first.reshape(-1), also.reshape(-1)


def _place(channels: int) -> NDArray[np.int64]:
    table = np.zeros((len(EventKind), channels + 1), np.int64)
    for number, kind in enumerate(RECENT):
        table[kind] = 1 + number
    table[EventKind.CONTACTED, 1:] = 1 + len(RECENT) + np.arange(channels)
    return table.reshape(-1)


@dataclass(frozen=True, slots=True)
class Times:
    """Where each group of times lies among a user's."""

    latest: slice
    """The latest event of all, then the latest of each in ``Layout.recent``."""
    opted_in: slice
    opted_out: slice
    not_interested: slice
    caps: slice
    attributes: slice
    seen: slice

    @classmethod
    def of(cls, catalogue: Catalogue, recent: int, caps: int) -> Times:
        """One group after the other."""
        channels, attributes = len(catalogue.channels), len(catalogue.attributes)
        widths = (1 + recent, channels, channels, len(catalogue.offers), caps, attributes)
        ends = [0, *accumulate(widths)]
        bounds = [*pairwise(ends), (ends[-1], None)]
        return cls(*(slice(start, stop) for start, stop in bounds))


@dataclass(frozen=True, slots=True)
class Layout:
    """What the arrays of a catalogue's user state mean."""

    slots: tuple[str, ...]
    rates: NDArray[np.float32]
    """Decay of each sum, per second, negative, float32 [F]."""
    spans: tuple[Span, ...]
    first: NDArray[np.int64]
    """Slot that counts an event of a kind through a channel, -1 where none does, at
    ``pair(kind, channel)``, int64 [kinds * (C + 1)]."""
    also: NDArray[np.int64]
    """Second slot that counts it, the channel's own."""
    recent: tuple[str, ...]
    """Name of each latest time that is kept, in order."""
    place: NDArray[np.int64]
    """Where among the latest times such an event is noted, 0 where only as the latest of all."""
    caps: tuple[CapSlots, ...]
    times: Times
    consented_at: NDArray[np.int32]
    """When somebody who never said anything opted in: before all time where consent is assumed,
    NEVER where it is not, int32 [C]."""
    offers: int
    typical_basket_cents: int

    @classmethod
    @lru_cache(maxsize=16)  # asked for twice a decision
    def of(cls, catalogue: Catalogue) -> Layout:
        """The layout of a catalogue."""
        slots, half_lives = slot_names(catalogue), _half_lives(catalogue)
        contacts = range(FIRST_CHANNEL, FIRST_CHANNEL + len(catalogue.channels))
        recent = [COUNTED.index(kind) for kind in RECENT] + list(contacts)
        caps = cap_slots(catalogue)
        assumed = [channel.consent == "assumed" for channel in catalogue.channels]
        return cls(
            slots,
            np.asarray([_rate(days) for days in half_lives], np.float32),
            _spans(half_lives),
            *_counting(len(catalogue.channels)),
            tuple(slots[slot] for slot in recent),
            _place(len(catalogue.channels)),
            caps,
            Times.of(catalogue, len(recent), sum(cap.width for cap in caps)),
            np.where(assumed, NEVER + 1, NEVER).astype(np.int32),
            len(catalogue.offers),
            max(catalogue.typical_basket_cents, 1),
        )

    def pair(self, kind: NDArray[np.uint8], channel: NDArray[np.int16]) -> NDArray[np.int64]:
        """Index into ``first``, ``also`` and ``place``; channel -1 is none; [M]."""
        return kind * np.int64(len(self.consented_at) + 1) + (channel + np.int16(1))

    def unknown(self, attributes: int, remembered: int) -> tuple[Numbers, Instants]:
        """Numbers float32 [F + J] and times int32 [T] of somebody of whom nothing is known."""
        numbers = np.zeros(len(self.slots) + attributes, np.float32)
        numbers[len(self.slots) :] = np.nan
        times = np.full(self.times.attributes.stop + remembered, NEVER, np.int32)
        times[self.times.opted_in] = self.consented_at
        return numbers, times
