"""What learners learn from: the reward as it was paid, or with variance taken away."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from envs.errors import InputError

LearningReward = Literal["sampled", "expected", "uplift", "lasting"]
BEYOND_SILENCE = ("uplift", "lasting")
"""Rewards that are 0 under silence: it is worth nothing then, and needs no potential."""


def learning_reward(
    columns: dict[str, NDArray[Any]], reward: LearningReward
) -> NDArray[np.float64]:
    """What is learnt from, in cents, float64 [N]; spend is priced with ``budget_price``.

    Only the first is known outside a simulator. The others take variance away, no policy sees them:

    * ``sampled``: what was paid;
    * ``expected``: its mean given the hidden state;
    * ``uplift``: that mean less the same under silence. It leaves out what a contact does to later
      purchases that would have happened anyway, so it flatters contacts;
    * ``lasting``: the uplift less what the contact's sale takes from later steps.

    Args:
        columns: of an ``Experience``.
        reward: which.

    Raises:
        InputError: the environment does not know means.
    """
    if reward == "sampled":
        return columns["rewards"]
    if "expected_cents" not in columns:
        raise InputError(f"reward {reward!r} needs an environment that knows means: use sampled")
    cents: NDArray[np.float64] = (
        columns["expected_cents"] - columns["budget_price"] * columns["expected_spend_cents"]
    )
    if reward in BEYOND_SILENCE:
        cents = cents - columns["silence_cents"]
    if reward == "lasting":
        cents = cents - columns["displaced_cents"]
    return cents
