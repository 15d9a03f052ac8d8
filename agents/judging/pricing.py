"""The dual search: what a cent has to cost so that a policy spends a budget and no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from agents.judging.field import Weekly
from agents.judging.players import Deciding
from agents.policy import Policy
from envs.catalogue import Catalogue
from envs.errors import InputError
from simulators.cluster import everywhere
from simulators.draws import TRAITS, Luck, user_keys
from simulators.oracle.attained import Attained, Users, play
from simulators.population import Traits
from simulators.presets import Preset

Ids = NDArray[np.int64]
ROWS: Final = 2048
"""Users side by side."""
CLOSE: Final = 0.002
"""Share of a budget that the search may miss it by."""
TRIES: Final = 40


@dataclass(frozen=True, slots=True)
class Crowd:
    """Users of a world, all with the same luck under every price."""

    preset: Preset
    catalogue: Catalogue
    users: int
    days: float
    seed: int
    workers: int = 0
    address: str | None = None
    people: int | None = None
    """Seed of who they are; that of the luck when left out."""

    def spend(self, policy: Policy, budget_price: float) -> float:
        """Cents a user-week that a policy spends on average when it is told that price."""
        return self.values(policy, budget_price)[1]

    def values(self, policy: Policy, budget_price: float) -> tuple[float, float]:
        """Net value and spend of a policy that is told a price, cents a user-week."""
        value, spend = self.of_each(policy, budget_price)
        return float(value.mean()), float(spend.mean())

    def of_each(self, policy: Policy, budget_price: float) -> tuple[Weekly, Weekly]:
        """The same of every user, means given the hidden state, float64 [U] each."""
        playing = partial(_played, self, Deciding("priced", policy, budget_price))
        ids = np.arange(self.users)
        pieces = np.array_split(ids, -(-self.users // ROWS))
        played = list(everywhere(playing, pieces, self.address, self.workers))
        value = np.concatenate([part.value_cents for part in played])
        spend = np.concatenate([part.mean_spend_cents for part in played])
        return value, spend


def _played(crowd: Crowd, player: Deciding, ids: Ids) -> Attained:
    where, traits = (crowd.preset, crowd.catalogue, crowd.seed), None
    if crowd.people is not None:
        luck = Luck(user_keys(crowd.people, ids), np.full(len(ids), TRAITS))
        traits = Traits.drawn(crowd.preset, luck, crowd.catalogue)
    return play(*where, player, Users(ids, traits), crowd.days, all_rules=True)


def price_for(budget: float, spend: Callable[[float], float], highest: float) -> float:
    """The lowest price at which the spend keeps to a budget.

    The spend falls with the price, in small steps: the root is found between a price that is too
    low and one that is high enough (Brent's method), until it is near enough.

    Args:
        budget: cents a user-week, above 0.
        spend: cents a user-week at a price.
        highest: price above which nobody looks, the highest of the training.

    Raises:
        InputError: even the highest price spends more.
    """
    if spend(0.0) <= budget:
        return 0.0
    least = spend(highest)
    if least > budget * (1 + CLOSE):
        raise InputError(
            f"budget {budget:g} cannot be kept: at the highest price, {highest:g}, the policy "
            f"spends {least:.2f} cents a user-week; train with a higher --highest-budget-price"
        )

    def beyond(price: float) -> float:
        missed = spend(price) / budget - 1
        return 0.0 if abs(missed) < CLOSE else missed

    return float(brentq(beyond, 0.0, highest, xtol=1e-5, maxiter=TRIES, disp=False))


def kept_to(
    budget: float,
    policy: Policy,
    spend: Callable[[float], float],
    judged: Crowd,
    highest: float,
) -> dict[str, float]:
    """The price of a budget, and what comes of it with others than it was searched on.

    Args:
        budget: as for ``price_for``, with ``spend`` and ``highest``.
        policy: whose spend that is.
        spend: at a price.
        judged: the others.
        highest: price above which nobody looks.

    Raises:
        InputError: even the highest price spends more.
    """
    price = price_for(budget, spend, highest)
    value, spent = judged.values(policy, price)
    return {
        "budget_cents_per_user_week": budget,
        "budget_price": price,
        "value_per_user_week_cents": value,
        "spend_per_user_week_cents": spent,
        "spend_over_budget": spent / budget,
    }
