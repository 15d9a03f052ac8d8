from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.learning.step_memory import MOST_ACTIONS, NAMES, StepMemory, Steps
from envs.errors import InputError

CELLS, ACTIONS = 5, 3


def some_steps(n: int, seed: int) -> Steps:
    """Rewards and discounts are multiples of a power of two: their sums are exact."""
    rng = np.random.default_rng(seed)
    return Steps(
        rng.integers(CELLS, size=n),
        rng.integers(ACTIONS, size=n),
        rng.integers(-8, 8, size=n) / 4,
        rng.integers(0, 8, size=n) / 8,
        rng.integers(CELLS, size=n),
        np.hstack([np.ones((n, 1), np.bool_), rng.random((n, ACTIONS - 1)) < 0.5]),
    )


def part(steps: Steps, rows: np.ndarray) -> Steps:
    columns = ("cells", "actions", "rewards", "discounts", "next_cells", "next_masks")
    return Steps(*(getattr(steps, name)[rows] for name in columns))


def filled(*parts: Steps) -> StepMemory:
    memory = StepMemory(CELLS, ACTIONS)
    for steps in parts:
        memory.add(steps)
    return memory


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 60), cuts=st.integers(1, 6), seed=st.integers(0, 999))
def test_what_is_remembered_does_not_depend_on_how_the_steps_are_cut(
    n: int, cuts: int, seed: int
) -> None:
    steps = some_steps(n, seed)
    whole = filled(steps)
    pieces = filled(*(part(steps, rows) for rows in np.array_split(np.arange(n), cuts)))
    assert np.array_equal(whole.visits, pieces.visits)
    assert np.array_equal(whole.rewards, pieces.rewards)
    assert set(whole.masks.tolist()) == set(pieces.masks.tolist())
    assert sums(whole) == sums(pieces)


def sums(memory: StepMemory) -> dict[tuple[int, int, tuple[bool, ...]], float]:
    """Discount by pair, next cell and next mask."""
    paths = memory.paths()
    situations = zip(paths.cell.tolist(), map(tuple, paths.mask.tolist()), strict=True)
    known = list(situations)
    keys = [(pair, *known[s]) for pair, s in zip(paths.pair, paths.situation, strict=True)]
    assert len(set(keys)) == len(keys)
    return dict(zip(keys, memory.discounts.tolist(), strict=True))


def test_every_step_is_in_the_sums() -> None:
    steps = some_steps(200, 1)
    expected: dict[tuple[int, int, tuple[bool, ...]], float] = {}
    for row in range(200):
        pair = int(steps.cells[row] * ACTIONS + steps.actions[row])
        key = (pair, int(steps.next_cells[row]), tuple(steps.next_masks[row].tolist()))
        expected[key] = expected.get(key, 0.0) + float(steps.discounts[row])
    assert sums(filled(steps)) == expected


def test_a_memory_is_taken_over_to_the_bit() -> None:
    memory = filled(some_steps(50, 2), some_steps(30, 3))
    other = filled(some_steps(9, 4))
    other.take_over(memory.arrays())
    for memory_now in (memory, other):
        memory_now.add(some_steps(20, 5))
    for name in NAMES:
        assert np.array_equal(getattr(memory, name), getattr(other, name))
        assert getattr(memory, name).dtype == getattr(other, name).dtype


def test_more_actions_than_a_mask_has_bits_are_refused() -> None:
    with pytest.raises(InputError, match="63 actions, a table has 62 at most: use q"):
        StepMemory(2, MOST_ACTIONS + 1)
