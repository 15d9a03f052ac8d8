"""What users were worth: net value a user and week, with intervals; users are the unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from envs.errors import InputError
from simulators.trace import Trace

CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over users with its 95 % interval (Student's t)."""

    mean: float
    low: float
    high: float
    users: int

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Estimate:
        """Of one value a user, float64 [U]; with a single user the interval is endless."""
        mean, users = float(values.mean()), len(values)
        if users < 2:
            return cls(mean, -np.inf, np.inf, users)
        half = student.ppf((1 + CONFIDENCE) / 2, users - 1) * values.std(ddof=1) / users**0.5
        return cls(mean, mean - float(half), mean + float(half), users)


def per_user_week(trace: Trace, column: str = "net_cents") -> NDArray[np.float64]:
    """Cents a week of each user, in the order of ``trace.users()``, float64 [U].

    ``column`` is ``net_cents`` as it fell, or ``expected_cents``, its conditional mean given the
    hidden state, which has the same mean and less noise.
    """
    _, user = np.unique(trace.column("user"), return_inverse=True)
    sums = np.bincount(user, weights=trace.column(column).astype(np.float64))
    return sums / (trace.info.days / 7)


def value_per_user_week(trace: Trace, column: str = "net_cents") -> Estimate:
    """Cents a user and week, with its interval."""
    return Estimate.of(per_user_week(trace, column))


def paired_difference(trace: Trace, other: Trace, column: str = "net_cents") -> Estimate:
    """Cents a user and week that ``other`` makes more than ``trace``, user by user.

    Raises:
        InputError: the two do not follow the same users for the same time.
    """
    same = np.array_equal(trace.users(), other.users()) and trace.info.days == other.info.days
    if not same or trace.info.seed != other.info.seed:
        raise InputError("the traces differ in users, days or seed: play both with the same")
    return Estimate.of(per_user_week(other, column) - per_user_week(trace, column))
