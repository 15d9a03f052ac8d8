"""Returns over several steps: what is summed up, and where it ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ray.rllib.core.columns import Columns

from agents.learning.multistep import lengthened


def steps(users: list[int], **given: Any) -> dict[str, Any]:
    """Steps of users in the order they were taken; each ends where its number says."""
    n = len(users)
    columns = {
        "user_row": np.array(users),
        "elapsed_days": np.full(n, 0.5),
        "greedy": np.ones(n, np.bool_),
        Columns.TERMINATEDS: np.zeros(n, np.bool_),
        Columns.TRUNCATEDS: np.zeros(n, np.bool_),
        "observations": np.arange(n, dtype=np.float32)[:, None],
        "next_observations": np.arange(n, dtype=np.float32)[:, None] + 100,
        "next_action_mask": np.ones((n, 2), np.bool_),
    }
    return columns | {name: np.asarray(column) for name, column in given.items()}


def by_step(columns: dict[str, Any], rewards: np.ndarray, gamma: float, most: int) -> Any:
    """Sum, days and end of each step, in the order the steps were taken."""
    long, total = lengthened(columns, rewards, gamma, most)
    order = np.argsort(long["observations"][:, 0])
    return total[order], long["elapsed_days"][order], long["next_observations"][order, 0] - 100


def test_one_step_is_left_as_it_is() -> None:
    total, days, end = by_step(steps([0, 1, 0]), np.array([1.0, 2.0, 3.0]), 0.9, 1)
    assert total.tolist() == [1, 2, 3] and days.tolist() == [0.5] * 3 and end.tolist() == [0, 1, 2]


def test_later_rewards_of_the_same_user_are_discounted_by_the_days_until_then() -> None:
    rewards = np.array([1.0, 10.0, 2.0, 20.0, 4.0])
    total, days, end = by_step(steps([0, 1, 0, 1, 0]), rewards, 0.81, 3)
    assert total == pytest.approx([1 + 0.9 * 2 + 0.81 * 4, 10 + 0.9 * 20, 2 + 0.9 * 4, 20, 4])
    assert days.tolist() == [1.5, 1.0, 1.0, 0.5, 0.5] and end.tolist() == [4, 3, 4, 3, 4]


@pytest.mark.parametrize("over", [Columns.TERMINATEDS, Columns.TRUNCATEDS])
def test_nothing_is_added_after_an_end(over: str) -> None:
    columns = steps([0, 0, 0], **{over: [False, True, False]})
    total, _, end = by_step(columns, np.array([1.0, 2.0, 4.0]), 1.0, 3)
    assert total.tolist() == [3, 2, 4] and end.tolist() == [1, 1, 2]


def test_an_end_is_known_at_the_last_step_of_a_return() -> None:
    columns = steps([0, 0, 0], **{Columns.TERMINATEDS: [False, True, False]})
    long, _ = lengthened(columns, np.zeros(3), 1.0, 3)
    ended = long[Columns.TERMINATEDS][np.argsort(long["observations"][:, 0])]
    assert ended.tolist() == [True, True, False]


def test_a_return_ends_before_an_explored_action_but_may_begin_with_one() -> None:
    columns = steps([0, 0, 0, 0], greedy=[True, False, True, True])
    total, _, end = by_step(columns, np.array([1.0, 2.0, 4.0, 8.0]), 1.0, 4)
    assert total.tolist() == [1, 14, 12, 8] and end.tolist() == [0, 3, 3, 3]


def test_twins_go_on_as_long_as_both_do() -> None:
    columns = steps([0, 1, 0, 1, 0, 1], greedy=[True, True, True, True, False, True])
    rewards = np.array([1.0, 10.0, 2.0, 20.0, 4.0, 40.0])
    alone, twins = (lengthened(columns, rewards, 1.0, 3, twins=twins) for twins in (False, True))
    assert alone[1].tolist() == [3, 2, 4, 70, 60, 40]
    assert twins[1].tolist() == [3, 2, 4, 30, 20, 40]
    assert twins[0]["elapsed_days"][:3].tolist() == twins[0]["elapsed_days"][3:].tolist()
