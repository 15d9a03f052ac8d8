"""What may still be spent on users, where a preset's money binds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.clock import WEEK

Cents = NDArray[np.float64]


class Purse:
    """A budget of so many cents a user and week since the start, less what was spent.

    Each user has an own purse, so that nobody's luck hangs on whom else a worker plays.
    """

    def __init__(self, n: int, cents_per_week: float | None, start_s: int) -> None:
        """``n`` users; without limit when ``cents_per_week`` is None."""
        self._cents_per_week, self._start_s = cents_per_week, start_s
        self._spent = np.zeros(n)

    def refill(self, rows: NDArray[np.int64]) -> None:
        """New users."""
        self._spent[rows] = 0.0

    def spend(self, cents: NDArray[np.int32]) -> None:
        """int32 [N]."""
        if self._cents_per_week is not None:
            self._spent += cents

    def left(self, now: NDArray[np.int32]) -> float | Cents:
        """At a time, float64 [N], 0 at least: a sale can cost more than was set aside for it.

        Infinite without a limit.
        """
        if self._cents_per_week is None:
            return np.inf
        weeks = (now - self._start_s) / WEEK
        return np.maximum(self._cents_per_week * weeks - self._spent, 0.0)
