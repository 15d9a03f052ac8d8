from __future__ import annotations

import numpy as np
import pytest

from simulators.calibration.jackknife import by_group, jackknife
from simulators.value import Estimate


def test_of_a_mean_it_is_the_usual_interval() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 50)
    found = jackknife({"x": values[:, None]}, lambda s: float(s["x"].sum()) / 50)
    # leaving out a value changes the sum and not the count, so the jackknife sees 49 / 50 of it
    usual = Estimate.of(values)
    assert found.mean == pytest.approx(usual.mean)
    assert found.high - found.mean == pytest.approx((usual.high - usual.mean) * 49 / 50)


def test_the_interval_of_a_ratio_holds_the_truth_as_often_as_it_says() -> None:
    # 400 ratios of means with the truth 2; 95 % of the intervals should hold it. A right method
    # falls outside .915 to .98 about once in 400 runs of this test; the seed is fixed.
    generator = np.random.default_rng(2)
    held = 0
    for _ in range(400):
        below = generator.gamma(4.0, 0.25, (20, 1))
        above = 2 * below * generator.gamma(9.0, 1 / 9, (20, 1))
        found = jackknife({"a": above, "b": below}, lambda s: float(s["a"].sum() / s["b"].sum()))
        held += found.low <= 2.0 <= found.high
    assert 0.915 <= held / 400 <= 0.98


def test_values_are_added_up_by_group_and_cell() -> None:
    group, cell = np.asarray([0, 0, 2, 2]), np.asarray([1, 1, 0, 1])
    sums = by_group(group, 3, cell, 2, np.asarray([1.0, 2.0, 4.0, 8.0]))
    assert sums.tolist() == [[0.0, 3.0], [0.0, 0.0], [4.0, 8.0]]
