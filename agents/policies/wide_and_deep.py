"""The policy of a wide-and-deep Q-network: layers, and a linear part that knows crossed features.

After Cheng and others (2016): the deep part generalises, the wide part remembers what holds for
one value of a choice alone, such as one scene.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from agents.policies.q_network import QNetworkPolicy, greedy_row

WIDE, CROSSED = "wide.weight", "wide.crossed"


@dataclass(frozen=True, slots=True, eq=False)
class WideAndDeepPolicy:
    """As ``QNetworkPolicy``, with products of some features with all of them beside the layers."""

    kind: ClassVar[str] = "wide_and_deep"

    deep: QNetworkPolicy
    """The layers, and the share of uniform decisions."""
    crossed: NDArray[np.int64]
    """Columns of the observation that are multiplied with all columns, int64 [C]."""
    wide: NDArray[np.float64]
    """Weights of the products, float64 [C, D, A]."""
    name: str = "wide_and_deep"

    def __post_init__(self) -> None:
        """Refuse a wide part that does not fit the deep one."""
        width, actions = self.deep.shape
        if self.wide.shape != (len(self.crossed), width, actions):
            raise ValueError(f"wide part is {self.wide.shape} beside {(width, actions)}")
        if self.crossed.ndim != 1 or not ((self.crossed >= 0) & (self.crossed < width)).all():
            raise ValueError(f"crossed columns {self.crossed.tolist()} are not below {width}")
        if not np.isfinite(self.wide).all():
            raise ValueError("the wide part holds a value that is not finite")

    @property
    def shape(self) -> tuple[int, int]:
        """Observation width and number of actions."""
        return self.deep.shape

    def values(self, observations: NDArray[np.float32]) -> NDArray[np.float64]:
        """The value of every action, allowed or not, float64 [N, A], in the reward's scale."""
        seen = observations.astype(np.float64)
        values = self.deep.values(observations)
        for column, weight in zip(self.crossed.tolist(), self.wide, strict=True):
            rows = np.flatnonzero(seen[:, column])  # most crossed features are 0 or 1
            values[rows] += seen[rows, column, None] * (seen[rows] @ weight)
        return values

    def probabilities(
        self, observations: NDArray[np.float32], mask: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """The chance of each action, float64 [N, A]; 0 where masked, rows sum to 1."""
        return greedy_row(self.values(observations), mask, self.deep.floor)

    def weights(self) -> dict[str, NDArray[Any]]:
        """The arrays of the bundle, float32 but for the columns."""
        wide = np.ascontiguousarray(self.wide, dtype=np.float32)
        return self.deep.weights() | {WIDE: wide, CROSSED: self.crossed.astype(np.int32)}

    def settings(self) -> dict[str, float]:
        """The numbers of the bundle that are no weights."""
        return self.deep.settings()

    @classmethod
    def from_weights(
        cls, weights: dict[str, NDArray[Any]], settings: dict[str, float], name: str
    ) -> Self:
        """The policy as `weights` and `settings` gave it away; ValueError when they do not fit."""
        if not {WIDE, CROSSED} <= set(weights):
            raise ValueError(f"has {sorted(weights)}, not {WIDE} and {CROSSED}")
        layers = {key: array for key, array in weights.items() if key not in (WIDE, CROSSED)}
        deep = QNetworkPolicy.from_weights(layers, settings, name)
        return cls(deep, weights[CROSSED].astype(np.int64), weights[WIDE].astype(np.float64), name)

    def describe(self) -> str:
        """One line for people."""
        return f"wide-and-deep, {len(self.crossed)} crossed features, {self.deep.describe()}"
