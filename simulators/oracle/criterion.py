"""What the oracle and its rivals are judged by: discounted net value as a constant flow."""

from __future__ import annotations

from typing import Final

import numpy as np

GAMMA: Final = 0.97
"""Discount a day; assumed: half of the weight lies in the first 23 days."""


def flow(discounted: float, days: float = np.inf, gamma: float = GAMMA) -> float:
    """The constant cents a week whose discounted sum over ``days`` is ``discounted``.

    Over an endless horizon 7 ln(1 / gamma) times the sum; over a finite one the same share of it
    is missing from the sum and from the flow's own sum, so both are on one scale.
    """
    return float(7 * np.log(1 / gamma) * discounted / (1 - gamma**days))
