"""RLlib's own deep Q-learning on the same problem: its runner, replay buffer and learner.

Only the network is ours, because RLlib's cannot see a mask: the same layers as
``agents.learning.q_learner.QModule`` has, behind the interfaces that the stock learner asks for.
Choice, exploration and the training pass are those of the stock module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.algorithms.dqn.default_dqn_rl_module import QF_PREDS
from ray.rllib.algorithms.dqn.torch.default_dqn_torch_rl_module import DefaultDQNTorchRLModule
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.utils import make_target_network
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.utils.schedules.scheduler import Scheduler
from torch import Tensor, nn

from agents.columns import MASK, OBSERVATIONS
from agents.learning.q_learner import DuelingNetwork
from agents.policies.q_network import QNetworkPolicy


class MaskedQModule(DefaultDQNTorchRLModule):
    """The stock module, with our network in place of its encoder and heads."""

    def setup(self) -> None:
        """Build the network; a masked action has the value -inf, as stock exploration wants it."""
        self.uses_double_q, self.uses_dueling = self.model_config["double_q"], False
        self.num_atoms = 1
        self.epsilon_schedule = Scheduler(
            fixed_value_or_schedule=self.model_config["epsilon"], framework=self.framework
        )
        width = self.observation_space[OBSERVATIONS].shape[0]
        self.net = DuelingNetwork(width, tuple(self.model_config["hidden"]), self.action_space.n)

    def make_target_networks(self) -> None:
        """A copy that follows."""
        self.target = make_target_network(self.net)

    def get_target_network_pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        """The network and the one that follows it."""
        return [(self.net, self.target)]

    def get_non_inference_attributes(self) -> list[str]:
        """Runners do without the target network."""
        return ["target"]

    def compute_q_values(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Values of allowed actions, float32 [N, A]."""
        return _masked(self.net, batch)

    def forward_target(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """The same by the target network."""
        return _masked(self.target, batch)

    def get_initial_state(self) -> dict[str, Any]:
        """It remembers nothing from step to step."""
        return {}

    def policy(self) -> QNetworkPolicy:
        """What has been learnt: greedy in the network."""
        return QNetworkPolicy(self.net.folded(), 0.0)


def _masked(net: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
    seen = batch[Columns.OBS]
    values = net(seen[OBSERVATIONS])
    return {QF_PREDS: values.masked_fill(seen[MASK] == 0, -torch.inf)}


def stock_config(
    environment: Any, env_config: Mapping[str, Any], envs: int, runners: int, ours: Any
) -> DQNConfig:
    """Stock DQN with the sizes of ours: layers, minibatch, memory, fragment, rows a sampled row.

    Args:
        environment: its name, or what makes it.
        env_config: arguments of the environment.
        envs: environments a runner.
        runners: remote ones; 0: the driver samples.
        ours: configuration of Q-learning whose sizes are taken over.
    """
    wanted = intensity(ours)
    # RLlib counts the driver as a runner even where it does not sample.
    told = wanted * max(1, runners) / (runners + 1)
    spec = RLModuleSpec(
        module_class=MaskedQModule,
        model_config={
            "hidden": ours.hidden, "double_q": True,
            "epsilon": [[0, ours.epsilon_first], [ours.epsilon_steps, ours.epsilon_last]],
        },
    )  # fmt: skip
    return (
        DQNConfig()
        .environment(environment, env_config=dict(env_config))
        .env_runners(
            num_env_runners=runners,
            num_envs_per_env_runner=envs,
            rollout_fragment_length=ours.rollout_fragment_length,
            gym_env_vectorize_mode="vector_entry_point",
        )
        .rl_module(rl_module_spec=spec)
        .training(
            train_batch_size_per_learner=ours.train_batch_size_per_learner,
            training_intensity=told,
            lr=ours.lr,
            gamma=ours.gamma,
            num_steps_sampled_before_learning_starts=ours.first_rows,
            replay_buffer_config={"type": "EpisodeReplayBuffer", "capacity": ours.replay_rows},
        )
        .learners(num_learners=0)
    )


def intensity(ours: Any) -> float:
    """Rows that ours learns from for each row that it samples."""
    sampled = ours.rollout_fragment_length * ours.num_envs_per_env_runner
    return float(ours.updates * ours.train_batch_size_per_learner / sampled)


def stock_policy(algorithm: Any) -> QNetworkPolicy:
    """What a stock algorithm has learnt."""
    learnt: QNetworkPolicy = algorithm.get_module(DEFAULT_MODULE_ID).policy()
    return learnt
