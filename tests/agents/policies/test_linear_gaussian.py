import numpy as np
import pytest

from agents.policies.exploration import Greedy, InverseGap, Thompson, UpperBound
from agents.policies.linear_gaussian import LinearGaussianPolicy

ARMS, WIDTH = 5, 3


def posterior(seed: int = 0) -> LinearGaussianPolicy:
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(ARMS, WIDTH + 1))
    factors = np.tril(rng.normal(size=(ARMS, WIDTH + 1, WIDTH + 1)) * 0.4)
    return LinearGaussianPolicy(means, factors, Thompson(floor=0.0))


def test_the_row_is_the_frequency_of_a_million_draws_of_the_parameters() -> None:
    """Each frequency is off by more than 5 standard errors with chance below 1e-6."""
    policy, draws = posterior(), 1_000_000
    rng = np.random.default_rng(3)
    observation = rng.normal(size=(1, WIDTH)).astype(np.float32)
    phi = np.append(observation[0].astype(np.float64), 1.0)
    mask = np.array([[True, True, False, True, True]])
    row = policy.probabilities(observation, mask)[0]
    # theta = mu + L'e has the covariance L'L
    scores = np.full((draws, ARMS), -np.inf)
    for arm in np.flatnonzero(mask[0]):
        noise = rng.normal(size=(draws, WIDTH + 1))
        scores[:, arm] = (policy.means[arm] + noise @ policy.factors[arm]) @ phi
    frequency = np.bincount(scores.argmax(axis=1), minlength=ARMS) / draws
    assert frequency.max() < 0.95  # a draw that decides nothing would test nothing
    assert (np.abs(frequency - row) <= 5 * np.sqrt(row * (1 - row) / draws) + 1e-6).all()


@pytest.mark.parametrize("rule", [UpperBound(), InverseGap(), Greedy(), Thompson()])
def test_a_policy_decides_by_its_rule_from_means_and_deviations(rule: object) -> None:
    beliefs = posterior()
    observations = np.random.default_rng(1).normal(size=(50, WIDTH)).astype(np.float32)
    phi = np.c_[observations.astype(np.float64), np.ones(50)]
    means = phi @ beliefs.means.T
    covariances = np.einsum("aji,ajk->aik", beliefs.factors, beliefs.factors)
    deviations = np.sqrt(np.einsum("ni,aij,nj->na", phi, covariances, phi))
    mask = np.ones((50, ARMS), bool)
    policy = LinearGaussianPolicy(beliefs.means, beliefs.factors, rule)
    np.testing.assert_allclose(
        policy.probabilities(observations, mask),
        rule.probabilities(means, deviations, mask),
        atol=1e-9,
    )


def test_a_price_of_contact_is_taken_off_everything_but_silence() -> None:
    observations = np.random.default_rng(1).normal(size=(4, WIDTH)).astype(np.float32)
    means, deviations = posterior().scores(observations)
    priced, as_before = posterior().priced(7.0).scores(observations)
    np.testing.assert_allclose(means - priced, np.tile([0, 7, 7, 7, 7], (4, 1)), atol=1e-12)
    np.testing.assert_array_equal(deviations, as_before)


def test_the_floor_gives_every_allowed_action_its_share() -> None:
    policy = LinearGaussianPolicy(
        np.array([[0.0, 0.0], [0.0, 100.0], [0.0, 0.0]]), np.zeros((3, 2, 2)), Thompson(0.06)
    )
    row = policy.probabilities(np.zeros((1, 1), np.float32), np.array([[True, True, False]]))
    np.testing.assert_allclose(row, [[0.03, 0.97, 0.0]], atol=1e-9)


def test_factors_that_are_no_triangle_are_refused() -> None:
    with pytest.raises(ValueError, match="triangular"):
        LinearGaussianPolicy(np.zeros((1, 2)), np.ones((1, 2, 2)))
