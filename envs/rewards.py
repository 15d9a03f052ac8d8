"""What the business is paid, in whole cents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Cents = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class RewardParts:
    """The parts of one step's reward, each int32 [N] in cents.

    ``margin_cents`` may be negative (a refund); the other three are costs and never are.
    """

    margin_cents: Cents
    """Margin of what was bought, before discount."""
    offer_cost_cents: Cents
    """Discounts given and gifts redeemed."""
    contact_cost_cents: Cents
    """Price of the sends."""
    opt_out_cost_cents: Cents
    """Value lost with users who opted out."""

    @classmethod
    def zeros(cls, n: int) -> RewardParts:
        """Nothing earned and nothing spent by ``n`` users."""
        return cls(*(np.zeros(n, np.int32) for _ in range(4)))

    def net_cents(self) -> Cents:
        """Margin less all costs, int32 [N]."""
        return self.margin_cents - self.spend_cents() - self.opt_out_cost_cents

    def spend_cents(self) -> Cents:
        """What a budget pays for: offers and sends, int32 [N]."""
        return self.offer_cost_cents + self.contact_cost_cents

    def reward(self, budget_price: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """Net value less ``budget_price`` (cents per cent, one or [N]) x spend, float64 [N]."""
        priced: NDArray[np.float64] = np.multiply(
            budget_price, self.spend_cents(), dtype=np.float64
        )
        return self.net_cents() - priced
