from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ray.rllib.core import DEFAULT_MODULE_ID

from agents.learning.q_learner import DuelingNetwork, QLearner, QModule
from agents.learning.silence_value import SilenceValue
from agents.q_learning import UPLIFT_CONTACT_PRICE, QLearning, QLearningConfig
from tests.agents.rationing import OPTIMUM, Rationing, Spent, every_state

pytestmark = [
    pytest.mark.slow,  # starts Ray and trains
    pytest.mark.usefixtures("small_ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def make(seed: int = 0, **training: Any) -> QLearning:
    settings = {
        "hidden": (32,), "updates": 16, "first_rows": 500, "silence_steps": 500,
        "replay_rows": 20_000, "epsilon": (1.0, 0.2, 5_000), "lr": 3e-3, "tau": 0.2, "floor": 0.1,
        "train_batch_size_per_learner": 64, "gamma": 0.9,
    }  # fmt: skip
    config = QLearningConfig().environment(Rationing).debugging(seed=seed, log_level="ERROR")
    config.env_runners(num_envs_per_env_runner=32, rollout_fragment_length=4)
    algorithm: QLearning = config.training(**(settings | training)).build_algo()
    return algorithm


def weights_of(algorithm: QLearning) -> dict[str, np.ndarray]:
    return algorithm.policy().weights()


@pytest.mark.parametrize("reward", ["sampled", "uplift"])
def test_it_learns_to_wait_for_the_contact_that_pays_most(reward: str) -> None:
    algorithm = make(reward=reward)
    for _ in range(60):
        algorithm.train()
    rows = algorithm.policy().probabilities(*every_state())
    algorithm.stop()
    assert rows.argmax(axis=1).tolist() == OPTIMUM
    assert (rows[:, 3] == 0).all()


def test_a_critic_teaches_it_the_same() -> None:
    algorithm = make(reward="lasting", burdens=Spent(), critic_hidden=(32,), steps_ahead=4)
    for _ in range(60):
        algorithm.train()
    rows = algorithm.policy().probabilities(*every_state())
    runner = algorithm.env_runner.module.get_state()
    algorithm.stop()
    assert rows.argmax(axis=1).tolist() == OPTIMUM
    assert not any(name.startswith(("critic", "target")) for name in runner)


def test_only_the_uplift_has_a_price_of_contact_unless_one_is_given() -> None:
    config = QLearningConfig()
    assert config.training(reward="uplift").price_of_contact == UPLIFT_CONTACT_PRICE > 0
    assert config.training(reward="expected").price_of_contact == 0
    assert config.training(contact_price=7.0).price_of_contact == 7


def test_the_same_seed_learns_the_same_and_another_does_not() -> None:
    learnt = []
    for seed in (1, 1, 2):
        algorithm = make(seed)
        for _ in range(8):
            algorithm.train()
        learnt.append(weights_of(algorithm))
        algorithm.stop()
    first, again, other = learnt
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
    assert any(not np.array_equal(array, other[name]) for name, array in first.items())


def test_a_checkpoint_brings_back_learner_and_runner_even_an_older_one_in_place(
    tmp_path: Path,
) -> None:
    algorithm = make()
    for _ in range(8):
        algorithm.train()
    algorithm.save_to_path(str(tmp_path / "early"))
    early = weights_of(algorithm)
    for _ in range(8):
        algorithm.train()
    assert any(not np.array_equal(a, early[k]) for k, a in weights_of(algorithm).items())
    algorithm.restore_from_path(str(tmp_path / "early"))
    fresh = QLearning.from_checkpoint(str(tmp_path / "early"))
    for restored in (algorithm, fresh):
        for name, array in weights_of(restored).items():
            np.testing.assert_array_equal(array, early[name])
        learner = restored.ask_learner(lambda one: one.module[DEFAULT_MODULE_ID].get_state())
        for name, array in restored.env_runner.module.get_state().items():
            np.testing.assert_array_equal(array, learner[name])
    fresh.train()  # and it goes on
    assert fresh.sampled_steps() > algorithm.sampled_steps()
    algorithm.stop()
    fresh.stop()


@pytest.mark.slow
def test_a_remote_runner_collects_and_holds_the_weights_also_after_a_restore(
    tmp_path: Path,
) -> None:
    config = QLearningConfig().environment("simulators:SceneLift-v0", env_config={"days": 3.0})
    config.env_runners(num_env_runners=1, num_envs_per_env_runner=64).debugging(seed=0)
    config.training(first_rows=100, updates=2, reward="expected", silence_steps=1_000)
    algorithm = config.build_algo()
    for step in range(4):
        algorithm.train()
        if step == 1:
            algorithm.save_to_path(str(tmp_path / "early"))
    algorithm.restore_from_path(str(tmp_path / "early"))
    learner = algorithm.ask_learner(lambda one: one.module[DEFAULT_MODULE_ID].get_state())
    (runner,) = algorithm.env_runner_group.foreach_env_runner(
        lambda one: one.module.get_state(), local_env_runner=False
    )
    algorithm.stop()
    assert algorithm.sampled_steps() >= 4 * 64
    assert np.abs(learner["silence_weight"]).max() > 0
    for name, array in runner.items():
        np.testing.assert_array_equal(array, learner[name])


def test_rllib_can_evaluate_it_without_exploration() -> None:
    config = QLearningConfig().environment(Rationing).debugging(seed=0, log_level="ERROR")
    config.env_runners(num_envs_per_env_runner=16).training(first_rows=100, silence_steps=0)
    config.evaluation(evaluation_interval=1, evaluation_duration=8)
    algorithm = config.build_algo()
    result = algorithm.train()["evaluation"]["env_runners"]
    algorithm.stop()
    assert result["num_episodes"] >= 8
    assert result["episode_return_max"] <= 1000.0  # ten cycles of 100 cents, the optimum


def test_the_folded_network_is_the_network() -> None:
    torch.manual_seed(0)
    network = DuelingNetwork(6, (16, 8), 4)
    observations = np.random.default_rng(0).normal(size=(100, 6)).astype(np.float32)
    hidden = observations.astype(np.float64)
    *layers, (weight, bias) = network.folded()
    for w, b in layers:
        hidden = np.maximum(hidden @ w + b, 0)
    with torch.no_grad():
        values = network(torch.from_numpy(observations)).numpy()
    np.testing.assert_allclose(hidden @ weight + bias, values, atol=1e-5)


def one_step(**columns: Any) -> dict[str, torch.Tensor]:
    observations, mask = every_state()
    batch = {
        "observations": observations[:1],
        "next_observations": observations[1:2],
        "next_action_mask": mask[1:2],
        "learning_reward": np.float32([2.0]),
        "elapsed_days": np.float32([3.0]),
        "terminateds": np.array([False]),
    } | columns
    return {name: torch.as_tensor(array) for name, array in batch.items()}


def module() -> QModule:
    torch.manual_seed(0)
    env = Rationing()
    built = QModule(
        observation_space=env.single_observation_space,
        action_space=env.single_action_space,
        model_config={"hidden": (8,), "burdens": None, "crossed": ()},
    )
    built.make_target_networks()
    with torch.no_grad():  # a target network that differs, as it does in training
        for parameter in built.target.parameters():
            parameter.add_(0.1)
    return built


def test_the_target_discounts_by_elapsed_days_and_takes_the_best_allowed_action() -> None:
    q, batch = module(), one_step()
    with torch.no_grad():
        online, target = (
            q.net(batch["next_observations"])[0],
            q.target(batch["next_observations"])[0],
        )
    for allowed in ([True, False, False, False], [False, True, True, False], [True] * 4):
        batch["next_action_mask"] = torch.tensor([allowed])
        best = max(np.flatnonzero(allowed), key=lambda a: float(online[a]))
        expected = 2.0 + 0.9**3 * float(target[best])
        assert float(QLearner._target(q, 0.9, batch)) == pytest.approx(expected, rel=1e-6)


def test_nothing_is_expected_after_a_departure() -> None:
    q = module()
    q.set_silence_value(SilenceValue(np.ones(6, np.float32), 5.0))
    batch = one_step(terminateds=np.array([True]))
    assert float(QLearner._target(q, 0.9, batch)) == pytest.approx(2.0 - 6.0)


def test_the_value_of_silence_cancels_out_along_a_path() -> None:
    """Shaping by a potential adds it at the start and takes it off at the end, whatever between."""
    q = module()
    plain = float(QLearner._target(q, 0.9, one_step()))
    q.set_silence_value(SilenceValue(np.arange(6, dtype=np.float32), 1.0))
    shaped = float(QLearner._target(q, 0.9, one_step()))
    assert shaped - plain == pytest.approx(0.9**3 * (1 + 1.0) - (0 + 1.0), rel=1e-5)
