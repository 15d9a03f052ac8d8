"""Who the users are: traits that nobody observes, drawn from archetypes with individual spread.

A user's traits are a function of (seed, user id, preset) alone: the same person in every batch.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from envs.catalogue import Catalogue
from simulators.draws import Luck, Purpose
from simulators.presets import CHANNELS, INTERRUPTING, WAITING, Preset

Floats = NDArray[np.float32]

PAST_SPREAD = 0.4
"""Standard deviation of the logarithm of last year's spend around what the traits say; assumed."""
TIERS = {"none": 0, "silver": 40_000, "gold": 90_000}
"""Spend of last year from which a user holds the tier, cents; assumed."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What drives N users. See ``presets.Archetype`` for the meaning; arrays [N]."""

    archetype: NDArray[np.int8]
    routine: NDArray[np.int32]
    """0: fixed working hours, 1: none."""
    needs_per_week: Floats
    basket_cents: Floats
    loyalty: Floats
    deal_liking: Floats
    gift_liking: Floats
    reach_interrupting: Floats
    reach_waiting: Floats
    tiring: Floats
    temper: Floats

    @classmethod
    def empty(cls, n: int) -> Traits:
        """Room for ``n`` users."""
        kinds = {"archetype": np.int8, "routine": np.int32}
        return cls(*(np.zeros(n, kinds.get(field.name, np.float32)) for field in fields(cls)))

    @classmethod
    def drawn(cls, preset: Preset, luck: Luck) -> Traits:
        """The traits of the users with this luck, at the opportunity ``draws.TRAITS``."""
        kinds = preset.archetypes
        shares = np.cumsum([kind.weight for kind in kinds])
        kind = np.searchsorted(shares / shares[-1], luck.uniform(Purpose.ARCHETYPE), side="right")
        kind = np.minimum(kind, len(kinds) - 1)

        def of(name: str) -> NDArray[np.float64]:
            return np.asarray([getattr(k, name) for k in kinds], np.float64)[kind]

        def spread(purpose: Purpose) -> NDArray[np.float64]:
            factor: NDArray[np.float64] = np.exp(preset.spread * ndtri(luck.uniform(purpose)))
            return factor

        loyal = of("loyalty")
        odds = loyal / np.maximum(1.0 - loyal, 1e-9) * spread(Purpose.LOYALTY)
        deals, reach = spread(Purpose.DEALS), spread(Purpose.REACH)
        columns = (
            of("needs_per_week") * spread(Purpose.NEEDS),
            of("basket_cents") * spread(Purpose.BASKET_SIZE),
            np.where(loyal >= 1.0, 1.0, odds / (1.0 + odds)),
            of("deal_liking") * deals,
            of("gift_liking") * deals,
            of("reach")[:, INTERRUPTING] * reach,
            of("reach")[:, WAITING] * reach,
            of("tiring") * spread(Purpose.TIRING),
            of("temper") * spread(Purpose.TEMPER),
        )
        return cls(
            kind.astype(np.int8),
            of("flexible").astype(np.int32),
            *(column.astype(np.float32) for column in columns),
        )

    def put(self, rows: NDArray[np.int64], traits: Traits) -> None:
        """Replace the traits of some users, in place."""
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(traits, field.name)


def described(catalogue: Catalogue, traits: Traits, luck: Luck) -> Floats | None:
    """What the business knows of new users: last year's spend and the tier it gave.

    Returns:
        float32 [N, J], NaN for attributes that this world cannot tell; None when it can tell none.
    """
    names = [attribute.name for attribute in catalogue.attributes]
    if not {"past_spend_cents", "member_tier"} & set(names):
        return None
    noise = np.exp(PAST_SPREAD * ndtri(luck.uniform(Purpose.PAST)))
    spend = 52 * traits.needs_per_week * traits.loyalty * traits.basket_cents * noise
    told = np.full((len(spend), len(names)), np.nan, np.float32)
    for column, attribute in enumerate(catalogue.attributes):
        if attribute.name == "past_spend_cents":
            told[:, column] = np.rint(np.clip(spend, attribute.low, attribute.high))
        if attribute.name == "member_tier":
            known = [name for name in TIERS if name in attribute.values]
            if not known:
                continue
            steps = np.searchsorted([TIERS[name] for name in known[1:]], spend, side="right")
            told[:, column] = np.asarray([attribute.values.index(name) for name in known])[steps]
    return told


def consenting(catalogue: Catalogue, luck: Luck) -> NDArray[np.bool_]:
    """Who opts in from the start to channels that need consent, bool [N, C]."""
    draw = luck.uniform(Purpose.CONSENT)
    chances = [
        CHANNELS[channel.name].consenting if channel.consent == "required" else 0.0
        for channel in catalogue.channels
    ]
    return draw[:, None] < np.asarray(chances)
