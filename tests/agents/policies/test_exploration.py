from dataclasses import replace

import numpy as np
import pytest

from agents.policies.exploration import (
    RULES,
    Greedy,
    InverseGap,
    Rule,
    Thompson,
    UpperBound,
    rule_of,
)
from envs.decisions import draw_actions

ALL = [Thompson(0.05, 0.7), UpperBound(0.05, 1.5), InverseGap(0.05, 2.0), Greedy(0.1)]
MEANS = np.array([[1.0, 0.4, 0.9, 5.0, 0.0]])
DEVIATIONS = np.array([[0.1, 0.8, 0.5, 1.0, 1e-3]])
MASK = np.array([[True, True, True, False, True]])


def many(n: int = 500) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    mask = rng.random((n, 6)) < 0.5
    mask[:, 0] = True
    return rng.normal(size=(n, 6)), rng.exponential(size=(n, 6)), mask


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: type(rule).__name__)
def test_a_row_sums_to_one_and_gives_masked_actions_nothing(rule: Rule) -> None:
    means, deviations, mask = many()
    row = rule.probabilities(means, deviations, mask)
    assert row.dtype == np.float64
    np.testing.assert_allclose(row.sum(axis=1), 1.0, rtol=1e-12)
    assert (row[~mask] == 0).all()
    smallest = rule.floor / mask.sum(axis=1)
    assert (row >= np.where(mask, smallest[:, None] * (1 - 1e-12), 0)).all()


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: type(rule).__name__)
def test_a_million_draws_come_up_as_often_as_the_row_says(rule: Rule) -> None:
    """Each frequency is off by more than 5 standard errors with chance below 1e-6."""
    draws, row = 1_000_000, rule.probabilities(MEANS, DEVIATIONS, MASK)[0]
    rng = np.random.default_rng(6)
    tall = [np.repeat(array, draws, axis=0) for array in (MEANS, DEVIATIONS, MASK)]
    frequency = np.bincount(rule.draw(*tall, rng), minlength=5) / draws
    assert row.max() < 0.99  # a draw that decides nothing would test nothing
    assert (np.abs(frequency - row) <= 5 * np.sqrt(row * (1 - row) / draws) + 1e-6).all()


def test_the_upper_bound_takes_the_most_that_may_be_hoped_for() -> None:
    row = UpperBound(0.04, 1.5).probabilities(MEANS, DEVIATIONS, MASK)
    np.testing.assert_allclose(row, [[0.01, 0.01, 0.97, 0.0, 0.01]])  # .9 + 1.5 x .5 is the most
    np.testing.assert_allclose(UpperBound(0.0, 0.0).probabilities(MEANS, DEVIATIONS, MASK),
                               [[1.0, 0.0, 0.0, 0.0, 0.0]])  # fmt: skip


def test_inverse_gaps_are_those_of_the_formula() -> None:
    row = InverseGap(0.0, 10.0).probabilities(MEANS, DEVIATIONS, MASK)[0]
    others = [1 / (4 + 10 * 0.6), 1 / (4 + 10 * 0.1), 0.0, 1 / (4 + 10 * 1.0)]
    np.testing.assert_allclose(row, [1 - sum(others), *others])


def test_inverse_gaps_get_sharper_with_certainty_and_the_other_rules_do_not() -> None:
    assert InverseGap(gamma=2.0).sharpened(3.0) == InverseGap(gamma=6.0)
    for rule in (Thompson(), UpperBound(), Greedy()):
        assert rule.sharpened(3.0) is rule


def test_epsilon_is_shared_by_the_allowed_and_ties_share_the_rest() -> None:
    row = Greedy(0.2).probabilities(MEANS, DEVIATIONS, MASK)
    np.testing.assert_allclose(row, [[0.85, 0.05, 0.05, 0.0, 0.05]])
    row = Greedy(0.2).probabilities(np.zeros((1, 5)), DEVIATIONS, MASK)
    np.testing.assert_allclose(row, [[0.25, 0.25, 0.25, 0.0, 0.25]])


def test_a_row_does_not_depend_on_the_others() -> None:
    means, deviations, mask = many()
    for rule in ALL:
        row = rule.probabilities(means, deviations, mask)
        alone = rule.probabilities(means[7:8], deviations[7:8], mask[7:8])
        np.testing.assert_allclose(row[7:8], alone, atol=1e-6)  # the quadrature's own error


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: type(rule).__name__)
def test_a_rule_is_known_again_by_the_names_of_its_numbers(rule: Rule) -> None:
    assert rule_of(rule.settings()) == rule
    assert type(rule) in RULES.values()


@pytest.mark.parametrize(
    "settings", [{"floor": 1.5}, {"floor": 0.1, "alpha": -1.0}, {"floor": 0.1, "beta": 1.0}, {}]
)
def test_settings_of_no_rule_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"floor is 1\.5|alpha is -1\.0|no rule"):
        rule_of(settings)


def test_a_rule_draws_as_its_seed_says() -> None:
    for rule in ALL:
        first, again, other = (rule.draw(*many(), np.random.default_rng(s)) for s in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert (first != other).any() or isinstance(rule, UpperBound)


def test_no_floor_leaves_the_rule_alone() -> None:
    for rule in ALL:
        without = replace(rule, floor=0.0).probabilities(*many())
        mixed = rule.probabilities(*many())
        mask = many()[2]
        uniform = mask / mask.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(mixed, (1 - rule.floor) * without + rule.floor * uniform)


def test_the_draw_of_a_row_is_the_one_the_service_makes() -> None:
    rule, rng = InverseGap(0.05, 2.0), np.random.default_rng(8)
    row = rule.probabilities(*many())
    np.testing.assert_array_equal(
        draw_actions(row, rng.random(len(row))), rule.draw(*many(), np.random.default_rng(8))
    )
