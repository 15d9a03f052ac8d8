"""What a business makes of people it has just met, and of what they pay.

It knows its market: it compares them with a large sample of the population and what they told.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from simulators.draws import TRAITS, Luck, user_keys
from simulators.population import Traits, described
from simulators.presets import Preset

Floats = NDArray[np.float32]
Weights = NDArray[np.float64]

SAMPLE: Final = 100_000
SAMPLE_SEED: Final = 2**62
"""Far from the seeds of worlds that are judged."""


class Impressions:
    """What people of each of H archetypes tell: spend of last year and favourite category.

    The tier follows from the spend.
    """

    def __init__(self, catalogue: Catalogue, preset: Preset) -> None:
        ids = np.arange(SAMPLE)
        luck = Luck(user_keys(SAMPLE_SEED, ids), np.full(SAMPLE, TRAITS))
        traits = Traits.drawn(preset, luck, catalogue)
        told = described(catalogue, preset, traits, luck)
        self._kinds = len(preset.archetypes)
        self._names = [attribute.name for attribute in catalogue.attributes]
        spend, favourite = self._spend(told), self._favourite(told)
        logs = [spend[traits.archetype == kind] for kind in range(self._kinds)]
        self._mean = np.asarray([part.mean() for part in logs])
        self._variance = np.asarray([max(part.var(), 1e-12) for part in logs])
        self._remember_favourites(traits, favourite)

    def _remember_favourites(self, traits: Traits, favourite: NDArray[np.int64]) -> None:
        """Shares of the favourites, and the needs that they stand for, [H, values (, K)]."""
        values = int(favourite.max()) + 1
        cell, shape = traits.archetype * values + favourite, (self._kinds, values)
        count = np.bincount(cell, minlength=self._kinds * values).astype(np.float64)
        needs = [
            np.bincount(cell, share, self._kinds * values) / np.maximum(count, 1)
            for share in traits.category_shares.T
        ]
        self._tastes = np.stack(needs, axis=1).reshape(*shape, -1).astype(np.float32)
        self._favourites = count.reshape(shape) / count.reshape(shape).sum(axis=1, keepdims=True)

    def chances(self, told: Floats) -> Weights:
        """Relative chance that a user of each archetype tells this, [N, H]; told is [N, J]."""
        spend = normal(self._spend(told)[:, None], self._mean, self._variance)
        chance: Weights = spend * self._favourites[:, self._favourite(told)].T
        return chance

    def tastes(self, told: Floats) -> Floats:
        """Mean share of the needs in each category, given what was told, [N, H, K]."""
        return self._tastes[:, self._favourite(told)].transpose(1, 0, 2)

    def _spend(self, told: Floats | None) -> Weights:
        """Logarithm of last year's spend, [N]; 0 for all where it is not told."""
        column = self._column(told, "past_spend_cents")
        return np.log(np.maximum(column, 1.0))

    def _favourite(self, told: Floats | None) -> NDArray[np.int64]:
        """Number of the favourite, [N]; 0 for all where none is told."""
        return self._column(told, "favourite_category").astype(np.int64)

    def _column(self, told: Floats | None, name: str) -> Weights:
        if told is None or name not in self._names:
            return np.zeros(SAMPLE if told is None else len(told))
        return told[:, self._names.index(name)].astype(np.float64)


def paid_chances(preset: Preset, basket_cents: Weights, price_cents: Weights) -> Weights:
    """Relative chance of a basket at this list price for users with these mean baskets.

    Args:
        preset: says how baskets spread, and individuals around their archetype.
        basket_cents: typical mean basket by archetype, [M, H].
        price_cents: [M].
    """
    variance = preset.basket_spread**2 + preset.spread**2
    usual = np.log(basket_cents) - preset.basket_spread**2 / 2
    logs: Weights = np.log(np.maximum(price_cents, 1.0))[:, None]
    return normal(logs, usual, variance)


def normal(value: Weights, mean: Weights, variance: Weights | float) -> Weights:
    """Density of the normal distribution, up to a common factor."""
    density: Weights = np.exp(-((value - mean) ** 2) / (2 * variance)) / np.sqrt(variance)
    return density
