import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.bandits import LinearBandit, LinearBanditConfig
from agents.columns import MASK, OBSERVATIONS, ColumnEnvRunner
from agents.learners import LEARNERS, LearnerName
from agents.learning.linear_learner import LinearModule
from agents.learning.log_weights import inverse_propensity_weights
from agents.learning.posterior import SUMS, LinearPosterior
from agents.policies.exploration import RULES, RuleName
from tests.agents.rationing import GREEDY, OPTIMUM, Rationing, every_state

pytestmark = [
    pytest.mark.slow,  # starts Ray and trains
    pytest.mark.usefixtures("small_ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
WIDTH, ARMS = 5, 3
LINEAR: list[LearnerName] = ["lints", "linucb", "squarecb", "epsgreedy"]


def from_log(learners: int = 0, **training: Any) -> LinearBandit:
    config = LinearBanditConfig().from_log(WIDTH, ARMS).training(**training)
    config.learners(num_learners=learners)
    algorithm: LinearBandit = config.debugging(seed=0, log_level="ERROR").build_algo()
    return algorithm


def in_world(learner: LearnerName = "lints", seed: int = 0, **training: Any) -> LinearBandit:
    config = LEARNERS[learner].make().environment(Rationing).training(**training)
    config.env_runners(num_envs_per_env_runner=32, rollout_fragment_length=8)
    algorithm: LinearBandit = config.debugging(seed=seed, log_level="ERROR").build_algo()
    return algorithm


def log(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    observations = rng.normal(size=(n, WIDTH)).astype(np.float32)
    actions = rng.integers(ARMS, size=n)
    truth = rng.normal(size=(ARMS, WIDTH))
    paid = (truth[actions] * observations).sum(axis=1) * 100 + rng.normal(size=n) * 50
    return observations, actions, np.round(paid)  # whole cents


def sums(algorithm: LinearBandit) -> dict[str, np.ndarray]:
    state = algorithm.ask_learner(
        lambda learner: learner.module["default_policy"].unwrapped().get_state()
    )
    return {name: state[f"posterior.{name}"] for name in SUMS}


def test_the_algorithm_keeps_the_sums_of_the_posterior_it_is_made_of() -> None:
    """Also when rows are forgotten, and added in several updates."""
    algorithm = from_log(half_life=700.0)
    alone = LinearPosterior(WIDTH, ARMS, half_life=700.0)
    for seed in range(3):
        algorithm.learn(*log(1_000, seed))
        alone.learn(*log(1_000, seed))
    for name, array in sums(algorithm).items():
        np.testing.assert_allclose(array, getattr(alone, name).numpy(), rtol=1e-12)
    algorithm.stop()


def test_propensities_weigh_decisions_up_to_the_limit_and_only_with_one() -> None:
    observations, actions, paid = log(2_000)
    propensities = np.where(observations[:, 0] > 0, 0.9, 0.1)
    weights = inverse_propensity_weights(actions, propensities, 1.5)
    assert weights.max() == 1.5  # the cut matters
    alone = LinearPosterior(WIDTH, ARMS)
    alone.learn(observations, actions, paid, weights)
    weighed, plain = from_log(weight_limit=1.5), from_log()
    for algorithm in (weighed, plain):
        algorithm.learn(observations, actions, paid, propensities)
    precision = sums(weighed)["precision"]
    np.testing.assert_allclose(precision, alone.precision.numpy(), rtol=1e-5, atol=1e-3)
    assert not np.allclose(precision, sums(plain)["precision"], rtol=0.01)
    np.testing.assert_array_equal(sums(plain)["count"], np.bincount(actions))
    weighed.stop()
    plain.stop()


@pytest.mark.parametrize("learner", LINEAR)
def test_it_learns_what_pays_at_once_and_keeps_to_the_mask(learner: LearnerName) -> None:
    algorithm = in_world(learner, noise=20.0)
    for _ in range(30):
        algorithm.train()
    rows = algorithm.policy().probabilities(*every_state())
    algorithm.set_contact_price(75.0)  # only the contact that pays 100 earns that
    priced = algorithm.policy().probabilities(*every_state())
    algorithm.stop()
    assert rows.argmax(axis=1).tolist() == GREEDY
    assert (rows[:, 3] == 0).all()
    assert priced.argmax(axis=1).tolist() == OPTIMUM


@pytest.mark.parametrize("learner", LINEAR)
def test_the_same_seed_learns_the_same_and_another_does_not(learner: LearnerName) -> None:
    learnt = []
    for seed in (1, 1, 2):
        algorithm = in_world(learner, seed, noise=20.0)
        for _ in range(4):
            algorithm.train()
        learnt.append(sums(algorithm)["precision"])
        algorithm.stop()
    np.testing.assert_array_equal(learnt[0], learnt[1])
    assert not np.array_equal(learnt[0], learnt[2])


@pytest.mark.parametrize("rule", list(RULES))
def test_a_runner_explores_by_the_rule_of_the_finished_policy(rule: RuleName) -> None:
    """100,000 draws; each frequency is off by more than 5 standard errors with chance 1e-6."""
    space = Rationing().single_observation_space
    settings = {name: getattr(LinearBanditConfig(), name) for name in ("ridge", "noise_weight")}
    settings |= {"noise": 50.0, "half_life": np.inf, "rule": RULES[rule](0.1).settings()}
    module = LinearModule(
        observation_space=space, action_space=Rationing().single_action_space,
        model_config=settings,
    )  # fmt: skip
    rng, draws = np.random.default_rng(0), 100_000
    observations, mask = every_state()
    seen = observations[rng.integers(6, size=30)]
    module.posterior.learn(seen, rng.integers(4, size=30), rng.normal(0, 50, size=30))
    module.refresh()
    for state in range(6):
        batch = {
            OBSERVATIONS: torch.from_numpy(np.repeat(observations[[state]], draws, axis=0)),
            MASK: torch.from_numpy(np.repeat(mask[[state]], draws, axis=0)),
        }
        drawn = module.forward_exploration(batch, rng=rng)["actions"].numpy()
        frequency = np.bincount(drawn, minlength=4) / draws
        row = module.policy().probabilities(observations[[state]], mask[[state]])[0]
        assert (np.abs(frequency - row) <= 5 * np.sqrt(row * (1 - row) / draws) + 1e-5).all()


ASK = """
import sys, warnings
import numpy as np
warnings.simplefilter("ignore")
from agents.bandits import LinearBandit
from simulators.cluster import quiet_ray
from tests.agents.rationing import every_state
with quiet_ray(None):
    restored = LinearBandit.from_checkpoint(sys.argv[1])
    np.save(sys.argv[2], restored.policy().probabilities(*every_state()))
    restored.stop()
"""


def test_a_new_process_restores_the_same_probabilities_to_the_bit(tmp_path: Path) -> None:
    algorithm = in_world(noise=20.0)
    for _ in range(3):
        algorithm.train()
    algorithm.save_to_path(str(tmp_path / "checkpoint"))
    here = algorithm.policy().probabilities(*every_state())
    algorithm.stop()
    given = [sys.executable, "-c", ASK, str(tmp_path / "checkpoint"), str(tmp_path / "row.npy")]
    subprocess.run(given, check=True, timeout=300)
    np.testing.assert_array_equal(np.load(tmp_path / "row.npy"), here)
    assert 0 < here.max() < 1


def test_sums_keep_float64_over_a_checkpoint_and_the_policy_is_bit_equal(tmp_path: Path) -> None:
    algorithm = in_world(half_life=3_000.0)
    for _ in range(5):
        algorithm.train()
    algorithm.save_to_path(str(tmp_path / "checkpoint"))
    restored = LinearBandit.from_checkpoint(str(tmp_path / "checkpoint"))
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


def test_spaces_are_those_of_the_environment() -> None:
    config = LinearBanditConfig().environment(Rationing)
    runner = ColumnEnvRunner(config=config.env_runners(num_envs_per_env_runner=4), worker_index=0)
    world = Rationing()
    assert runner.module.observation_space == world.single_observation_space
    assert runner.module.action_space == world.single_action_space
    assert runner.module.means.shape == (4, 7)
    runner.stop()
