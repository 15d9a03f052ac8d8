import numpy as np
import pytest

from benchmarks.comparison import compare, mean_estimate, ratio_estimate
from envs.errors import InputError


def test_a_mean_and_its_interval_agree_with_students_by_hand():
    # Mean 2, deviation 1, n = 3: reach = t(.975, 2) / sqrt(3) = 4.302653 / 1.732051.
    estimate = mean_estimate(np.asarray([1.0, 2.0, 3.0]))
    assert estimate.mean == 2.0
    assert estimate.high - estimate.mean == pytest.approx(2.484138, abs=1e-6)
    assert estimate.mean - estimate.low == pytest.approx(2.484138, abs=1e-6)


def test_pairing_sees_a_difference_that_the_values_hide():
    people = np.random.default_rng(1).normal(500, 300, 200)
    comparison = compare({"agent": people + 1, "silence": people}, weeks=1, agent="agent")
    assert comparison.values["agent"].low < comparison.values["silence"].high
    assert comparison.differences["silence"].low == pytest.approx(1.0)


def test_a_policy_against_itself_differs_by_nothing():
    sums = np.random.default_rng(2).normal(10, 3, 50)
    comparison = compare({"agent": sums, "rule_book": sums.copy()}, weeks=2, agent="agent")
    assert comparison.differences["rule_book"].high == 0.0
    assert comparison.lifts["rule_book"].low == 0.0


def test_values_are_per_week():
    sums = np.asarray([20.0, 40.0])
    assert compare({"agent": sums}, weeks=2, agent="agent").values["agent"].mean == 15.0


def test_the_intervals_of_mean_and_ratio_cover_the_truth_as_often_as_they_say():
    # 2,000 experiments of 100 users. If the true coverage is between 93 % and 97 %, fewer than one
    # run in 10,000 falls outside 91 % to 98.5 % (binomial); the delta method needs that slack.
    random = np.random.default_rng(3)
    bottom = random.gamma(4.0, 25.0, (2000, 100))  # mean 100
    top = 0.1 * bottom + random.normal(2.0, 20.0, (2000, 100))  # mean 12: ratio .12
    means = [mean_estimate(each) for each in top]
    ratios = [ratio_estimate(*each) for each in zip(top, bottom, strict=True)]
    assert 0.91 < np.mean([each.low < 12.0 < each.high for each in means]) < 0.985
    assert 0.91 < np.mean([each.low < 0.12 < each.high for each in ratios]) < 0.985


@pytest.mark.parametrize("sizes", [(3, 4), (1, 1), (0, 0)])
def test_policies_that_do_not_share_two_users_are_refused(sizes):
    sums = {"agent": np.ones(sizes[0]), "silence": np.ones(sizes[1])}
    with pytest.raises(InputError, match="share two or more users"):
        compare(sums, weeks=1, agent="agent")
