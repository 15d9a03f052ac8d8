"""The policy of a Q-network: mostly the best allowed action, sometimes any allowed one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class QNetworkPolicy:
    """Greedy in the values of a small network, with an exploration floor.

    The network is linear layers with ReLU between them; the last layer gives one value an action
    (a dueling head is folded into it). An allowed action has the probability floor / allowed, the
    best one 1 - floor more, so that every allowed action keeps a known propensity.

    Values are computed in float64: two actions often differ by less than the rounding of float32,
    and the row must not depend on how many rows are asked for at once.
    """

    kind: ClassVar[str] = "q_network"

    layers: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]
    """(weight [inputs, outputs], bias [outputs]) of each layer, first to last."""
    floor: float = 0.01
    """Share of decisions drawn uniformly over the allowed actions, 0 to 1."""
    name: str = "q_network"

    def __post_init__(self) -> None:
        """Refuse layers that do not fit each other, and a floor that is no share."""
        if not 0.0 <= self.floor <= 1.0:
            raise ValueError(f"floor is {self.floor}, not 0 to 1")
        if not self.layers:
            raise ValueError("a Q-network needs at least one layer")
        width = self.layers[0][0].shape[0] if self.layers[0][0].ndim == 2 else -1
        for i, (weight, bias) in enumerate(self.layers):
            if weight.ndim != 2 or weight.shape[0] != width or bias.shape != weight.shape[1:]:
                raise ValueError(
                    f"layer {i} has weight {weight.shape} and bias {bias.shape} after {width}"
                )
            if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
                raise ValueError(f"layer {i} holds a value that is not finite")
            width = weight.shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        """Observation width and number of actions."""
        return self.layers[0][0].shape[0], self.layers[-1][0].shape[1]

    def values(self, observations: NDArray[np.float32]) -> NDArray[np.float64]:
        """The value of every action, allowed or not, float64 [N, A], in the reward's scale."""
        hidden: NDArray[np.float64] = observations.astype(np.float64)
        for weight, bias in self.layers[:-1]:
            hidden = np.maximum(hidden @ weight + bias, 0.0)
        weight, bias = self.layers[-1]
        values: NDArray[np.float64] = hidden @ weight + bias
        return values

    def probabilities(
        self, observations: NDArray[np.float32], mask: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """The chance of each action, float64 [N, A]; 0 where masked, rows sum to 1."""
        return greedy_row(self.values(observations), mask, self.floor)

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """The arrays of the bundle, float32, as the learner had them."""
        arrays: dict[str, NDArray[np.float32]] = {}
        for i, (weight, bias) in enumerate(self.layers):
            arrays[f"layer{i}.weight"] = np.ascontiguousarray(weight, dtype=np.float32)
            arrays[f"layer{i}.bias"] = np.ascontiguousarray(bias, dtype=np.float32)
        return arrays

    def settings(self) -> dict[str, float]:
        """The numbers of the bundle that are no weights."""
        return {"floor": self.floor}

    @classmethod
    def from_weights(
        cls, weights: dict[str, NDArray[np.float32]], settings: dict[str, float], name: str
    ) -> Self:
        """The policy as `weights` and `settings` gave it away; ValueError when they do not fit."""
        count = len(weights) // 2
        expected = {f"layer{i}.{part}" for i in range(count) for part in ("weight", "bias")}
        if expected != set(weights) or set(settings) != {"floor"}:
            raise ValueError(f"has {sorted(weights)} and {sorted(settings)}, not layers and floor")
        layers = tuple(
            (weights[f"layer{i}.weight"].astype(np.float64),
             weights[f"layer{i}.bias"].astype(np.float64))
            for i in range(count)
        )  # fmt: skip
        return cls(layers, settings["floor"], name)

    def describe(self) -> str:
        """One line for people."""
        sizes = " x ".join(str(weight.shape[0]) for weight, _ in self.layers)
        return f"Q-network {sizes} x {self.shape[1]}, {self.floor:.1%} uniform exploration"


def greedy_row(
    values: NDArray[np.float64], mask: NDArray[np.bool_], floor: float
) -> NDArray[np.float64]:
    """The best allowed action, and any allowed one with a share ``floor``, float64 [N, A]."""
    mask = np.asarray(mask, dtype=bool)
    best = np.where(mask, values, -np.inf).argmax(axis=1)
    row: NDArray[np.float64] = mask * (floor / mask.sum(axis=1, keepdims=True))
    row[np.arange(len(row)), best] += 1.0 - floor
    return row
