"""The neural-linear bandit's module and its update in RLlib: features that are taught, then taken.

Two kinds of rows come: those with a ``TARGET`` teach the network by gradients, averaged over the
learners; those with a ``REWARD`` are added up, as of ``LinearLearner``.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from torch import Tensor, nn

from agents.columns import OBSERVATIONS
from agents.learning.linear_learner import LinearLearner, LinearModule
from agents.policies.neural_linear import NeuralLinearPolicy

TARGET = "feature_target"
"""Reward of the action taken, in standard deviations from its mean."""
VALUES = "values"


class NeuralModule(LinearModule):
    """A linear bandit on the last hidden layer of a network.

    The network's own output, a value an action, is only there to teach the features.
    """

    def setup(self) -> None:
        """Build the network, and the prior upon its last hidden layer."""
        hidden = tuple(self.model_config["hidden"])
        sizes = (self.observation_space[OBSERVATIONS].shape[0], *hidden)
        self.trunk = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.values = nn.Linear(hidden[-1], self.action_space.n)
        super().setup()

    def feature_width(self) -> int:
        """Width of the last hidden layer."""
        return int(self.model_config["hidden"][-1])

    def features(self, observations: Tensor) -> Tensor:
        """The last hidden layer, [N, H], in the observations' precision."""
        hidden = observations
        for layer in self._layers():
            weight, bias = layer.weight.to(hidden.dtype), layer.bias.to(hidden.dtype)
            hidden = torch.relu(nn.functional.linear(hidden, weight, bias))
        return hidden

    def _layers(self) -> list[nn.Linear]:
        return [layer for layer in self.trunk if isinstance(layer, nn.Linear)]

    def get_non_inference_attributes(self) -> list[str]:
        """Runners do without the sums and the network's own output."""
        return ["posterior", "values"]

    def policy(self) -> NeuralLinearPolicy:
        """Network, beliefs and rule without torch."""
        layers = tuple((_array(layer.weight).T, _array(layer.bias)) for layer in self._layers())
        return NeuralLinearPolicy(layers, super().policy())

    def _forward_train(self, batch: dict[str, Tensor], **kwargs: Any) -> dict[str, Tensor]:
        return {VALUES: self.values(self.features(batch[OBSERVATIONS]))}


def _array(parameter: Tensor) -> Any:
    return parameter.detach().cpu().numpy().astype(np.float64)


class NeuralLearner(LinearLearner):
    """Teaches the features by regression; adds up what is believed upon them."""

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """Adam, as RLlib has it."""
        TorchLearner.configure_optimizers_for_module(self, module_id, config)

    def compute_loss_for_module(self, **given: Any) -> Tensor:
        """Mean squared error of the value of the action taken."""
        batch, values = given["batch"], given["fwd_out"][VALUES]
        chosen = values.gather(1, batch[Columns.ACTIONS].long()[:, None])[:, 0]
        loss = nn.functional.mse_loss(chosen, batch[TARGET])
        self.metrics.log_value((given["module_id"], "feature_loss"), loss.detach(), window=1)
        return loss

    def forget(self) -> None:
        """Back to the prior: the features are other ones now."""
        self.module.foreach_module(lambda _, module: module.unwrapped().posterior.forget())

    def _make_modules_ddp_if_necessary(self) -> None:
        """Gradients are averaged over the learners, as RLlib does it."""
        TorchLearner._make_modules_ddp_if_necessary(self)

    def _update(self, batch: dict[str, Any], **kwargs: Any) -> tuple[Any, Any, Any]:
        if all(TARGET in columns for columns in batch.values()):
            return TorchLearner._update(self, batch)
        return super()._update(batch, **kwargs)
