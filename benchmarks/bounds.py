"""Within what bounds a world's users have to stay for ever, derived from its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.diary import Diary
from envs.catalogue import Catalogue
from envs.layout import MIDDLE, SHORT, slot_names
from simulators.world import SyntheticWorld

ERRORS: Final = 5.0
"""Standard errors of the departures; beyond them by chance once in 1.7 million checks."""
MOST_SCENES_A_DAY: Final = 24
"""Scenes last whole hours."""
ONCE_A_SCENE: Final = ("viewed", "favourited", "carted")
"""What users do once in a scene at most."""
FLOAT_SLACK: Final = 1.001
"""Sums are kept in single precision."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the users of a world cannot exceed."""

    fatigue: NDArray[np.float64]
    """Of each user: the heaviest contacts on every day until it fades as fast as it grows, [N]."""
    reference_discount: float
    """The deepest discount there is."""
    sums: dict[str, float]
    """Decayed counts whose events are limited to so many a day."""
    departed: tuple[float, float]
    """Share of the users who have left by the end: as if never contacted, as if always tired."""

    def broken(self, diary: Diary) -> list[str]:
        """What was exceeded in a year that has been noted; empty when all is well."""
        largest = diary.largest_sums.max(axis=0)
        names = slot_names(diary.world.catalogue)
        left = float(np.isnan(diary.fatigue[-1]).mean())
        checks = {
            "fatigue": np.nanmax(diary.fatigue - self.fatigue * FLOAT_SLACK) <= 0,
            "reference discount": np.nanmax(diary.reference_discount) <= self.reference_discount,
            "below zero": min(np.nanmin(diary.fatigue), np.nanmin(diary.reference_discount)) >= 0,
            "not finite": bool(np.isfinite(largest).all()),
            "departed": self.departed[0] <= left <= self.departed[1],
            **{
                name: largest[names.index(name)] <= bound * FLOAT_SLACK
                for name, bound in self.sums.items()
            },
        }
        return [name for name, kept in checks.items() if not kept]


def bounds_of(world: SyntheticWorld, weeks: int, contacted: bool = True) -> Bounds:
    """The bounds of a world's users after so many weeks, contacted at all or not.

    Fatigue: a day adds at most w (contacts a day times the heaviest channel) and a night leaves
    the share f, so it stays below w / (1 - f). Departure: the chance a day is that of the rested
    user at least, and that of the most tired one at most.
    """
    preset, catalogue = world.preset, world.catalogue
    contacts = _contacts_a_day(catalogue) if contacted else 0.0
    heaviest = max(preset.channels[channel.name].weight for channel in catalogue.channels)
    fatigue = contacts * heaviest / np.maximum(1.0 - world.traits.forgiving.astype(float), 1e-6)
    rested = preset.leaving_per_day * world.traits.departing.astype(float)
    tired = rested * (1 + preset.leaving_growth * fatigue)
    days = 7 * weeks
    low, high = _left(rested, days - 1), _left(tired, days + 1)
    return Bounds(
        fatigue,
        max(offer.discount for offer in catalogue.offers),
        {
            **{name: _decayed(MOST_SCENES_A_DAY, MIDDLE) for name in ONCE_A_SCENE},
            **{f"contacted/{c.name}": _decayed(contacts, SHORT) for c in catalogue.channels},
        },
        (low[0] - ERRORS * low[1], high[0] + ERRORS * high[1]),
    )


def _contacts_a_day(catalogue: Catalogue) -> float:
    """How many the caps allow in a calendar day; one a scene where they do not say."""
    limits = [
        float(cap.limit)
        for cap in catalogue.caps
        if cap.channel is None and cap.offer is None and not cap.per
        if (cap.days or 0) >= 1 or (cap.hours or 0) >= 24
    ]
    return min([*limits, float(MOST_SCENES_A_DAY)])


def _decayed(events_a_day: float, half_life_days: float) -> float:
    """Most that a decayed count can hold: those of k days ago are k - 1 days old at least."""
    return events_a_day * (1 + 1 / (1 - float(0.5 ** (1 / half_life_days))))


def _left(rate: NDArray[np.float64], days: float) -> tuple[float, float]:
    """Share that has left at a rate a day, [N], and its standard error."""
    chance = 1 - np.exp(-rate * days)
    return float(chance.mean()), float((chance * (1 - chance)).sum() ** 0.5 / len(rate))
