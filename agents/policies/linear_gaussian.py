"""The policy of the linear bandits: what is believed of each action, and a rule of choice."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from agents.policies.exploration import Rule, Thompson, rule_of


@dataclass(frozen=True, slots=True, eq=False)
class LinearGaussianPolicy:
    """A choice among independent linear models, one an action, with its exact row.

    Action a's reward is believed linear in phi = (observation, 1) with a Gaussian posterior of
    mean mu_a and covariance L_a' L_a: its score has mean mu_a phi and deviation |L_a phi|. With
    independent actions, sampling parameters is the same as drawing each score by itself; so all
    rules of ``agents.policies.exploration`` decide from these two numbers an action.
    """

    kind: ClassVar[str] = "linear_gaussian"

    means: NDArray[np.float64]
    """Posterior means, float64 [A, D + 1], in the reward's unit."""
    factors: NDArray[np.float64]
    """L_a of each action, lower triangular, float64 [A, D + 1, D + 1], in the reward's unit."""
    rule: Rule = field(default_factory=Thompson)
    """How an action is chosen."""
    name: str = "linear_gaussian"

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit each other or are no posterior."""
        if self.means.ndim != 2 or self.factors.shape != (*self.means.shape, self.means.shape[1]):
            raise ValueError(f"means are {self.means.shape}, factors {self.factors.shape}")
        if not (np.isfinite(self.means).all() and np.isfinite(self.factors).all()):
            raise ValueError("means or factors hold a value that is not finite")
        if np.triu(self.factors, 1).any():
            raise ValueError("factors are not lower triangular")

    @property
    def shape(self) -> tuple[int, int]:
        """Observation width and number of actions."""
        return self.means.shape[1] - 1, self.means.shape[0]

    def priced(self, contact_price: float) -> Self:
        """The same beliefs, but every action that is not silence has to earn a price as well.

        The price stands for what a contact uses up: a cap, patience, the next stronger moment. A
        policy that looks one step ahead only knows it when it is told. It is taken off the means.
        """
        means = self.means.copy()
        means[1:, -1] -= contact_price  # the last feature is the constant 1
        return replace(self, means=means)

    def scores(
        self, observations: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation of every action's score, float64 [N, A] each."""
        features = with_constant(observations)  # [N, D + 1]
        arms, width = self.means.shape
        spread = features @ self.factors.reshape(arms * width, width).T  # [N, A * (D + 1)]
        deviations = np.sqrt(np.square(spread).reshape(len(features), arms, width).sum(axis=2))
        return features @ self.means.T, deviations

    def probabilities(
        self, observations: NDArray[np.floating], mask: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """The chance of each action, float64 [N, A]; 0 where masked, rows sum to 1."""
        mask = np.asarray(mask, dtype=bool)
        if self.rule.needs_deviations:
            means, deviations = self.scores(observations)
        else:
            means = with_constant(observations) @ self.means.T
            deviations = np.zeros_like(means)
        return self.rule.probabilities(means, deviations, mask)

    def weights(self) -> dict[str, NDArray[np.float64]]:
        """The arrays of the bundle, float64: a posterior does not survive rounding."""
        rows, columns = np.tril_indices(self.means.shape[1])
        return {
            "means": np.ascontiguousarray(self.means),
            "factors": np.ascontiguousarray(self.factors[:, rows, columns]),  # the triangle alone
        }

    def settings(self) -> dict[str, float]:
        """The numbers of the bundle that are no weights; their names tell the rule."""
        return self.rule.settings()

    @classmethod
    def from_weights(
        cls, weights: dict[str, NDArray[np.float64]], settings: dict[str, float], name: str
    ) -> Self:
        """The policy as `weights` and `settings` gave it away; ValueError when they do not fit."""
        if set(weights) != {"means", "factors"}:
            raise ValueError(f"has {sorted(weights)}, not a posterior")
        if any(array.dtype != np.float64 for array in weights.values()):
            raise ValueError("the posterior is not float64")
        means, triangle = weights["means"], weights["factors"]
        if means.ndim != 2 or triangle.shape != (len(means), _triangle(means.shape[1])):
            raise ValueError(f"means are {means.shape}, factors {triangle.shape}")
        factors = np.zeros((*means.shape, means.shape[1]))
        rows, columns = np.tril_indices(means.shape[1])
        factors[:, rows, columns] = triangle
        return cls(means, factors, rule_of(settings), name)

    def describe(self) -> str:
        """One line for people."""
        width, arms = self.shape
        numbers = ", ".join(f"{name} {value:g}" for name, value in self.settings().items())
        return f"linear {type(self.rule).__name__}, {arms} actions x {width} features, {numbers}"


def _triangle(width: int) -> int:
    return width * (width + 1) // 2


def with_constant(observations: NDArray[np.floating]) -> NDArray[np.float64]:
    """The features of the linear models: the observation and a 1, float64 [N, D + 1]."""
    ones = np.ones((len(observations), 1))
    return np.concatenate([observations.astype(np.float64), ones], axis=1)
