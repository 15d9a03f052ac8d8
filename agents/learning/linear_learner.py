"""The linear bandits' module and its update in RLlib: sums that several learners add up."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.core.rl_module.apis import InferenceOnlyAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from agents.columns import MASK, OBSERVATIONS
from agents.learning.posterior import LinearPosterior, with_constant
from agents.policies.exploration import Rule, rule_of
from agents.policies.linear_gaussian import LinearGaussianPolicy

REWARD = "learning_reward"
WEIGHT = "weight"
"""How much a decision counts; rows of weight 0 are no decisions."""
AGE = "age"
"""Decisions of the same update that came after it."""
PRIOR = ("ridge", "noise", "noise_weight", "half_life")
"""Settings of the posterior."""


class LinearModule(TorchRLModule, InferenceOnlyAPI):
    """One Bayesian linear regression an action, and the rule by which actions are chosen.

    The learner keeps the posterior in float64; runners get means and factors in float32.
    RLlib turns float64 into float32 whenever it moves a module: state is moved here instead.
    """

    def setup(self) -> None:
        """Start from the prior."""
        actions, width = self.action_space.n, self.feature_width()
        prior = {name: self.model_config[name] for name in PRIOR}
        self.posterior = LinearPosterior(width, actions, **prior)
        self.register_buffer("contact_price", torch.zeros((), dtype=torch.float64))
        self.register_buffer("certainty", torch.zeros((), dtype=torch.float64))
        self.register_buffer("means", torch.zeros(actions, width + 1))
        self.register_buffer("factors", torch.zeros(actions, width + 1, width + 1))
        self.refresh()

    @property
    def rule(self) -> Rule:
        """How actions are chosen, also by the finished policy."""
        return rule_of(self.model_config["rule"])

    def feature_width(self) -> int:
        """Number of features, without the constant."""
        return int(self.observation_space[OBSERVATIONS].shape[0])

    def features(self, observations: Tensor) -> Tensor:
        """What rewards are linear in, [N, D]: here the observation itself."""
        return observations

    def get_non_inference_attributes(self) -> list[str]:
        """Runners do without the sums."""
        return ["posterior"]

    def get_state(self, *args: Any, inference_only: bool = False, **kwargs: Any) -> dict[str, Any]:
        """Every array in its own precision."""
        left_out = tuple(self.get_non_inference_attributes()) if inference_only else ()
        return {
            name: tensor.detach().cpu().numpy().copy()
            for name, tensor in self.state_dict().items()
            if not name.startswith(left_out)
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over arrays in their own precision; names that are not here are passed over."""
        own = self.state_dict()
        for name, array in state.items():
            if name in own:
                own[name].copy_(torch.from_numpy(np.array(array)))  # arrays of Ray are read-only

    def add(self, sums: dict[str, Tensor], decisions: int) -> None:
        """Learn from the sums of the next decisions."""
        self.posterior.add(sums, decisions)
        self.refresh()

    def set_contact_price(self, cents: float) -> None:
        """From now on contacts have to earn this as well; the sums know nothing of it."""
        self.contact_price.fill_(cents)
        self.refresh()

    def refresh(self) -> None:
        """What runners choose by, from the posterior and the price of a contact."""
        means, factors, certainty = self.posterior.solve()
        means[1:, -1] -= self.contact_price
        self.means.copy_(means)
        self.factors.copy_(factors)
        self.certainty.fill_(certainty)

    def policy(self) -> Any:
        """The same beliefs and the same rule without torch, float64."""
        beliefs: LinearGaussianPolicy = self.posterior.policy(self.rule)
        return beliefs.priced(float(self.contact_price))

    def _forward_inference(self, batch: dict[str, Tensor], **kwargs: Any) -> dict[str, Tensor]:
        with torch.no_grad():
            means = with_constant(self.features(batch[OBSERVATIONS])) @ self.means.T
        return {Columns.ACTIONS: means.masked_fill(~batch[MASK], -torch.inf).argmax(dim=1)}

    def _forward_exploration(
        self, batch: dict[str, Tensor], t: int = 0, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Actions drawn from the rule that the finished policy has."""
        rule = self.rule.sharpened(float(self.certainty))
        with torch.no_grad():
            features = with_constant(self.features(batch[OBSERVATIONS]))  # [N, D + 1]
            means = features @ self.means.T
            deviations = self._deviations(features) if rule.needs_deviations else means
        drawn = rule.draw(means.numpy(), deviations.numpy(), batch[MASK].numpy(), kwargs["rng"])
        return {Columns.ACTIONS: torch.from_numpy(drawn)}

    def _deviations(self, features: Tensor) -> Tensor:
        actions, width = self.means.shape
        spread = (features @ self.factors.reshape(actions * width, width).T).square()
        deviations: Tensor = spread.reshape(len(features), actions, width).sum(dim=2).sqrt()
        return deviations

    def _forward_train(self, batch: dict[str, Tensor], **kwargs: Any) -> dict[str, Tensor]:
        return {}


class LinearLearner(TorchLearner):
    """Adds up; there is no gradient. Several learners add up each other's sums."""

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """Nothing to optimise."""

    def compute_loss_for_module(self, **given: Any) -> Tensor:
        """No loss: RLlib asks every learner for one."""
        return torch.zeros(())

    def _make_modules_ddp_if_necessary(self) -> None:
        """No gradients to average: the sums are added in ``_update``."""

    def _update(self, batch: dict[str, Any], **kwargs: Any) -> tuple[Any, Any, Any]:
        for module_id, columns in batch.items():
            self._add_up(self.module[module_id].unwrapped(), columns)
        return {}, {module_id: torch.zeros(()) for module_id in batch}, {}

    def _add_up(self, module: LinearModule, columns: dict[str, Tensor]) -> None:
        """Turn rows into sums, add those of the other learners, learn from all of them."""
        with torch.no_grad():
            sums = module.posterior.sums_of(
                module.features(columns[OBSERVATIONS].double()),
                columns[Columns.ACTIONS].long(),
                columns[REWARD],
                columns[WEIGHT],
                columns[AGE],
            )
            decisions = (columns[WEIGHT] > 0).sum()
            if self.config.num_learners > 1:
                for tensor in (*sums.values(), decisions):
                    torch.distributed.all_reduce(tensor)
            module.add(sums, int(decisions))
