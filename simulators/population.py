"""Who the users are: traits that nobody observes, drawn from archetypes with individual spread.

A user's traits are a function of (seed, user id, preset) alone: the same person in every batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from envs.catalogue import Catalogue
from simulators.draws import Luck, Purpose
from simulators.presets import Archetype, Preset

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

TASTES: Final = (Purpose.TASTE_1, Purpose.TASTE_2, Purpose.TASTE_3, Purpose.TASTE_4)


@dataclass(frozen=True, slots=True)
class Traits:
    """What drives N users. See ``presets.Archetype`` for the meaning; arrays [N]."""

    archetype: NDArray[np.int8]
    routine: NDArray[np.int8]
    """0: fixed working hours, 1: none."""
    needs_per_week: Floats
    basket_cents: Floats
    loyalty: Floats
    deal_liking: Floats
    gift_liking: Floats
    reach_interrupting: Floats
    reach_waiting: Floats
    tiring: Floats
    forgiving: Floats
    temper: Floats
    departing: Floats
    category_shares: Floats
    """Share of the needs in each category of the preset, float32 [N, K]."""
    consents: NDArray[np.uint16]
    """Bit c is set when channel c of the catalogue may be used from the start."""

    @classmethod
    def empty(cls, preset: Preset, n: int) -> Traits:
        """Room for ``n`` users."""
        kinds: dict[str, Any] = {
            "archetype": np.int8,
            "routine": np.int8,
            "consents": np.uint16,
        }
        widths = {"category_shares": (len(preset.categories),)}
        return cls(
            *(
                np.zeros((n, *widths.get(field.name, ())), kinds.get(field.name, np.float32))
                for field in fields(cls)
            )
        )

    @classmethod
    def drawn(cls, preset: Preset, luck: Luck, catalogue: Catalogue | None = None) -> Traits:
        """The traits of the users with this luck, at the opportunity ``draws.TRAITS``.

        ``catalogue`` says which channels need consent; the preset's own when left out.
        """
        shares = _Kinds.of(preset.archetypes).cumulative_shares
        kind = np.searchsorted(shares, luck.uniform(Purpose.ARCHETYPE), side="right")
        kind = np.minimum(kind, len(shares) - 1)
        consents = _consents(preset, catalogue, luck.uniform(Purpose.CONSENT))
        return _people(preset, kind, consents, luck)

    @classmethod
    def centre(cls, preset: Preset, kind: int, catalogue: Catalogue | None = None) -> Traits:
        """The typical person of an archetype, one row; consents to what most consent to."""
        consents = _consents(preset, catalogue, np.full(1, 0.5))
        return _people(preset, np.full(1, kind), consents, None)

    @classmethod
    def mean(cls, preset: Preset, catalogue: Catalogue | None = None) -> Traits:
        """One row between all typical people; routine, archetype and consents are the usual."""
        centres = [cls.centre(preset, kind, catalogue) for kind in range(len(preset.archetypes))]
        weights = np.asarray([kind.weight for kind in preset.archetypes])
        flexible = float(weights @ [centre.routine[0] for centre in centres]) > weights.sum() / 2
        usual = centres[int(weights.argmax())]
        columns: list[Any] = []
        for field in fields(cls):
            rows = np.concatenate([getattr(centre, field.name) for centre in centres])
            mean = np.average(rows, axis=0, weights=weights)[None]
            exact = getattr(usual, field.name)
            columns.append(mean.astype(np.float32) if rows.dtype == np.float32 else exact)
        mean_one = cls(*columns)
        mean_one.routine[:] = flexible
        return mean_one

    def __len__(self) -> int:
        return len(self.archetype)

    def take(self, rows: Rows) -> Traits:
        """The traits of some users."""
        return Traits(*(column.take(rows, axis=0) for column in _columns(self)))

    def put(self, rows: Rows, traits: Traits) -> None:
        """Replace the traits of some users, in place."""
        for own, new in zip(_columns(self), _columns(traits), strict=True):
            own[rows] = new


_columns: Final[Callable[[Traits], tuple[Any, ...]]] = attrgetter(
    *(field.name for field in fields(Traits))
)


SPREADING: Final = (
    Purpose.NEEDS,
    Purpose.BASKET_SIZE,
    Purpose.LOYALTY,
    Purpose.DEALS,
    Purpose.REACH,
    Purpose.TIRING,
    Purpose.FORGIVING,
    Purpose.TEMPER,
    Purpose.DEPARTING,
)
"""What individuals differ in from others of their kind, and then in their tastes."""
CENTRES: Final = (
    "needs_per_week",
    "basket_cents",
    "loyalty",
    "deal_liking",
    "gift_liking",
    "reach_interrupting",
    "reach_waiting",
    "tiring",
    "forgiving",
    "temper",
    "departing",
    "flexible",
)


@dataclass(frozen=True, slots=True)
class _Kinds:
    """The archetypes as tables."""

    cumulative_shares: NDArray[np.float64]
    """float64 [H]"""
    centres: NDArray[np.float64]
    """float64 [CENTRES, H]"""
    tastes: NDArray[np.float64]
    """float64 [H, K]"""

    @staticmethod
    @lru_cache(maxsize=32)
    def of(archetypes: tuple[Archetype, ...]) -> _Kinds:
        """The tables; they are asked for whenever somebody new comes, so they are kept."""
        weights = np.cumsum([kind.weight for kind in archetypes])
        return _Kinds(
            weights / weights[-1],
            np.asarray([[getattr(kind, name) for kind in archetypes] for name in CENTRES], float),
            np.asarray([kind.tastes for kind in archetypes]),
        )


def _people(
    preset: Preset, kind: NDArray[np.int64], consents: NDArray[np.uint16], luck: Luck | None
) -> Traits:
    """People of these kinds, each spread around the kind by luck, or not at all without any."""
    kinds = _Kinds.of(preset.archetypes)
    of = dict(zip(CENTRES, kinds.centres.take(kind, axis=1), strict=True))
    spread = _spread(preset, len(kind), luck)
    loyal = of["loyalty"]
    odds = loyal / np.maximum(1.0 - loyal, 1e-9) * spread[2]
    shares = kinds.tastes.take(kind, axis=0) * spread[len(SPREADING) :].T
    floats = (
        preset.needs_factor * of["needs_per_week"] * spread[0],
        preset.basket_factor * of["basket_cents"] * spread[1],
        np.where(loyal >= 1.0, 1.0, odds / (1.0 + odds)),
        preset.deal_factor * of["deal_liking"] * spread[3],
        of["gift_liking"] * spread[3],
        of["reach_interrupting"] * spread[4],
        of["reach_waiting"] * spread[4],
        preset.tiring_factor * of["tiring"] * spread[5],
        1.0 - np.minimum((1.0 - of["forgiving"]) * spread[6], 1.0),
        of["temper"] * spread[7],
        of["departing"] * spread[8],
        shares / shares.sum(axis=1, keepdims=True),
    )
    columns: list[Any] = [kind.astype(np.int8), of["flexible"].astype(np.int8)]
    columns += [*(column.astype(np.float32) for column in floats), consents]
    return Traits(*columns)


def _spread(preset: Preset, n: int, luck: Luck | None) -> NDArray[np.float64]:
    """Factors on the centre of the kind, [SPREADING and categories, N]."""
    tastes = TASTES[: len(preset.categories)]
    if luck is None:
        return np.ones((len(SPREADING) + len(tastes), n))
    width = np.full(len(SPREADING) + len(tastes), preset.spread)
    width[0], width[len(SPREADING) :] = preset.needs_spread, preset.taste_spread
    factors: NDArray[np.float64] = np.exp(
        width[:, None] * ndtri(luck.several((*SPREADING, *tastes)))
    )
    return factors


def _consents(
    preset: Preset, catalogue: Catalogue | None, draw: NDArray[np.float64]
) -> NDArray[np.uint16]:
    """Channels that may be used from the start, bit c for channel c, uint16 [N]."""
    catalogue = preset.load_catalogue() if catalogue is None else catalogue
    consents = np.zeros(len(draw), np.uint16)
    for index, channel in enumerate(catalogue.channels):
        required = channel.consent == "required"
        chance = preset.channels[channel.name].consenting if required else 1.0
        consents |= (draw < chance).astype(np.uint16) << np.uint16(index)
    return consents


PAST_SPREAD: Final = 0.4
"""Standard deviation of the logarithm of last year's spend around what the traits say; assumed."""
TIERS: Final = {"none": 0, "silver": 40_000, "gold": 90_000}
"""Spend of last year from which a user holds the tier, cents; assumed."""
FAVOURITE_RIGHT: Final = 0.8
"""Chance that the category a user is told to favour is the one needed most; assumed."""


def described(catalogue: Catalogue, preset: Preset, traits: Traits, luck: Luck) -> Floats | None:
    """What the business knows of new users: last year's spend, its tier, a favourite category.

    Returns:
        float32 [N, J], NaN for attributes that this world cannot tell; None when it can tell none.
    """
    names = [attribute.name for attribute in catalogue.attributes]
    if not {"past_spend_cents", "member_tier", "favourite_category"} & set(names):
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
        if attribute.name == "favourite_category":
            favourite = _favourite(traits, luck)
            codes = [
                attribute.values.index(name) if name in attribute.values else np.nan
                for name in preset.categories
            ]
            told[:, column] = np.asarray(codes)[favourite]
    return told


def _favourite(traits: Traits, luck: Luck) -> NDArray[np.int64]:
    """The category that a user is told to favour: mostly the right one, else any other."""
    right, kinds = traits.category_shares.argmax(axis=1), traits.category_shares.shape[1]
    draw = luck.uniform(Purpose.FAVOURITE)
    wrong = np.maximum((draw - FAVOURITE_RIGHT) / (1 - FAVOURITE_RIGHT), 0.0)  # 0 to 1
    away = np.where(draw < FAVOURITE_RIGHT, 0, 1 + (wrong * (kinds - 1)).astype(np.int64))
    favourite: NDArray[np.int64] = (right + away * (kinds > 1)) % kinds
    return favourite
