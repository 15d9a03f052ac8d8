"""The policy of linear Thompson sampling: an action as likely as it is to be the best one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from agents.quadrature import best_probabilities


@dataclass(frozen=True, slots=True, eq=False)
class LinearGaussianPolicy:
    """Thompson sampling over independent linear models, one an action, with its exact row.

    Action a's reward is believed linear in phi = (observation, 1) with a Gaussian posterior of
    mean mu_a and covariance L_a' L_a. Sampling parameters and taking the best allowed action is,
    with independent actions, the same as drawing each score from N(mu_a phi, |L_a phi|^2); the
    row is the probability of each to be the largest, by quadrature, never by counting samples.
    """

    kind: ClassVar[str] = "linear_gaussian"

    means: NDArray[np.float64]
    """Posterior means, float64 [A, D + 1], in the reward's unit."""
    factors: NDArray[np.float64]
    """L_a of each action, float64 [A, D + 1, D + 1], in the reward's unit."""
    spread: float = 1.0
    """Factor on every standard deviation: 1 is Thompson sampling, below 1 is greedier."""
    floor: float = 0.01
    """Share of decisions drawn uniformly over the allowed actions, 0 to 1."""
    name: str = "linear_gaussian"

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit each other, and settings out of range."""
        if not 0.0 <= self.floor <= 1.0 or not 0.0 < self.spread < np.inf:
            raise ValueError(f"floor is {self.floor}, spread is {self.spread}")
        if self.means.ndim != 2 or self.factors.shape != (*self.means.shape, self.means.shape[1]):
            raise ValueError(f"means are {self.means.shape}, factors {self.factors.shape}")
        if not (np.isfinite(self.means).all() and np.isfinite(self.factors).all()):
            raise ValueError("means or factors hold a value that is not finite")

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
        self, observations: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation of every action's score, float64 [N, A] each."""
        features = with_constant(observations)  # [N, D + 1]
        arms, width = self.means.shape
        spread = features @ self.factors.reshape(arms * width, width).T  # [N, A * (D + 1)]
        deviations = np.sqrt(np.square(spread).reshape(len(features), arms, width).sum(axis=2))
        return features @ self.means.T, self.spread * deviations

    def probabilities(
        self, observations: NDArray[np.float32], mask: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """The chance of each action, float64 [N, A]; 0 where masked, rows sum to 1."""
        mask = np.asarray(mask, dtype=bool)
        means, deviations = self.scores(observations)
        tiny = 1e-9 * (1.0 + np.abs(means).max(initial=0.0))  # a Gaussian needs some width
        row = best_probabilities(means, np.maximum(deviations, tiny), mask)
        explored: NDArray[np.float64] = mask * (self.floor / mask.sum(axis=1, keepdims=True))
        return (1.0 - self.floor) * row + explored

    def weights(self) -> dict[str, NDArray[np.float64]]:
        """The arrays of the bundle, float64: a posterior does not survive rounding."""
        return {
            "means": np.ascontiguousarray(self.means),
            "factors": np.ascontiguousarray(self.factors),
        }

    def settings(self) -> dict[str, float]:
        """The numbers of the bundle that are no weights."""
        return {"spread": self.spread, "floor": self.floor}

    @classmethod
    def from_weights(
        cls, weights: dict[str, NDArray[np.float64]], settings: dict[str, float], name: str
    ) -> Self:
        """The policy as `weights` and `settings` gave it away; ValueError when they do not fit."""
        if set(weights) != {"means", "factors"} or set(settings) != {"spread", "floor"}:
            raise ValueError(f"has {sorted(weights)} and {sorted(settings)}, not a posterior")
        if any(array.dtype != np.float64 for array in weights.values()):
            raise ValueError("the posterior is not float64")
        return cls(weights["means"], weights["factors"], **settings, name=name)

    def describe(self) -> str:
        """One line for people."""
        width, arms = self.shape
        return f"linear Thompson sampling, {arms} actions x {width} features"


def with_constant(observations: NDArray[np.float32]) -> NDArray[np.float64]:
    """The features of the linear models: the observation and a 1, float64 [N, D + 1]."""
    ones = np.ones((len(observations), 1))
    return np.concatenate([observations.astype(np.float64), ones], axis=1)
