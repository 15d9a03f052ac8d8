"""The policy of the neural-linear bandit: a small network's last layer, linear beliefs upon it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from agents.policies.exploration import Rule
from agents.policies.linear_gaussian import LinearGaussianPolicy

Layers = tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]


@dataclass(frozen=True, slots=True, eq=False)
class NeuralLinearPolicy:
    """Linear beliefs about features that a network was taught (Riquelme, Tucker and Snoek 2018).

    The features are the last hidden layer of a network with ReLU after every layer. They are taken
    as given: the beliefs, and so the row, are exact in them.
    """

    kind: ClassVar[str] = "neural_linear"

    layers: Layers
    """(weight [inputs, outputs], bias [outputs]) of each hidden layer, first to last."""
    beliefs: LinearGaussianPolicy
    """What is believed of each action, of as many features as the last layer has."""
    name: str = "neural_linear"

    def __post_init__(self) -> None:
        """Refuse layers that do not fit each other or the beliefs."""
        widths = [(*weight.shape, 0)[0] for weight, _ in self.layers] + [self.beliefs.shape[0]]
        for i, (weight, bias) in enumerate(self.layers):
            if weight.shape != (widths[i], widths[i + 1]) or bias.shape != (widths[i + 1],):
                raise ValueError(f"layer {i} has weight {weight.shape} and bias {bias.shape}")
            if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
                raise ValueError(f"layer {i} holds a value that is not finite")

    @property
    def shape(self) -> tuple[int, int]:
        """Observation width and number of actions."""
        return self.layers[0][0].shape[0], self.beliefs.shape[1]

    @property
    def rule(self) -> Rule:
        """How an action is chosen."""
        return self.beliefs.rule

    def features(self, observations: NDArray[np.float32]) -> NDArray[np.float64]:
        """The last hidden layer, float64 [N, H]."""
        hidden: NDArray[np.float64] = observations.astype(np.float64)
        for weight, bias in self.layers:
            hidden = np.maximum(hidden @ weight + bias, 0.0)
        return hidden

    def priced(self, contact_price: float) -> Self:
        """As of ``LinearGaussianPolicy``: every contact has to earn a price as well."""
        return replace(self, beliefs=self.beliefs.priced(contact_price))

    def scores(
        self, observations: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation of every action's score, float64 [N, A] each."""
        return self.beliefs.scores(self.features(observations))

    def probabilities(
        self, observations: NDArray[np.float32], mask: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """The chance of each action, float64 [N, A]; 0 where masked, rows sum to 1."""
        return self.beliefs.probabilities(self.features(observations), mask)

    def weights(self) -> dict[str, NDArray[np.floating]]:
        """The arrays of the bundle: layers float32, as they were learnt, beliefs float64."""
        arrays: dict[str, NDArray[np.floating]] = dict(self.beliefs.weights())
        for i, (weight, bias) in enumerate(self.layers):
            arrays[f"layer{i}.weight"] = np.ascontiguousarray(weight, dtype=np.float32)
            arrays[f"layer{i}.bias"] = np.ascontiguousarray(bias, dtype=np.float32)
        return arrays

    def settings(self) -> dict[str, float]:
        """The numbers of the bundle that are no weights."""
        return self.beliefs.settings()

    @classmethod
    def from_weights(
        cls, weights: dict[str, NDArray[np.float64]], settings: dict[str, float], name: str
    ) -> Self:
        """The policy as `weights` and `settings` gave it away; ValueError when they do not fit."""
        count = len([part for part in weights if part.endswith(".weight")])
        names = {f"layer{i}.{part}" for i in range(count) for part in ("weight", "bias")}
        if not count or set(weights) != names | {"means", "factors"}:
            raise ValueError(f"has {sorted(weights)}, not layers and a posterior")
        layers = tuple(
            (
                weights[f"layer{i}.weight"].astype(np.float64),
                weights[f"layer{i}.bias"].astype(np.float64),
            )
            for i in range(count)
        )
        believed = {part: weights[part] for part in ("means", "factors")}
        return cls(layers, LinearGaussianPolicy.from_weights(believed, settings, name), name)

    def describe(self) -> str:
        """One line for people."""
        sizes = " x ".join(str(weight.shape[0]) for weight, _ in self.layers)
        return f"network {sizes}, then {self.beliefs.describe()}"
