from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.oracle.grid import Grid

GRID = Grid(np.asarray([0.0, 1.0, 3.0, 7.0]), np.asarray([0.0, 0.1, 0.3]), 0.1)
FLAT = Grid(np.arange(5.0), np.zeros(1), 0.0)


def test_a_node_is_itself() -> None:
    for grid in (GRID, FLAT):
        moved = grid.moved(grid.cell_fatigue(), grid.cell_reference())
        assert np.allclose(moved, np.eye(grid.cells), atol=1e-12)


@given(
    st.lists(st.floats(0, 50), min_size=1, max_size=8),
    st.lists(st.floats(0, 1), min_size=8, max_size=8),
)
def test_weights_are_a_mean_of_the_nodes_around(
    fatigue: list[float], reference: list[float]
) -> None:
    points = np.asarray(fatigue), np.asarray(reference[: len(fatigue)])
    index, weight = GRID.corners(*points)
    assert np.allclose(weight.sum(axis=1), 1)
    assert (weight >= 0).all() and (index >= 0).all() and (index < GRID.cells).all()
    inside = np.minimum(points[1], 0.3)
    assert np.allclose((weight * GRID.cell_reference()[index]).sum(axis=1), inside)


def test_interpolation_is_exact_for_what_is_straight_in_the_bent_coordinate() -> None:
    fatigue = np.linspace(0, 7, 30)
    index, weight = GRID.corners(fatigue, np.zeros(30))
    bent = np.exp(-GRID.rate * GRID.cell_fatigue())
    assert np.allclose((weight * bent[index]).sum(axis=1), np.exp(-GRID.rate * fatigue))


def test_whoever_stands_beyond_the_last_node_stands_on_it() -> None:
    index, weight = GRID.corners(np.asarray([100.0]), np.asarray([1.0]))
    assert weight[0] @ GRID.cell_fatigue()[index[0]] == pytest.approx(7.0)
    assert weight[0] @ GRID.cell_reference()[index[0]] == pytest.approx(0.3)
