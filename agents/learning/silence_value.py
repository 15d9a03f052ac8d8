"""What users are worth when left alone: a linear value, learnt from silence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RIDGE = 1e-3
"""Added to the diagonal, a row's share: features that never vary have no say."""


@dataclass(frozen=True, slots=True)
class SilenceValue:
    """Discounted reward to come under silence, about ``observation @ weight + bias``."""

    weight: NDArray[np.float32]
    """float32 [D]"""
    bias: float


def fit_silence_value(
    columns: dict[str, NDArray[Any]], rewards: NDArray[np.float64], gamma: float
) -> SilenceValue:
    """Least-squares temporal differences over steps in which everybody was left alone.

    Solves sum phi (phi - gamma^days phi')' w = sum phi r, with phi = (observation, 1).
    Reference: Bradtke and Barto (1996), with elapsed time in the exponent.

    Args:
        columns: silent steps: observations, next_observations [N, D], elapsed_days and
            terminateds [N].
        rewards: of the same steps, float64 [N].
        gamma: discount a day.
    """
    now = _features(columns["observations"])
    later = _features(columns["next_observations"])
    discount = gamma ** columns["elapsed_days"] * ~columns["terminateds"]
    matrix = now.T @ (now - discount[:, None] * later)
    matrix[np.diag_indices_from(matrix)] += RIDGE * len(now)
    matrix[-1, -1] -= RIDGE * len(now)  # the constant is not to be shrunk
    solution = np.linalg.solve(matrix, now.T @ rewards)
    return SilenceValue(solution[:-1].astype(np.float32), float(solution[-1]))


def _features(observations: NDArray[np.float32]) -> NDArray[np.float64]:
    ones = np.ones((len(observations), 1))
    return np.concatenate([observations.astype(np.float64), ones], axis=1)
