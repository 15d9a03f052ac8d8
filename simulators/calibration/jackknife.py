"""Intervals for any figure made of sums: leave out one group of observations at a time.

Used alike for public data (groups are customers, households, days) and for the world's users, so
that both stand beside each other with intervals of one kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from simulators.value import CONFIDENCE, Estimate

Floats = NDArray[np.float64]
Sums = Mapping[str, Floats]
"""Sums by group: each array is float64 [G, ...] with the same number of groups."""
Formula = Callable[[Sums], float]
"""A figure from totals, each float64 [...]."""


def jackknife(sums: Sums, formula: Formula) -> Estimate:
    """The figure with its 95 % interval (delete-one-group jackknife, Student's t).

    Returns:
        ``users`` holds the number of groups.
    """
    totals = {name: values.sum(axis=0) for name, values in sums.items()}
    value = formula(totals)
    groups = len(next(iter(sums.values())))
    without = np.asarray(
        [
            formula({name: totals[name] - values[group] for name, values in sums.items()})
            for group in range(groups)
        ]
    )
    error = ((groups - 1) / groups * ((without - without.mean()) ** 2).sum()) ** 0.5
    half = float(student.ppf((1 + CONFIDENCE) / 2, groups - 1) * error)
    return Estimate(value, value - half, value + half, groups)


def by_group(
    group: NDArray[np.integer], groups: int, cell: NDArray[np.integer], cells: int, values: Floats
) -> Floats:
    """Sum values over observations by group and cell, float64 [groups, cells].

    Args:
        group: of each observation, 0 to ``groups`` - 1, [M].
        groups: how many there are.
        cell: what else to keep apart, 0 to ``cells`` - 1, [M].
        cells: how many there are.
        values: float64 [M].
    """
    flat = np.bincount(group * cells + cell, weights=values, minlength=groups * cells)
    return flat.reshape(groups, cells).astype(np.float64)
