"""What the arrays of a user state mean: one slot for each decayed sum, and how fast it decays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.caps import CapSlots, cap_slots
from envs.catalogue import Catalogue
from envs.clock import DAY
from envs.decisions import EventKind

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

SHORT, MIDDLE, LONG = 2.0, 7.0, 30.0
"""Half-lives in days, assumed: contacts, behaviour, purchases and habits."""


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
class Layout:
    """What the arrays of a catalogue's user state mean."""

    slots: tuple[str, ...]
    rates: NDArray[np.float32]
    """Decay of each sum, per second, negative, float32 [F]."""
    caps: tuple[CapSlots, ...]
    opted_in: NDArray[np.bool_]
    """Consent of somebody who never said anything, bool [C]."""
    typical_basket_cents: int

    @classmethod
    @lru_cache(maxsize=16)  # asked for twice a decision
    def of(cls, catalogue: Catalogue) -> Layout:
        """The layout of a catalogue."""
        rates = [-np.log(2.0) / (days * DAY) for days in _half_lives(catalogue)]
        assumed = [channel.consent == "assumed" for channel in catalogue.channels]
        return cls(
            slot_names(catalogue),
            np.asarray(rates, np.float32),
            cap_slots(catalogue),
            np.asarray(assumed, np.bool_),
            max(catalogue.typical_basket_cents, 1),
        )
