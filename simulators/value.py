"""What users were worth: net value a user and week, with intervals; users are the unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
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
        return Tally.of(values).estimate()


@dataclass(frozen=True, slots=True)
class Tally:
    """What an estimate needs of values that come part by part."""

    users: int = 0
    mean: float = 0.0
    squares: float = 0.0
    """Sum of squared distances from the mean."""

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Tally:
        """Of one value a user, float64 [U], U at least 1."""
        mean = float(values.mean())
        return cls(len(values), mean, float(((values - mean) ** 2).sum()))

    def plus(self, other: Tally) -> Tally:
        """Of the users of both.

        Source: Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing
        sample variances, 1979.
        """
        users = self.users + other.users
        apart, share = other.mean - self.mean, other.users / users
        squares = self.squares + other.squares + apart**2 * self.users * share
        return Tally(users, self.mean + apart * share, squares)

    def estimate(self) -> Estimate:
        """The mean with its interval."""
        if self.users < 2:
            return Estimate(self.mean, -np.inf, np.inf, self.users)
        error = (self.squares / (self.users - 1) / self.users) ** 0.5
        half = float(student.ppf((1 + CONFIDENCE) / 2, self.users - 1)) * error
        return Estimate(self.mean, self.mean - half, self.mean + half, self.users)


def per_user_week(trace: Trace, column: str = "net_cents") -> NDArray[np.float64]:
    """Cents a week of each user, in the order of ``trace.users()``, float64 [U].

    ``column`` is ``net_cents`` as it fell, or ``expected_cents``, its conditional mean given the
    hidden state, which has the same mean and less noise.
    """
    return weekly(trace.table, column, trace.info.days)


def weekly(table: pa.Table, column: str, days: float) -> NDArray[np.float64]:
    """Sums of a column a week for each user of a trace's rows, ascending, float64 [U]."""
    _, user = np.unique(table.column("user").to_numpy(), return_inverse=True)
    cents = table.column(column).to_numpy().astype(np.float64)
    return np.bincount(user, weights=cents) / (days / 7)


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
