"""The policy of a table: mostly the best allowed action of a user's cell, sometimes any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from agents.policies.cells import Cells

WEIGHTS: Final = {"factors", "values"}
SETTINGS: Final = {"floor", "hour_sine", "hour_factor"}


@dataclass(frozen=True, slots=True, eq=False)
class TablePolicy:
    """Greedy in the values of a table, with an exploration floor.

    An allowed action has the probability floor / allowed, the best one 1 - floor more. Of actions
    with the same value the first one is best, so a cell that was never visited is left alone.
    """

    kind: ClassVar[str] = "table"

    cells: Cells
    values: NDArray[np.float32]
    """Cents to come beyond silence, by cell and action, float32 [cells, A]; -inf: never tried."""
    floor: float
    """Share of decisions drawn uniformly over the allowed actions, 0 to 1."""
    name: str = "table"

    def __post_init__(self) -> None:
        """Refuse values that do not fit the cells, and a floor that is no share."""
        if not 0.0 <= self.floor <= 1.0:
            raise ValueError(f"floor is {self.floor}, not 0 to 1")
        if self.values.ndim != 2 or len(self.values) != self.cells.size:
            raise ValueError(f"values are {self.values.shape} for {self.cells.size} cells")
        if np.isnan(self.values).any() or not np.isfinite(self.values[:, 0]).all():
            raise ValueError("a value is no number, or that of silence is not finite")

    @property
    def shape(self) -> tuple[int, int]:
        """Observation width and number of actions."""
        return len(self.cells.factors), self.values.shape[1]

    def probabilities(
        self, observations: NDArray[np.float32], mask: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """The chance of each action, float64 [N, A]; 0 where masked, rows sum to 1."""
        mask = np.asarray(mask, dtype=bool)
        values = np.where(mask, self.values[self.cells.number(observations)], -np.inf)  # [N, A]
        row: NDArray[np.float64] = mask * (self.floor / mask.sum(axis=1, keepdims=True))
        row[np.arange(len(row)), values.argmax(axis=1)] += 1.0 - self.floor
        return row

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """The arrays of the bundle; the factors are whole numbers that float32 holds exactly."""
        factors = np.ascontiguousarray(self.cells.factors, dtype=np.float32)
        return {"factors": factors, "values": np.ascontiguousarray(self.values)}

    def settings(self) -> dict[str, float]:
        """The numbers of the bundle that are no weights."""
        return {
            "floor": self.floor,
            "hour_sine": float(self.cells.hour_sine),
            "hour_factor": float(self.cells.hour_factor),
        }

    @classmethod
    def from_weights(
        cls, weights: dict[str, NDArray[np.float32]], settings: dict[str, float], name: str
    ) -> Self:
        """The policy as `weights` and `settings` gave it away; ValueError when they do not fit."""
        if set(weights) != WEIGHTS or set(settings) != SETTINGS:
            raise ValueError(f"has {sorted(weights)} and {sorted(settings)}, not a table's")
        factors, values = weights["factors"].astype(np.float64), weights["values"]
        sine, factor = int(settings["hour_sine"]), int(settings["hour_factor"])
        if factors.ndim != 1 or not -1 <= sine < len(factors) - 1:
            raise ValueError(f"factors are {factors.shape}, the hour is feature {sine}")
        return cls(Cells(factors, sine, factor, len(values)), values, settings["floor"], name)

    def describe(self) -> str:
        """One line for people."""
        cells, actions = self.values.shape
        return f"table of {cells} cells x {actions} actions, {self.floor:.1%} uniform exploration"
