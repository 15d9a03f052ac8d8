"""What is known of every action's reward: sums that add up, in float64, and what follows from them.

No Ray here: a ``LinearPosterior`` learns and makes policies by itself in one process.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.policies.exploration import Rule
from agents.policies.linear_gaussian import LinearGaussianPolicy

SUMS = ("precision", "moment", "count", "square")
"""What is added up for each action: phi phi', phi r, 1 and r r, each times the weight."""


class LinearPosterior(nn.Module):
    """One Bayesian linear regression an action on phi = (features, 1).

    Forgetting: a decision weighs 2 ** (-k / half_life) when k decisions have come after it. So the
    sums are the same however the decisions were cut into updates; the prior is never forgotten.

    Args:
        width: number of features, D, without the constant.
        actions: number of actions, A.
        ridge: prior precision of a parameter, in units of the noise.
        noise: standard deviation of a reward that is believed at first, in the reward's unit.
        noise_weight: how many decisions that belief is worth.
        half_life: decisions after which one weighs half; infinite: nothing is forgotten.
    """

    precision: Tensor
    moment: Tensor
    count: Tensor
    square: Tensor

    def __init__(
        self,
        width: int,
        actions: int,
        *,
        ridge: float = 1.0,
        noise: float = 500.0,
        noise_weight: float = 10.0,
        half_life: float = math.inf,
    ) -> None:
        super().__init__()
        self.width, self.actions, self.half_life = width, actions, half_life
        self._ridge, self._noise, self._noise_weight = ridge, noise, noise_weight
        for name, zeros in no_sums(width, actions).items():
            self.register_buffer(name, zeros)
        self.forget()

    def forget(self) -> None:
        """Back to the prior: no decisions, ``ridge`` on the diagonal."""
        for name in SUMS:
            getattr(self, name).zero_()
        self.precision.diagonal(dim1=1, dim2=2).fill_(self._ridge)

    def learn(
        self,
        features: NDArray[np.floating],
        actions: NDArray[np.int64],
        rewards: NDArray[np.floating],
        weights: NDArray[np.floating] | None = None,
    ) -> None:
        """Learn from decisions in the order in which they were taken.

        Args:
            features: [N, D].
            actions: taken, int64 [N].
            rewards: [N].
            weights: how much each decision counts, [N]; 1 when left out.
        """
        counted = np.ones(len(actions)) if weights is None else weights
        ages = torch.arange(len(actions) - 1, -1, -1)
        phi, arms, paid, weighed = (
            torch.from_numpy(np.array(column))  # a copy: Ray's arrays are read-only
            for column in (features, actions, rewards, counted)
        )
        self.add(self.sums_of(phi, arms, paid, weighed, ages), len(actions))

    def sums_of(
        self, features: Tensor, actions: Tensor, rewards: Tensor, weights: Tensor, ages: Tensor
    ) -> dict[str, Tensor]:
        """The sums of some decisions by action, as of ``ages`` decisions after each, float64."""
        phi, paid = with_constant(features.double()), rewards.double()
        weights = weights.double() * torch.exp2(-ages.double() / self.half_life)
        sums = no_sums(self.width, self.actions)
        for arm in torch.unique(actions).tolist():
            rows = actions == arm
            x, y, weight = phi[rows], paid[rows], weights[rows]
            weighed = x * weight[:, None]
            sums["precision"][arm] = weighed.T @ x
            sums["moment"][arm] = weighed.T @ y
            sums["count"][arm] = weight.sum()
            sums["square"][arm] = (weight * y) @ y
        return sums

    def add(self, sums: dict[str, Tensor], decisions: int) -> None:
        """Learn from the sums of the next decisions, as of the last of them."""
        kept = 2.0 ** (-decisions / self.half_life)
        for name, more in sums.items():
            getattr(self, name).mul_(kept).add_(more)
        if kept < 1.0:
            self.precision.diagonal(dim1=1, dim2=2).add_((1.0 - kept) * self._ridge)

    def solve(self) -> tuple[Tensor, Tensor, float]:
        """Means [A, D + 1], factors [A, D + 1, D + 1], both float64, and how certain they are.

        The noise is pooled over the actions, from the residuals, with a weak prior. Certainty is
        sqrt(n / d) / noise, for n decisions that still count and d features: what the error of a
        mean is about one over, with one action.
        """
        lower = torch.linalg.cholesky(self.precision)
        means = torch.cholesky_solve(self.moment[:, :, None], lower)[:, :, 0]
        residual = (self.square - (self.moment * means).sum(dim=1)).sum().clamp(min=0.0)
        decisions = self.count.sum()
        prior = self._noise_weight * self._noise**2
        noise = torch.sqrt((prior + residual) / (self._noise_weight + decisions))
        eye = torch.eye(self.width + 1, dtype=torch.float64).expand_as(lower)
        factors = noise * torch.linalg.solve_triangular(lower, eye, upper=False)
        return means, factors, float(torch.sqrt(decisions / (self.width + 1)) / noise)

    def policy(self, rule: Rule) -> LinearGaussianPolicy:
        """What is believed, and a rule to choose by, without torch."""
        means, factors, certainty = self.solve()
        return LinearGaussianPolicy(means.numpy(), factors.numpy(), rule.sharpened(certainty))


def no_sums(width: int, actions: int) -> dict[str, Tensor]:
    """The sums of no decision: float64 [A, D + 1, D + 1], [A, D + 1], [A] and [A]."""
    shapes = ((actions, width + 1, width + 1), (actions, width + 1), (actions,), (actions,))
    return {
        name: torch.zeros(shape, dtype=torch.float64)
        for name, shape in zip(SUMS, shapes, strict=True)
    }


def with_constant(features: Tensor) -> Tensor:
    """The features and a 1, [N, D + 1]."""
    return torch.cat([features, features.new_ones((len(features), 1))], dim=1)
