from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.bandits import LinearThompson, LinearThompsonConfig
from agents.linear_learner import SUMS
from tests.agents.rationing import GREEDY, OPTIMUM, Rationing, every_state

pytestmark = [
    pytest.mark.slow,  # starts Ray and trains
    pytest.mark.usefixtures("small_ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
WIDTH, ARMS = 5, 3


def from_log(**training: Any) -> LinearThompson:
    config = LinearThompsonConfig().from_log(WIDTH, ARMS).training(**training)
    algorithm: LinearThompson = config.debugging(seed=0, log_level="ERROR").build_algo()
    return algorithm


def log(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    observations = rng.normal(size=(n, WIDTH)).astype(np.float32)
    actions = rng.integers(ARMS, size=n)
    truth = rng.normal(size=(ARMS, WIDTH))
    paid = (truth[actions] * observations).sum(axis=1) * 100 + rng.normal(size=n) * 50
    return observations, actions, np.round(paid)  # whole cents


def sums(algorithm: LinearThompson) -> dict[str, np.ndarray]:
    state = algorithm.ask_learner(
        lambda learner: learner.module["default_policy"].unwrapped().get_state()
    )
    return {name: state[name] for name in SUMS}


def test_the_posterior_is_batch_least_squares_however_the_log_is_cut() -> None:
    observations, actions, paid = log(4_000)
    algorithm = from_log(ridge=2.0)
    for rows in np.array_split(np.arange(4_000), 7):
        algorithm.learn(observations[rows], actions[rows], paid[rows])
    means = algorithm.policy().means
    algorithm.stop()
    features = np.concatenate([observations, np.ones((4_000, 1))], axis=1).astype(np.float64)
    for arm in range(ARMS):
        x, y = features[actions == arm], paid[actions == arm]
        exact = np.linalg.solve(x.T @ x + 2.0 * np.eye(WIDTH + 1), x.T @ y)
        np.testing.assert_allclose(means[arm], exact, rtol=1e-9, atol=1e-9)


def test_the_believed_noise_is_that_of_the_residuals() -> None:
    """The standard error of the estimate is 0.6 at 4,000 rows."""
    algorithm = from_log(noise=50.0)
    algorithm.learn(*log(4_000))
    factors = algorithm.policy().factors
    precision = sums(algorithm)["precision"]
    algorithm.stop()
    covariance = factors[0].T @ factors[0]
    noise = np.sqrt(np.diag(covariance @ precision[0]))
    np.testing.assert_allclose(noise, 50.0, atol=3.0)


def test_sums_keep_float64_over_a_checkpoint_and_the_policy_is_bit_equal(tmp_path: Path) -> None:
    config = LinearThompsonConfig().environment(Rationing).debugging(seed=0, log_level="ERROR")
    config.env_runners(num_envs_per_env_runner=16, rollout_fragment_length=4)
    algorithm: LinearThompson = config.build_algo()
    for _ in range(5):
        algorithm.train()
    algorithm.save_to_path(str(tmp_path / "checkpoint"))
    restored = LinearThompson.from_checkpoint(str(tmp_path / "checkpoint"))
    before, after = sums(algorithm), sums(restored)
    for name in SUMS:
        assert after[name].dtype == np.float64
        np.testing.assert_array_equal(before[name], after[name])
    np.testing.assert_array_equal(
        algorithm.policy().probabilities(*every_state()),
        restored.policy().probabilities(*every_state()),
    )
    np.testing.assert_array_equal(
        restored.env_runner.module.means.numpy(), algorithm.policy().means.astype(np.float32)
    )
    algorithm.stop()
    restored.stop()


def test_it_learns_what_pays_at_once_and_keeps_to_the_mask() -> None:
    config = LinearThompsonConfig().environment(Rationing).debugging(seed=0, log_level="ERROR")
    config.env_runners(num_envs_per_env_runner=32, rollout_fragment_length=8)
    algorithm: LinearThompson = config.training(noise=20.0, floor=0.0).build_algo()
    for _ in range(30):
        algorithm.train()
    rows = algorithm.policy().probabilities(*every_state())
    algorithm.set_contact_price(75.0)  # only the contact that pays 100 earns that
    priced = algorithm.policy().probabilities(*every_state())
    algorithm.stop()
    assert rows.argmax(axis=1).tolist() == GREEDY
    assert (rows[:, 3] == 0).all()
    assert priced.argmax(axis=1).tolist() == OPTIMUM
