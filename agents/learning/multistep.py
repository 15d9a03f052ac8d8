"""Returns over several steps: what the next decisions brought counts at once, not by and by."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.rllib.core.columns import Columns

from agents.columns import ELAPSED, GREEDY, NEXT_COLUMNS, USER_ROW

Rows = NDArray[np.int64]


def lengthened(
    columns: dict[str, NDArray[Any]],
    rewards: NDArray[np.float64],
    gamma: float,
    most: int,
    twins: bool = False,
) -> tuple[dict[str, NDArray[Any]], NDArray[np.float64]]:
    """The same steps, each with the steps after it that were taken greedily, ``most`` in all.

    A step is lengthened by the user's next one as long as that one was the best in the eyes of the
    policy: what exploration did is nobody's return (Watkins 1989). Sums of rewards are discounted
    to the first step; the next situation and ``elapsed_days`` are those of the last.

    Args:
        columns: of an ``Experience``, ticks in their order.
        rewards: of its steps, float64 [N].
        gamma: discount a day.
        most: steps, 1 or more.
        twins: whether the later half of the users are twins of the former: they go on together.

    Returns:
        The columns and the sums, rows in another order: with twins the former first, then theirs.
    """
    order = np.argsort(columns[USER_ROW], kind="stable")
    columns = {name: column[order] for name, column in columns.items()}
    rewards, elapsed = rewards[order], columns[ELAPSED]
    goes_on = _goes_on(columns)
    if twins:
        goes_on &= np.roll(goes_on, len(goes_on) // 2)
    last = np.arange(len(rewards))
    total, days = rewards.copy(), elapsed.copy()
    for _ in range(most - 1):
        longer = np.flatnonzero(goes_on[last])
        after = last[longer] + 1
        total[longer] += gamma ** days[longer] * rewards[after]
        days[longer] += elapsed[after]
        last[longer] = after
    ends = {name: columns[name][last] for name in NEXT_COLUMNS if name in columns}
    return columns | ends | {ELAPSED: days}, total


def _goes_on(columns: dict[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Whether the row after each one is its user's next step, and was taken greedily."""
    user, over = columns[USER_ROW], columns[Columns.TERMINATEDS] | columns[Columns.TRUNCATEDS]
    goes_on = np.zeros(len(user), np.bool_)
    goes_on[:-1] = (user[1:] == user[:-1]) & ~over[:-1] & columns[GREEDY][1:]
    return goes_on
