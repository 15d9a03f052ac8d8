"""Sums of several remote learners and runners are those of one that met the same decisions."""

from collections.abc import Iterator

import numpy as np
import pytest

from agents.bandits import LinearBandit, LinearBanditConfig
from agents.columns import OBSERVATIONS
from agents.learning.posterior import SUMS, LinearPosterior
from simulators.cluster import quiet_ray
from tests.agents.rationing import Rationing

pytestmark = [
    pytest.mark.slow,  # starts Ray and remote processes
    pytest.mark.usefixtures("room_for_four"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
WIDTH, ARMS = 5, 3


@pytest.fixture(scope="module")
def room_for_four() -> Iterator[None]:
    with quiet_ray(None, 4):
        yield


def from_log(learners: int, half_life: float) -> LinearBandit:
    config = LinearBanditConfig().from_log(WIDTH, ARMS).training(half_life=half_life)
    config.learners(num_learners=learners)
    algorithm: LinearBandit = config.debugging(seed=0, log_level="ERROR").build_algo()
    return algorithm


def log(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    observations = rng.normal(size=(n, WIDTH)).astype(np.float32)
    return observations, rng.integers(ARMS, size=n), np.round(rng.normal(0, 500, size=n))


def every_sum(algorithm: LinearBandit) -> list[dict[str, np.ndarray]]:
    """Of each learner."""
    answers = algorithm.learner_group.foreach_learner(
        lambda learner: learner.module["default_policy"].unwrapped().get_state()
    )
    states = [answer.get() for answer in answers]
    return [{name: state[f"posterior.{name}"] for name in SUMS} for state in states]


@pytest.mark.parametrize("half_life", [np.inf, 500.0])
def test_two_learners_and_one_have_the_same_sums_of_the_same_decisions(half_life: float) -> None:
    """Also of an odd number of them, which RLlib shares out unevenly, and of a single one."""
    one, two = (from_log(learners, half_life) for learners in (0, 2))
    for rows in (1_001, 1, 64):
        one.learn(*log(rows))
        two.learn(*log(rows))
    (alone,), both = every_sum(one), every_sum(two)
    for name, array in alone.items():
        np.testing.assert_allclose(both[0][name], array, rtol=1e-9, atol=1e-9)
        np.testing.assert_array_equal(both[0][name], both[1][name])  # and know the same
    one.stop()
    two.stop()


def test_what_two_runners_meet_adds_up_in_two_learners() -> None:
    """Every decision of both runners is seen on its way and summed up by hand."""
    config = LinearBanditConfig().environment(Rationing).debugging(seed=0, log_level="ERROR")
    config.env_runners(num_env_runners=2, num_envs_per_env_runner=16, rollout_fragment_length=4)
    algorithm: LinearBandit = config.learners(num_learners=2).build_algo()
    alone = LinearPosterior(6, 4)
    for _ in range(3):
        fragments = algorithm.collect()
        assert len(fragments) == 2  # one of each runner
        for experience in fragments:
            columns = experience.columns
            paid = algorithm.reward_cents(experience)
            alone.learn(columns[OBSERVATIONS], columns["actions"], paid)
            algorithm.learn(columns[OBSERVATIONS], columns["actions"], paid)
        algorithm.hand_over()
    for sums in every_sum(algorithm):
        for name, array in sums.items():
            np.testing.assert_allclose(array, getattr(alone, name).numpy(), rtol=1e-9, atol=1e-9)
    expected = algorithm.policy().means.astype(np.float32)
    assert np.abs(expected).max() > 0
    for means in algorithm.env_runner_group.foreach_env_runner(
        lambda runner: runner.module.get_state()["means"], local_env_runner=False
    ):
        np.testing.assert_array_equal(means, expected)
    algorithm.stop()
