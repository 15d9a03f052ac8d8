"""What learners learn from: the reward as it was paid, or with variance taken away."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from envs.errors import InputError

LearningReward = Literal["sampled", "expected", "uplift"]


def learning_reward(
    columns: dict[str, NDArray[Any]], reward: LearningReward, budget_price: float
) -> NDArray[np.float64]:
    """What is learnt from, in cents, float64 [N].

    Args:
        columns: of an ``Experience``.
        reward: ``sampled``: what was paid; ``expected``: its mean given the hidden state, which a
            simulator knows; ``uplift``: that mean less the same under silence. The last two only
            take variance away; no policy sees them. ``uplift`` leaves out what a contact does to
            later purchases that would have happened anyway, so it flatters contacts.
        budget_price: price of a cent spent; ``sampled`` has it already.

    Raises:
        InputError: the environment does not know means.
    """
    if reward == "sampled":
        return columns["rewards"]
    if "expected_cents" not in columns:
        raise InputError(f"reward {reward!r} needs an environment that knows means: use sampled")
    silence = columns["silence_cents"] if reward == "uplift" else 0.0
    cents: NDArray[np.float64] = columns["expected_cents"] - silence
    return cents - budget_price * columns["spend_cents"]
