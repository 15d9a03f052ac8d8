import numpy as np

from agents.linear_gaussian import LinearGaussianPolicy
from envs.decisions import draw_actions

ARMS, WIDTH = 5, 3


def posterior(seed: int = 0) -> LinearGaussianPolicy:
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(ARMS, WIDTH + 1))
    factors = rng.normal(size=(ARMS, WIDTH + 1, WIDTH + 1)) * 0.4
    return LinearGaussianPolicy(means, factors, floor=0.0)


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


def test_actions_drawn_from_the_row_come_up_as_often_as_it_says() -> None:
    """Each frequency is off by more than 5 standard errors with chance below 1e-6."""
    policy, draws = posterior(1), 1_000_000
    rng = np.random.default_rng(4)
    row = policy.probabilities(rng.normal(size=(1, WIDTH)).astype(np.float32), np.ones((1, ARMS)))
    drawn = draw_actions(np.repeat(row, draws, axis=0), rng.random(draws))
    frequency = np.bincount(drawn, minlength=ARMS) / draws
    assert (np.abs(frequency - row[0]) <= 5 * np.sqrt(row[0] * (1 - row[0]) / draws) + 1e-9).all()


def test_the_floor_gives_every_allowed_action_its_share() -> None:
    policy = LinearGaussianPolicy(
        np.array([[0.0, 0.0], [0.0, 100.0], [0.0, 0.0]]), np.zeros((3, 2, 2)), floor=0.06
    )
    row = policy.probabilities(np.zeros((1, 1), np.float32), np.array([[True, True, False]]))
    np.testing.assert_allclose(row, [[0.03, 0.97, 0.0]], atol=1e-9)
