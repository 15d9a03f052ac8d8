"""Reaching a fixed point in fewer steps (Anderson 1965; Walker and Ni 2011)."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

MEMORY: Final = 5
"""Latest steps that are looked back on."""
RIDGE: Final = 1e-10
"""Relative weight that keeps nearly parallel steps from cancelling."""


class Extrapolation:
    """Mixes the latest steps so that what was left to change nearly cancels."""

    def __init__(self) -> None:
        self._given: deque[Floats] = deque(maxlen=MEMORY + 1)
        self._left: deque[Floats] = deque(maxlen=MEMORY + 1)

    def onward(self, given: Floats, found: Floats) -> Floats:
        """Where to go on from, after a step led from ``given`` to ``found``."""
        left = (found - given).reshape(-1)
        self._given.append(given.reshape(-1))
        self._left.append(left)
        if len(self._left) == 1:
            return found
        turns = np.diff(np.stack(self._left), axis=0)  # how what is left changed
        moves = np.diff(np.stack(self._given), axis=0) + turns
        gram = (turns @ turns.T).astype(np.float64)
        gram += np.eye(len(gram)) * (RIDGE * np.trace(gram))
        mix = np.linalg.solve(gram, (turns @ left).astype(np.float64))
        better: Floats = found - (mix.astype(found.dtype) @ moves).reshape(found.shape)
        return better
