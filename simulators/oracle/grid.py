"""The grid on which a planner keeps what is continuous: fatigue and the reference discount.

Cells are numbered (fatigue node, reference node). Values between nodes are interpolated linearly,
in fatigue along 1 - exp(-a fatigue), in which they are nearly straight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from simulators.population import Traits

Floats = NDArray[np.float64]

BENDING: Final = 0.6
"""The rate a, relative to the user's tiring; the one that leaves values straightest."""
DULLED: Final = 5.0
"""Tiring times fatigue beyond which contacts are seen by under one in a hundred."""
MOST_A_DAY: Final = 24
"""Contacts a day where no rule limits them: scenes are entered at most once an hour."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """How fine the grid is; half the distance between nodes moves a planned gain by 0.2 %."""

    fatigue: int = 12
    reference: int = 3

    def doubled(self) -> Nodes:
        """Half the distance between nodes."""
        return Nodes(2 * self.fatigue - 1, max(2 * self.reference - 1, 1))


@dataclass(frozen=True, slots=True)
class Grid:
    """The nodes for one individual."""

    fatigue: Floats
    """Rising from 0, float64 [F]."""
    reference: Floats
    """Rising from 0, float64 [R]."""
    rate: float
    """Fatigue is interpolated along 1 - exp(-rate * fatigue); 0: along fatigue itself."""

    @classmethod
    def of(
        cls,
        nodes: Nodes,
        traits: Traits,
        weights: NDArray[np.float32],
        depths: NDArray[np.float32],
        contacts_a_day: int | None,
    ) -> Self:
        """The grid that holds all that one individual can come to.

        Args:
            nodes: how many.
            traits: of the individual, one row.
            weights: fatigue that contacts add, by channel.
            depths: of the discounts, by offer; without any the reference stays 0.
            contacts_a_day: limit that the rules set; None where they set none.
        """
        forgiving, tiring = float(traits.forgiving[0]), float(traits.tiring[0])
        heaviest, most = float(weights.max()), contacts_a_day or MOST_A_DAY
        deepest = float(depths.max(initial=0))
        reference = np.linspace(0, deepest, nodes.reference) if deepest > 0 else np.zeros(1)
        if forgiving == 0 and (weights == weights[0]).all():  # a count: nothing to interpolate
            return cls(heaviest * np.arange(most + 1.0), reference, 0.0)
        top = most * heaviest / max(1 - forgiving, 1e-6)
        if tiring == 0:
            return cls(np.linspace(0, top, nodes.fatigue), reference, 0.0)
        rate = BENDING * tiring
        reached = -np.expm1(-rate * min(top, DULLED / tiring))
        fatigue = -np.log1p(-np.linspace(0, reached, nodes.fatigue)) / rate
        return cls(fatigue, reference, rate)

    @classmethod
    def rested(cls) -> Self:
        """The single cell of somebody whom nobody contacts."""
        return cls(np.zeros(1), np.zeros(1), 0.0)

    @property
    def cells(self) -> int:
        """Number of cells, X."""
        return len(self.fatigue) * len(self.reference)

    def cell_fatigue(self) -> Floats:
        """Of each cell, float64 [X]."""
        return np.repeat(self.fatigue, len(self.reference))

    def cell_reference(self) -> Floats:
        """Of each cell, float64 [X]."""
        return np.tile(self.reference, len(self.fatigue))

    def moved(self, fatigue: Floats, reference: Floats) -> Floats:
        """Weights of the cells at other points, float64 [points, X]; both arguments [points]."""
        index, weight = self.corners(fatigue, reference)
        matrix = np.zeros((len(fatigue), self.cells))
        np.add.at(matrix, (np.arange(len(fatigue))[:, None], index), weight)
        return matrix

    def corners(
        self, fatigue: NDArray[np.floating], reference: NDArray[np.floating]
    ) -> tuple[NDArray[np.int64], Floats]:
        """The four cells around each point and their weights, both [points, 4].

        Points beyond the last node count as on it.
        """
        low, part = _between(self._straight(self.fatigue), self._straight(fatigue))
        left, share = _between(self.reference, np.asarray(reference, np.float64))
        up = np.minimum(low + 1, len(self.fatigue) - 1) * len(self.reference)
        right = np.minimum(left + 1, len(self.reference) - 1)
        low = low * len(self.reference)
        index = np.stack([low + left, low + right, up + left, up + right], axis=1)
        weight = [(1 - part) * (1 - share), (1 - part) * share, part * (1 - share), part * share]
        return index, np.stack(weight, axis=1)

    def _straight(self, fatigue: NDArray[np.floating]) -> Floats:
        """The coordinate in which values are nearly straight."""
        if self.rate == 0:
            return np.asarray(fatigue, np.float64)
        straight: Floats = -np.expm1(-self.rate * fatigue)
        return straight


def _between(nodes: Floats, points: Floats) -> tuple[NDArray[np.int64], Floats]:
    """The node below each point, and the share of the way to the next, 0 to 1."""
    if len(nodes) == 1:
        return np.zeros(len(points), np.int64), np.zeros(len(points))
    place = np.interp(points, nodes, np.arange(len(nodes)))
    low = np.minimum(place.astype(np.int64), len(nodes) - 2)
    return low, place - low
