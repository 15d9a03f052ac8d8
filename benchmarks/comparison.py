"""Policies compared on the same users and the same luck, in cents per user-week."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.errors import InputError
from simulators.value import Estimate


@dataclass(frozen=True, slots=True)
class Comparison:
    """One policy, the agent, beside its rivals, all paired user by user."""

    users: int
    days: float
    values: dict[str, Estimate]
    """Net value of each policy, cents per user-week."""
    differences: dict[str, Estimate]
    """Agent minus each rival, paired, cents per user-week."""
    lifts: dict[str, Estimate]
    """Agent minus each rival as a fraction of that rival's value, the denominator."""


def compare(weekly: Mapping[str, NDArray[np.float64]], days: float, agent: str) -> Comparison:
    """Values, paired differences and lifts from what each policy made of each user.

    Args:
        weekly: for each policy net cents per user-week, [N], the same users in the same order.
        days: length of the run.
        agent: the name in ``weekly`` that is compared with all others.

    Raises:
        InputError: fewer than two users, or policies that met different numbers of users.
    """
    sizes = {name: len(sums) for name, sums in weekly.items()}
    if len(set(sizes.values())) != 1 or sizes[agent] < 2:
        raise InputError(f"policies have to share two or more users, got {sizes}")
    rivals = [name for name in weekly if name != agent]
    return Comparison(
        users=sizes[agent],
        days=days,
        values={name: Estimate.of(each) for name, each in weekly.items()},
        differences={name: Estimate.of(weekly[agent] - weekly[name]) for name in rivals},
        lifts={name: ratio(weekly[agent] - weekly[name], weekly[name]) for name in rivals},
    )


def ratio(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> Estimate:
    """The ratio of two paired means over users [N], its interval by the delta method.

    Source: Cochran, Sampling Techniques, 3rd ed., section 2.11 (large-sample variance of a ratio).
    """
    fraction = top.mean() / bottom.mean()
    return Estimate.of(fraction + (top - fraction * bottom) / bottom.mean())
