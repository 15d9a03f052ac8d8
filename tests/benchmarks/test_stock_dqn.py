"""The network that stock RLlib learns with, and the sizes it takes over from ours."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from ray.rllib.algorithms.dqn.dqn import calculate_rr_weights
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from agents.q_learning import QLearningConfig
from benchmarks.stock_dqn import MaskedQModule, intensity, stock_config

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # RLlib's, of its own ways
WIDTH, ACTIONS = 4, 6


def module() -> MaskedQModule:
    spaces = {
        "observations": gym.spaces.Box(-1.0, 1.0, (WIDTH,), np.float32),
        "action_mask": gym.spaces.Box(0, 1, (ACTIONS,), np.int8),
    }
    spec = RLModuleSpec(
        module_class=MaskedQModule,
        observation_space=gym.spaces.Dict(spaces),
        action_space=gym.spaces.Discrete(ACTIONS),
        model_config={"hidden": (8,), "double_q": True, "epsilon": [[0, 1.0], [10, 0.5]]},
    )
    return spec.build()


def batch(rows: int) -> dict[str, dict[str, torch.Tensor]]:
    rng = np.random.default_rng(0)
    mask = rng.random((rows, ACTIONS)) < 0.3
    mask[:, 0] = True
    seen = rng.random((rows, WIDTH), dtype=np.float32)
    return {
        Columns.OBS: {
            "observations": torch.from_numpy(seen),
            "action_mask": torch.from_numpy(mask.astype(np.int8)),
        }
    }


def test_stock_never_takes_what_is_masked_whether_it_explores_or_not() -> None:
    net, seen = module(), batch(500)
    allowed = seen[Columns.OBS]["action_mask"].numpy()
    with torch.no_grad():
        best = net.forward_inference(seen)[Columns.ACTIONS].numpy()
        explored = net.forward_exploration(seen, t=0)[Columns.ACTIONS].numpy()
    rows = np.arange(len(allowed))
    assert allowed[rows, best].all() and allowed[rows, explored].all()
    assert (explored != best).any()


def test_its_policy_is_the_choice_of_the_stock_module() -> None:
    net, seen = module(), batch(200)
    with torch.no_grad():
        best = net.forward_inference(seen)[Columns.ACTIONS].numpy()
    parts = seen[Columns.OBS]
    row = net.policy().probabilities(
        parts["observations"].numpy(), parts["action_mask"].numpy().astype(bool)
    )
    assert (row.argmax(axis=1) == best).all()


@pytest.mark.parametrize("runners", [0, 1, 2])
def test_stock_learns_from_as_many_rows_a_sampled_row_as_ours(runners: int) -> None:
    ours = QLearningConfig()
    sampled_an_iteration = (
        ours.num_envs_per_env_runner * ours.rollout_fragment_length * max(1, runners)
    )
    stock = stock_config("none", {}, ours.num_envs_per_env_runner, runners, ours)
    sample, train = calculate_rr_weights(stock)
    trained = train * stock.total_train_batch_size
    assert trained / (sample * sampled_an_iteration) == pytest.approx(intensity(ours))
