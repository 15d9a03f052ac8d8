import numpy as np
import pytest

from benchmarks.comparison import compare, ratio
from envs.errors import InputError


def test_pairing_sees_a_difference_that_the_values_hide():
    people = np.random.default_rng(1).normal(500, 300, 200)
    comparison = compare({"agent": people + 1, "silence": people}, days=7, agent="agent")
    assert comparison.values["agent"].low < comparison.values["silence"].high
    assert comparison.differences["silence"].low == pytest.approx(1.0)


def test_a_policy_against_itself_differs_by_nothing():
    sums = np.random.default_rng(2).normal(10, 3, 50)
    comparison = compare({"agent": sums, "rule_book": sums.copy()}, days=14, agent="agent")
    assert comparison.differences["rule_book"].high == 0.0
    assert comparison.lifts["rule_book"].low == 0.0


def test_the_interval_of_a_ratio_covers_the_truth_as_often_as_it_says():
    # 2,000 experiments of 100 users. If the true coverage is between 93 % and 97 %, fewer than one
    # run in 10,000 falls outside 91 % to 98.5 % (binomial); the delta method needs that slack.
    random = np.random.default_rng(3)
    bottom = random.gamma(4.0, 25.0, (2000, 100))  # mean 100
    top = 0.1 * bottom + random.normal(2.0, 20.0, (2000, 100))  # mean 12: ratio .12
    ratios = [ratio(*each) for each in zip(top, bottom, strict=True)]
    assert 0.91 < np.mean([each.low < 0.12 < each.high for each in ratios]) < 0.985


@pytest.mark.parametrize("sizes", [(3, 4), (1, 1), (0, 0)])
def test_policies_that_do_not_share_two_users_are_refused(sizes):
    sums = {"agent": np.ones(sizes[0]), "silence": np.ones(sizes[1])}
    with pytest.raises(InputError, match="share two or more users"):
        compare(sums, days=7, agent="agent")
