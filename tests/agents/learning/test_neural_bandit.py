from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.learning.neural_bandit import NeuralLinear, NeuralLinearConfig
from agents.policies.neural_linear import NeuralLinearPolicy
from tests.agents.rationing import GREEDY, Rationing, every_state

pytestmark = [
    pytest.mark.slow,  # starts Ray and trains
    pytest.mark.usefixtures("small_ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def from_log(learners: int = 0, **training: Any) -> NeuralLinear:
    config = NeuralLinearConfig().from_log(2, 2).training(hidden=(32, 16), lr=3e-3, **training)
    config.learners(num_learners=learners)
    algorithm: NeuralLinear = config.debugging(seed=0, log_level="ERROR").build_algo()
    return algorithm


def in_world(seed: int = 0) -> NeuralLinear:
    config = NeuralLinearConfig().environment(Rationing).debugging(seed=seed, log_level="ERROR")
    config.env_runners(num_envs_per_env_runner=32, rollout_fragment_length=8)
    config.training(hidden=(16, 8), lr=3e-3, noise=20.0, first_rows=1_000)
    algorithm: NeuralLinear = config.build_algo()
    return algorithm


def crossed(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Action 1 pays where both signs agree, action 0 elsewhere: no linear model sees which."""
    rng = np.random.default_rng(seed)
    observations = rng.choice([-1.0, 1.0], size=(n, 2)).astype(np.float32)
    actions = rng.integers(2, size=n)
    agree = (observations.prod(axis=1) > 0).astype(np.int64)
    return observations, actions, np.where(actions == agree, 1.0, 0.0) + rng.normal(0, 0.5, n)


CORNERS = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], np.float32)


def state_of(algorithm: NeuralLinear) -> dict[str, np.ndarray]:
    return algorithm.ask_learner(
        lambda learner: learner.module["default_policy"].unwrapped().get_state()
    )


@pytest.mark.parametrize("learners", [0, 2])
def test_it_learns_from_a_log_what_no_linear_model_can(learners: int) -> None:
    algorithm = from_log(learners, epochs=20.0, noise=0.5)
    algorithm.learn(*crossed(4_000))
    policy = algorithm.policy()
    means, deviations = policy.scores(CORNERS)
    states = algorithm.learner_group.foreach_learner(
        lambda learner: learner.module["default_policy"].unwrapped().get_state()
    )
    first, *others = (result.get() for result in states)
    for other in others:  # the learners went the same way
        for name, array in first.items():
            np.testing.assert_allclose(other[name], array, rtol=1e-6, atol=1e-6)
    algorithm.stop()
    np.testing.assert_allclose(means, [[0, 1], [1, 0], [1, 0], [0, 1]], atol=0.15)
    assert deviations.max() < 0.15


def test_beliefs_are_exact_least_squares_upon_the_features_of_the_policy() -> None:
    algorithm = from_log(epochs=2.0, ridge=2.0)
    observations, actions, paid = crossed(3_000)
    paid = paid.astype(np.float32).astype(np.float64)  # as RLlib brings them
    algorithm.learn(observations, actions, paid)
    policy: NeuralLinearPolicy = algorithm.policy()
    algorithm.stop()
    phi = np.c_[policy.features(observations), np.ones(len(paid))]
    for arm in range(2):
        x, y = phi[actions == arm], paid[actions == arm]
        exact = np.linalg.solve(x.T @ x + 2.0 * np.eye(x.shape[1]), x.T @ y)
        np.testing.assert_allclose(policy.beliefs.means[arm], exact, rtol=1e-6, atol=1e-9)


def test_it_learns_what_pays_and_keeps_to_the_mask() -> None:
    algorithm = in_world()
    for _ in range(30):
        algorithm.train()
    rows = algorithm.policy().probabilities(*every_state())
    algorithm.stop()
    assert rows.argmax(axis=1).tolist() == GREEDY
    assert (rows[:, 3] == 0).all()


def test_the_same_seed_learns_the_same_and_another_does_not() -> None:
    learnt = []
    for seed in (1, 1, 2):
        algorithm = in_world(seed)
        for _ in range(8):
            algorithm.train()
        learnt.append(algorithm.policy().weights())
        algorithm.stop()
    first, again, other = learnt
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
    assert not np.array_equal(first["means"], other["means"])


def test_a_checkpoint_brings_back_network_and_beliefs_and_throws_nothing_away(
    tmp_path: Path,
) -> None:
    algorithm = in_world()
    for _ in range(8):
        algorithm.train()
    algorithm.save_to_path(str(tmp_path / "checkpoint"))
    restored = NeuralLinear.from_checkpoint(str(tmp_path / "checkpoint"))
    before, after = state_of(algorithm), state_of(restored)
    for name, array in before.items():
        np.testing.assert_array_equal(array, after[name])
    np.testing.assert_array_equal(
        algorithm.policy().probabilities(*every_state()),
        restored.policy().probabilities(*every_state()),
    )
    for _ in range(8):  # without the old decisions there are no new features
        restored.train()
    later = state_of(restored)
    np.testing.assert_array_equal(later["trunk.0.weight"], before["trunk.0.weight"])
    assert later["posterior.count"].sum() > before["posterior.count"].sum() > 0
    algorithm.stop()
    restored.stop()


def test_the_runner_sees_the_features_and_beliefs_of_the_policy() -> None:
    algorithm = in_world()
    for _ in range(8):
        algorithm.train()
    held = algorithm.env_runner.module.get_state()
    policy = algorithm.policy()
    assert "posterior.count" not in held
    np.testing.assert_array_equal(held["means"], policy.beliefs.means.astype(np.float32))
    np.testing.assert_array_equal(held["trunk.0.weight"].T, policy.layers[0][0])
    algorithm.stop()
