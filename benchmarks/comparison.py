"""Policies compared on the same users and the same luck, in cents per user-week."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from envs.errors import InputError

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over users with its 95 % confidence interval."""

    mean: float
    low: float
    high: float

    def shown(self, digits: int = 1) -> str:
        """The estimate as a person reads it: mean [low, high]."""
        return f"{self.mean:,.{digits}f} [{self.low:,.{digits}f}, {self.high:,.{digits}f}]"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One policy, the agent, beside its rivals, all paired user by user."""

    users: int
    weeks: float
    values: dict[str, Estimate]
    """Net value of each policy, cents per user-week."""
    differences: dict[str, Estimate]
    """Agent minus each rival, paired, cents per user-week."""
    lifts: dict[str, Estimate]
    """Agent minus each rival as a fraction of that rival's value, the denominator."""


def compare(net_cents: Mapping[str, NDArray[np.float64]], weeks: float, agent: str) -> Comparison:
    """Values, paired differences and lifts from each policy's net cents by user.

    Args:
        net_cents: for each policy the sum over the run, [N], the same users in the same order.
        weeks: length of the run.
        agent: the name in ``net_cents`` that is compared with all others.

    Raises:
        InputError: fewer than two users, or policies that met different numbers of users.
    """
    sizes = {name: len(sums) for name, sums in net_cents.items()}
    if len(set(sizes.values())) != 1 or sizes[agent] < 2:
        raise InputError(f"policies have to share two or more users, got {sizes}")
    weekly = {name: np.asarray(sums, np.float64) / weeks for name, sums in net_cents.items()}
    rivals = [name for name in weekly if name != agent]
    return Comparison(
        users=sizes[agent],
        weeks=weeks,
        values={name: mean_estimate(each) for name, each in weekly.items()},
        differences={name: mean_estimate(weekly[agent] - weekly[name]) for name in rivals},
        lifts={name: ratio_estimate(weekly[agent] - weekly[name], weekly[name]) for name in rivals},
    )


def mean_estimate(values: NDArray[np.float64]) -> Estimate:
    """The mean of independent users' values [N] with Student's interval."""
    return _around(float(values.mean()), float(values.std(ddof=1)), len(values))


def ratio_estimate(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> Estimate:
    """The ratio of two paired means [N], its interval by the delta method.

    Source: Cochran, Sampling Techniques, 3rd ed., section 2.11 (large-sample variance of a ratio).
    """
    ratio = float(top.mean() / bottom.mean())
    residuals = (top - ratio * bottom) / bottom.mean()
    return _around(ratio, float(residuals.std(ddof=1)), len(top))


def _around(mean: float, deviation: float, count: int) -> Estimate:
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)) * deviation / sqrt(count)
    return Estimate(mean, mean - reach, mean + reach)
