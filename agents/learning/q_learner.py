"""The Q-network and its update: masked, double, dueling, discounted by elapsed time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.core.learner.utils import make_target_network, update_target_network
from ray.rllib.core.rl_module.apis import InferenceOnlyAPI, TargetNetworkAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor, nn

from agents.columns import (
    ELAPSED,
    GREEDY,
    HIDDEN,
    MASK,
    NEXT_HIDDEN,
    NEXT_MASK,
    NEXT_OBSERVATIONS,
    NEXT_PROSPECTS,
    OBSERVATIONS,
    PROSPECTS,
)
from agents.learning.critic import Critic, taught
from agents.learning.silence_value import SilenceValue
from agents.policies.q_network import QNetworkPolicy
from agents.policies.wide_and_deep import WideAndDeepPolicy

VALUES = "values"
REWARD = "learning_reward"


class DuelingNetwork(nn.Module):
    """One value an action: that of the situation, plus what the action adds to the mean one.

    With crossed features also a linear function of their products with all features.
    """

    def __init__(
        self, width: int, hidden: tuple[int, ...], actions: int, crossed: tuple[int, ...] = ()
    ) -> None:
        super().__init__()
        self.crossed = list(crossed)
        self.wide = nn.Parameter(torch.zeros(len(crossed), width, actions)) if crossed else None
        sizes = (width, *hidden)
        self.trunk = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, hidden, strict=False))
        self.value = nn.Linear(sizes[-1], 1)
        self.advantage = nn.Linear(sizes[-1], actions)

    def forward(self, observations: Tensor) -> Tensor:
        """Values, float32 [N, A], allowed or not."""
        hidden = observations
        for layer in self.trunk:
            hidden = torch.relu(layer(hidden))
        advantage = self.advantage(hidden)
        values: Tensor = self.value(hidden) + advantage - advantage.mean(dim=1, keepdim=True)
        if self.wide is not None:
            products = observations[:, self.crossed, None] * observations[:, None, :]
            values = values + products.flatten(1) @ self.wide.flatten(0, 1)
        return values

    def folded(self) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]:
        """The same function as plain layers (weight [inputs, outputs], bias), float64.

        Value plus advantage less its mean is linear in the last hidden layer: one matrix.
        """
        layers = [_arrays(layer) for layer in self.trunk]
        weight, bias = _arrays(self.advantage)
        value_weight, value_bias = _arrays(self.value)
        weight = weight - weight.mean(axis=1, keepdims=True) + value_weight
        return (*layers, (weight, bias - bias.mean() + value_bias))


def _arrays(layer: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weight [inputs, outputs] and bias of a linear layer."""
    weight, bias = (p.detach().cpu().numpy().astype(np.float64) for p in layer.parameters())
    return weight.T, bias


def exploring(first: float, last: float, steps: int, done: int) -> float:
    """The chance that an action is not the best one known, after ``done`` steps."""
    return first + min(1.0, done / steps) * (last - first)


class QModule(TorchRLModule, InferenceOnlyAPI, TargetNetworkAPI):
    """The network that chooses, the target network, and the value of silence.

    What is learnt is how much a situation and an action are worth beyond silence: the value of
    silence is a potential that is added to both sides of the target, which changes no optimal
    action but takes most of the variance away (Ng, Harada and Russell 1999).
    """

    def setup(self) -> None:
        """Build the network from the spaces and ``model_config``."""
        width = self.observation_space[OBSERVATIONS].shape[0]
        config, actions = self.model_config, self.action_space.n
        self.net = DuelingNetwork(width, tuple(config["hidden"]), actions, tuple(config["crossed"]))
        burdens = config["burdens"]
        self.critic = Critic(width, tuple(config["critic_hidden"]), burdens) if burdens else None
        self.register_buffer("silence_weight", torch.zeros(width))
        self.register_buffer("silence_bias", torch.zeros(()))

    def make_target_networks(self) -> None:
        """A copy that follows slowly; the learner alone has it."""
        self.target = make_target_network(self.net)
        if self.critic is not None:
            self.critic_target = make_target_network(self.critic)

    def get_target_network_pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        """Networks and those that follow them."""
        pairs: list[tuple[nn.Module, nn.Module]] = [(self.net, self.target)]
        return pairs if self.critic is None else [*pairs, (self.critic, self.critic_target)]

    def get_non_inference_attributes(self) -> list[str]:
        """Runners choose, and do without what only learning needs."""
        return ["target"] if self.critic is None else ["target", "critic", "critic_target"]

    def forward_target(self, batch: dict[str, Tensor]) -> Tensor:
        """Values of the next situation by the target network, float32 [N, A]."""
        values: Tensor = self.target(batch[NEXT_OBSERVATIONS])
        return values

    def worth_after(self, batch: dict[str, Tensor], actions: Tensor) -> Tensor:
        """Values of actions in the next situation, by the target network or critic, float32 [N]."""
        if self.critic is None:
            return self.forward_target(batch).gather(1, actions[:, None])[:, 0]
        follows = self.critic_target(batch[NEXT_OBSERVATIONS], batch[NEXT_HIDDEN], actions)
        return batch[NEXT_PROSPECTS].gather(1, actions[:, None])[:, 0] + follows

    def silence_value(self, observations: Tensor) -> Tensor:
        """The potential, float32 [N]."""
        value: Tensor = observations @ self.silence_weight + self.silence_bias
        return value

    def set_silence_value(self, value: SilenceValue) -> None:
        """Fix the potential before learning begins."""
        self.silence_weight.copy_(torch.from_numpy(value.weight))
        self.silence_bias.fill_(value.bias)

    def _forward_inference(self, batch: dict[str, Tensor], **kwargs: Any) -> dict[str, Tensor]:
        return {Columns.ACTIONS: self._best(batch)}

    def _forward_exploration(
        self, batch: dict[str, Tensor], t: int = 0, **kwargs: Any
    ) -> dict[str, Tensor]:
        """The best action, or with a chance that falls with ``t`` any allowed one.

        Half of the explored actions are silence: rested users are rare under any other rule.
        """
        rng: np.random.Generator = kwargs["rng"]
        config = self.model_config
        first, last, steps = (config[f"epsilon_{name}"] for name in ("first", "last", "steps"))
        epsilon = exploring(first, last, steps, t)
        mask = batch[MASK].numpy()
        draws = rng.random((len(mask), 2))
        any_allowed = np.where(mask, rng.random(mask.shape), -1.0).argmax(axis=1)
        explored = np.where(draws[:, 1] < config["silence_share"], 0, any_allowed)
        best = self._best(batch).numpy()
        actions = np.where(draws[:, 0] < epsilon, explored, best)
        return {
            Columns.ACTIONS: torch.from_numpy(actions),
            GREEDY: torch.from_numpy(actions == best),
        }

    def _best(self, batch: dict[str, Tensor]) -> Tensor:
        with torch.no_grad():
            values = self.net(batch[OBSERVATIONS])
        return values.masked_fill(~batch[MASK], -torch.inf).argmax(dim=1)

    def _forward_train(self, batch: dict[str, Tensor], **kwargs: Any) -> dict[str, Tensor]:
        return {VALUES: self.net(batch[OBSERVATIONS])}

    def policy(self, floor: float) -> QNetworkPolicy | WideAndDeepPolicy:
        """What has been learnt, without torch; float32, so that a bundle holds it exactly.

        The target network is it: an average of the network over its last iterations, which chases
        less of the noise of the very last ones.
        """
        layers = tuple(
            (w.astype(np.float32).astype(np.float64), b.astype(np.float32).astype(np.float64))
            for w, b in self.target.folded()
        )
        deep, wide = QNetworkPolicy(layers, floor), self.target.wide
        if wide is None:
            return deep
        crossed = np.asarray(self.target.crossed, np.int64)
        return WideAndDeepPolicy(deep, crossed, wide.detach().cpu().numpy().astype(np.float64))


class QLearner(TorchLearner):
    """Masked double Q-learning with a target network that follows."""

    def build(self) -> None:
        """Build the module, then its target network."""
        super().build()
        self.module.foreach_module(lambda _, module: module.unwrapped().make_target_networks())

    def set_rate(self, rate: float) -> None:
        """Learn at this rate from now on."""
        for _, optimizer in self.get_optimizers_for_module():
            for group in optimizer.param_groups:
                group["lr"] = rate

    def set_silence_value(self, value: SilenceValue) -> None:
        """Fix the potential before learning begins."""
        self.module.foreach_module(lambda _, module: module.unwrapped().set_silence_value(value))

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict[str, Tensor], fwd_out: dict[str, Tensor]
    ) -> Tensor:
        """Mean of the squared temporal differences (or Huber's), and what to watch of it."""
        module = self.module[module_id].unwrapped()
        target = self._target(module, config.gamma, batch)
        actions = batch[Columns.ACTIONS].long()
        if module.critic is None:
            chosen = fwd_out[VALUES].gather(1, actions[:, None])[:, 0]
            loss = _distance(chosen, target, config.huber)
        else:
            chosen, lesson = _criticised(module.critic, batch, actions, fwd_out[VALUES])
            loss = _distance(chosen, target, config.huber) + lesson
        if config.has_twins:
            loss = loss + config.twins * apart(chosen - target)
        watched = {"value_mean": chosen.detach().mean(), "loss": loss.detach()}
        self.metrics.log_dict(watched, key=module_id, window=1)
        return loss

    @staticmethod
    @torch.no_grad()
    def _target(module: QModule, gamma: float, batch: dict[str, Tensor]) -> Tensor:
        """Reward, the discounted next value and the change of the potential, float32 [N].

        The network chooses the best allowed next action, the target network values it; with a
        critic it is the critic's, which sees what is hidden.
        """
        later = batch[NEXT_OBSERVATIONS]
        values = module.net(later).masked_fill(~batch[NEXT_MASK].bool(), -torch.inf)
        next_value = module.worth_after(batch, values.argmax(dim=1))
        discount = gamma ** batch[ELAPSED] * (1.0 - batch[Columns.TERMINATEDS].float())
        potential = discount * module.silence_value(later) - module.silence_value(
            batch[OBSERVATIONS]
        )
        return batch[REWARD] + discount * next_value + potential

    def after_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """Let the target network follow."""
        super().after_gradient_based_update(timesteps=timesteps)
        for module in self.module._rl_modules.values():
            for main, target in module.unwrapped().get_target_network_pairs():
                update_target_network(main_net=main, target_net=target, tau=self.config.tau)


def apart(errors: Tensor) -> Tensor:
    """Mean square of what the errors of twins, neighbours in [N], differ in.

    Their luck is the same, so it is what they did that their returns differ in: of the variance of
    a difference a fortieth is left of what it were between strangers (measured over thirty days).
    """
    return errors.unflatten(0, (-1, 2)).diff(dim=1).square().mean()


def _distance(values: Tensor, target: Tensor, huber: bool) -> Tensor:
    if huber:
        return nn.functional.smooth_l1_loss(values, target)
    return nn.functional.mse_loss(values, target)


def _criticised(
    critic: Critic, batch: dict[str, Tensor], actions: Tensor, values: Tensor
) -> tuple[Tensor, Tensor]:
    """The critic's values of the actions taken, [N], and what its lesson costs the network."""
    prospects, situation = batch[PROSPECTS], (batch[OBSERVATIONS], batch[HIDDEN])
    chosen = prospects.gather(1, actions[:, None])[:, 0] + critic(*situation, actions)
    with torch.no_grad():
        teacher = prospects + critic.every(*situation)
    return chosen, taught(values, teacher, batch[MASK].bool())
