"""How much each decision of a biased log counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def inverse_propensity_weights(
    actions: NDArray[np.int64], propensities: NDArray[np.float64], limit: float
) -> NDArray[np.float64]:
    """Weights that make each action's decisions look as if everybody could have got it.

    A log shows an action where its writer liked it. A linear model that is not quite right fits
    there, and not where the action will be tried. 1 / propensity mends that; here it is divided by
    its mean over the action's decisions, so that a posterior stays about as wide as the decisions
    are many (stabilised weights: Robins, Hernan and Brumback 2000), and then cut off, which lets
    some of the bias in again and keeps single decisions from deciding alone.

    Args:
        actions: taken, int64 [N].
        propensities: their probabilities when they were taken, above 0, [N].
        limit: largest weight.

    Returns:
        float64 [N], 1 on average within an action before the cut.
    """
    inverse = 1.0 / propensities
    decisions = np.bincount(actions)
    means = np.bincount(actions, inverse) / np.maximum(decisions, 1)
    return np.minimum(inverse / means[actions], limit)
