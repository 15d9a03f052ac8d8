"""The posterior of linear Thompson sampling: sums that add up, in float64, and their update."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.core.rl_module.apis import InferenceOnlyAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from agents.columns import MASK, OBSERVATIONS
from agents.linear_gaussian import LinearGaussianPolicy

REWARD = "learning_reward"
SUMS = ("precision", "moment", "count", "square")
"""What is added up for each action: phi phi', phi r, 1 and r r."""


class LinearModule(TorchRLModule, InferenceOnlyAPI):
    """One Bayesian linear regression an action.

    The learner keeps the sums in float64; runners get posterior means and factors in float32.
    RLlib turns float64 into float32 whenever it moves a module: state is moved here instead.
    """

    def setup(self) -> None:
        """Start from the prior: no observations, ``ridge`` on the diagonal."""
        actions, width = self.action_space.n, self.observation_space[OBSERVATIONS].shape[0] + 1
        eye = torch.eye(width, dtype=torch.float64)
        ridge = self.model_config["ridge"]
        self.register_buffer("precision", (ridge * eye).repeat(actions, 1, 1))
        self.register_buffer("moment", torch.zeros(actions, width, dtype=torch.float64))
        self.register_buffer("count", torch.zeros(actions, dtype=torch.float64))
        self.register_buffer("square", torch.zeros(actions, dtype=torch.float64))
        self.register_buffer("contact_price", torch.zeros((), dtype=torch.float64))
        self.register_buffer("means", torch.zeros(actions, width))
        self.register_buffer("factors", torch.zeros(actions, width, width))
        self.refresh()

    def get_non_inference_attributes(self) -> list[str]:
        """Runners do without the sums."""
        return list(SUMS)

    def get_state(self, *args: Any, inference_only: bool = False, **kwargs: Any) -> dict[str, Any]:
        """Every array in its own precision."""
        left_out = SUMS if inference_only else ()
        return {
            name: tensor.detach().cpu().numpy().copy()
            for name, tensor in self.state_dict().items()
            if name not in left_out
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over arrays in their own precision; names that are not here are passed over."""
        own = self.state_dict()
        for name, array in state.items():
            if name in own:
                own[name].copy_(torch.as_tensor(np.asarray(array)))

    def add(self, sums: dict[str, Tensor]) -> None:
        """Learn from the sums of new decisions."""
        for name, more in sums.items():
            getattr(self, name).add_(more)
        self.refresh()

    def set_contact_price(self, cents: float) -> None:
        """From now on contacts have to earn this as well; the sums know nothing of it."""
        self.contact_price.fill_(cents)
        self.refresh()

    def posterior(self) -> tuple[Tensor, Tensor]:
        """Means [A, d] and factors [A, d, d] in the reward's unit, float64.

        The noise is pooled over the actions, from the residuals, with a weak prior.
        """
        lower = torch.linalg.cholesky(self.precision)
        means = torch.cholesky_solve(self.moment[:, :, None], lower)[:, :, 0]
        residual = (self.square - (self.moment * means).sum(dim=1)).sum().clamp(min=0.0)
        weight = self.model_config["noise_weight"]
        prior = weight * self.model_config["noise"] ** 2
        noise = torch.sqrt((prior + residual) / (weight + self.count.sum()))
        eye = torch.eye(lower.shape[1], dtype=torch.float64).expand_as(lower)
        return means, noise * torch.linalg.solve_triangular(lower, eye, upper=False)

    def refresh(self) -> None:
        """What runners draw with, from the sums and the price of a contact."""
        means, factors = self.posterior()
        means[1:, -1] -= self.contact_price
        self.means.copy_(means)
        self.factors.copy_(factors)

    def policy(self, spread: float, floor: float) -> LinearGaussianPolicy:
        """The same beliefs without torch, float64."""
        means, factors = (tensor.cpu().numpy() for tensor in self.posterior())
        policy = LinearGaussianPolicy(means, factors, spread, floor)
        return policy.priced(float(self.contact_price))

    def _forward_inference(self, batch: dict[str, Tensor], **kwargs: Any) -> dict[str, Tensor]:
        means = _features(batch[OBSERVATIONS]) @ self.means.T
        return {Columns.ACTIONS: _best(means, batch[MASK])}

    def _forward_exploration(
        self, batch: dict[str, Tensor], t: int = 0, **kwargs: Any
    ) -> dict[str, Tensor]:
        """One draw of every score: independent actions need no draw of the parameters."""
        rng: np.random.Generator = kwargs["rng"]
        features = _features(batch[OBSERVATIONS])
        actions, width = self.means.shape
        spread = (features @ self.factors.reshape(actions * width, width).T).square()
        deviations = spread.reshape(len(features), actions, width).sum(dim=2).sqrt()
        noise = torch.from_numpy(rng.standard_normal(deviations.shape, dtype=np.float32))
        scores = features @ self.means.T + self.model_config["spread"] * deviations * noise
        return {Columns.ACTIONS: _best(scores, batch[MASK])}

    def _forward_train(self, batch: dict[str, Tensor], **kwargs: Any) -> dict[str, Tensor]:
        return {}


def _features(observations: Tensor) -> Tensor:
    ones = torch.ones((len(observations), 1), dtype=observations.dtype)
    return torch.cat([observations, ones], dim=1)


def _best(scores: Tensor, mask: Tensor) -> Tensor:
    return scores.masked_fill(~mask, -torch.inf).argmax(dim=1)


def sums_of(
    observations: NDArray[np.float32] | Tensor, actions: Tensor, rewards: Tensor, arms: int
) -> dict[str, Tensor]:
    """The sums of some decisions, by action, float64."""
    features = _features(torch.as_tensor(observations).double())
    rewards = rewards.double()
    width = features.shape[1]
    sums = {
        "precision": torch.zeros(arms, width, width, dtype=torch.float64),
        "moment": torch.zeros(arms, width, dtype=torch.float64),
        "count": torch.bincount(actions, minlength=arms).double(),
        "square": torch.zeros(arms, dtype=torch.float64),
    }
    for arm in torch.unique(actions).tolist():
        rows = actions == arm
        phi, paid = features[rows], rewards[rows]
        sums["precision"][arm] = phi.T @ phi
        sums["moment"][arm] = phi.T @ paid
        sums["square"][arm] = paid @ paid
    return sums


class LinearLearner(TorchLearner):
    """Adds up; there is no gradient. Several learners add up each other's sums."""

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """Nothing to optimise."""

    def compute_loss_for_module(self, **kwargs: Any) -> Tensor:
        """No loss: RLlib asks every learner for one."""
        return torch.zeros(())

    def _make_modules_ddp_if_necessary(self) -> None:
        """No gradients to average: the sums are added in ``_update``."""

    def _update(self, batch: dict[str, Any], **kwargs: Any) -> tuple[Any, Any, Any]:
        losses = {}
        for module_id, columns in batch.items():
            module = self.module[module_id].unwrapped()
            sums = sums_of(
                columns[OBSERVATIONS],
                columns[Columns.ACTIONS].long(),
                columns[REWARD],
                module.action_space.n,
            )
            if self.config.num_learners > 1:
                for tensor in sums.values():
                    torch.distributed.all_reduce(tensor)
            module.add(sums)
            losses[module_id] = self.compute_loss_for_module()
        return {}, losses, {}
