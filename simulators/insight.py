"""What nobody can know of users, as numbers: for a critic in training, never for a policy."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.clock import DAY
from simulators.hidden import OPEN, stage
from simulators.population import Traits
from simulators.presets import Preset
from simulators.world import SyntheticWorld

Floats = NDArray[np.float32]

TYPICAL: Final = {
    "loyalty": 1.0,
    "deal_liking": 1.0,
    "gift_liking": 1.0,
    "reach_interrupting": 1.0,
    "reach_waiting": 1.0,
    "tiring": 0.1,
    "forgiving": 1.0,
    "temper": 0.01,
    "departing": 1.0,
}
"""Traits and their order of magnitude, by which they are divided."""


def insight_names(catalogue: Catalogue, preset: Preset) -> tuple[str, ...]:
    """What each number of ``insight`` is, [H]."""
    tastes = (f"taste:{name}" for name in preset.categories)
    held = (f"held:{channel.name}" for channel in catalogue.channels)
    stages = ("idle", "idle_served", "ripe_served", *(f"open:{name}" for name in preset.categories))
    return (
        "needs", "basket", *TYPICAL, *tastes, *held, *stages,
        "fatigue", "freshness", "reference_discount", "prompted",
    )  # fmt: skip


def insight(world: SyntheticWorld) -> Floats:
    """Traits and hidden state of every row at its opportunity, float32 [N, H], each about 1.

    Logarithms of need rate and basket, the traits of ``TYPICAL``, tastes, channels held; stage of
    the need, one-hot; fatigue and how little it dulls; the discount the user is used to; whether a
    contact was seen within a day.
    """
    traits, hidden = world.traits, world.hidden
    held = traits.consents & ~hidden.withdrawn
    channels = np.arange(len(world.catalogue.channels), dtype=np.uint16)
    stages = np.arange(OPEN + len(world.preset.categories))
    prompted = world.moment().now - hidden.prompted_at < np.int32(DAY)
    columns = [
        *_lasting(traits, world.catalogue.typical_basket_cents),
        *(held[:, None] >> channels & 1).T,
        *(stage(hidden)[:, None] == stages).T,
        hidden.fatigue,
        np.exp(-traits.tiring * hidden.fatigue),
        hidden.reference_discount,
        prompted,
    ]
    return np.stack([column.astype(np.float32) for column in columns], axis=1)


def _lasting(traits: Traits, typical_basket_cents: int) -> list[Floats]:
    basket = traits.basket_cents / max(typical_basket_cents, 1)
    scaled = [getattr(traits, name) / typical for name, typical in TYPICAL.items()]
    rates = np.log(np.maximum(traits.needs_per_week, 1e-3)), np.log(np.maximum(basket, 1e-3))
    return [*rates, *scaled, *traits.category_shares.T]
