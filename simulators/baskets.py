"""What a basket holds: its price, what it earns, and what an offer takes off it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from envs.catalogue import Catalogue
from simulators.presets import Preset

QUANTILES: Final = 1024
"""Sizes a basket can have, relative to the user's mean."""

Cents = NDArray[np.int32]


class Baskets:
    """Baskets of a catalogue's shop; log-normal, cut into equally likely sizes with mean 1."""

    def __init__(self, catalogue: Catalogue, preset: Preset) -> None:
        self._returned = preset.returned
        sizes = np.exp(preset.basket_spread * ndtri((np.arange(QUANTILES) + 0.5) / QUANTILES))
        self._sizes = sizes / sizes.mean()
        self._margin = catalogue.margin
        offers = catalogue.offers
        gifts = [offer.cost_cents if offer.kind == "gift" else 0 for offer in offers]
        of = catalogue.action_offer
        self.discount = np.where(of < 0, 0.0, np.asarray([o.discount for o in offers])[of])
        """Of each action, float64 [A]."""
        self.gift_cents = np.where(of < 0, 0, np.asarray(gifts)[of]).astype(np.int32)
        """Of each action, int32 [A]."""

    def price(self, mean_cents: NDArray[np.float32], draw: NDArray[np.float64]) -> Cents:
        """List price of baskets, whole cents, int32 [M]."""
        size = self._sizes.take((draw * QUANTILES).astype(np.int64))
        return _whole(size * mean_cents)

    def margin(self, price: Cents) -> Cents:
        """What baskets earn before any discount, int32 [M]."""
        return _whole(price * self._margin)

    def taken_off(self, price: Cents, actions: NDArray[np.int64]) -> Cents:
        """The discount on baskets, in cents, int32 [M]."""
        return _whole(price * self.discount.take(actions))

    def mean_margin(self, mean_cents: NDArray[np.float32]) -> NDArray[np.float64]:
        """What users' baskets earn on average before any discount, float64 [M].

        Those that are returned earn nothing.
        """
        return mean_cents.astype(np.float64) * (self._margin * (1 - self._returned))

    def mean_offer_cost(
        self, mean_cents: NDArray[np.float32], actions: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """What the action's offer costs on average with a basket bought, float64 [M]."""
        cost: NDArray[np.float64] = mean_cents.astype(np.float64) * self.discount.take(actions)
        return cost + self.gift_cents.take(actions)

    def mean_value(
        self, mean_cents: NDArray[np.float32], actions: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """What a basket bought with the action's offer is worth on average, float64 [M]."""
        value = mean_cents * (self._margin - self.discount.take(actions))
        kept: NDArray[np.float64] = (value - self.gift_cents.take(actions)) * (1 - self._returned)
        return kept


def _whole(cents: NDArray[Any]) -> Cents:
    whole: Cents = np.rint(cents).astype(np.int32)
    return whole
