import numpy as np
import pytest

from agents.learning.log_weights import inverse_propensity_weights
from agents.learning.posterior import LinearPosterior
from agents.policies.exploration import Greedy


def test_weights_average_one_within_an_action_and_are_inverse_to_the_propensity() -> None:
    actions = np.array([0, 0, 0, 2, 2])
    weights = inverse_propensity_weights(actions, np.array([0.5, 0.25, 0.25, 0.9, 0.1]), np.inf)
    np.testing.assert_allclose(weights[:3], np.array([2, 4, 4]) / (10 / 3))
    assert weights[4] / weights[3] == pytest.approx(9.0)
    assert weights[3:].mean() == pytest.approx(1.0)


def test_weights_are_cut_at_the_limit() -> None:
    actions, propensities = np.zeros(100, np.int64), np.full(100, 0.9)
    propensities[0] = 1e-6
    assert inverse_propensity_weights(actions, propensities, 5.0).max() == 5.0


def test_a_randomised_log_is_not_weighed_at_all() -> None:
    actions = np.random.default_rng(0).integers(3, size=50)
    np.testing.assert_array_equal(
        inverse_propensity_weights(actions, np.full(50, 0.25), 10.0), np.ones(50)
    )


def test_with_propensities_a_bandit_learns_right_from_a_log_that_misleads_without() -> None:
    """Reward is quadratic, models are linear.

    Action 1 pays x squared, a third on average, and was mostly tried where x is near 0; action 0
    pays 0.2 everywhere. By symmetry the linear fit is flat: at its mean where it was tried, about
    0.15, or at a third for everybody.
    """
    rng = np.random.default_rng(3)
    n = 20_000
    x = rng.uniform(-1, 1, size=n)
    chance = np.where(np.abs(x) < 0.5, 0.9, 0.1)  # of action 1
    actions = (rng.random(n) < chance).astype(np.int64)
    rewards = np.where(actions == 1, x**2, 0.2) + 0.1 * rng.normal(size=n)
    propensities = np.where(actions == 1, chance, 1 - chance)
    weights = inverse_propensity_weights(actions, propensities, 10.0)
    chosen = []
    for given in (None, weights):
        posterior = LinearPosterior(1, 2, noise=0.1)
        posterior.learn(x[:, None].astype(np.float32), actions, rewards, given)
        row = posterior.policy(Greedy(0.0)).probabilities(np.zeros((1, 1)), np.ones((1, 2)))
        chosen.append(int(row.argmax()))
    assert chosen == [0, 1]
