"""Sales that clicks may have settled and that a service has not heard of yet."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.clock import DAY, HOUR, NEVER
from simulators.contacts import LATEST_DAYS
from simulators.oracle.heard import Sales

CLICKS: Final = 3
"""Clicks kept for each user; one more while their purchases may still follow is so rare that the
oldest is forgotten."""
LEAST: Final = 1e-9
"""Share of the purchases at which nothing more can follow."""

Rows = NDArray[np.int64]
Chance = NDArray[np.float64]


class Outstanding:
    """The latest clicks of N users after which nothing was bought at once, newest first."""

    def __init__(self, n: int, later_days: float) -> None:
        """``later_days`` is the preset's: a delay is exponential, cut off, after a first hour."""
        self._time = np.full((n, CLICKS), NEVER, np.int32)
        self._offer = np.full((n, CLICKS), -1, np.int16)
        self._channel = np.full((n, CLICKS), -1, np.int16)
        self._later_days = later_days

    def clicked(
        self,
        rows: Rows,
        time: NDArray[np.int32],
        offer: NDArray[np.int16],
        channel: NDArray[np.int16],
    ) -> None:
        """Put new clicks first and forget the oldest, in place; the arguments are [M]."""
        for kept, new in ((self._time, time), (self._offer, offer), (self._channel, channel)):
            kept[rows, 1:] = kept[rows, :-1]
            kept[rows, 0] = new

    def unheard(self, since: NDArray[np.int32], until: NDArray[np.int32]) -> Chance:
        """Chance that a sale outstanding at one time still is at another, [N, CLICKS]."""
        left = np.maximum(self._left(self._time, since), LEAST)
        chance: Chance = self._left(self._time, until) / left
        return chance

    def matching(self, rows: Rows, sales: Sales) -> NDArray[np.bool_]:
        """Which clicks of some users were on the offer and channel of a sale, bool [M, CLICKS]."""
        same: NDArray[np.bool_] = self._offer[rows] == sales.offer[rows, None]
        same &= self._channel[rows] == sales.channel[rows, None]
        same &= self._time[rows] != NEVER
        return same

    def following(self, rows: Rows, sales: Sales, since: NDArray[np.int32]) -> Chance:
        """How likely each click's sale follows at the time of a sale, relatively, [M, CLICKS].

        Given that it was still outstanding at ``since`` (int32 [M]); 0 for clicks that do not
        match the sale or are too recent or too long ago.
        """
        clicked, days = self._time[rows], self._days(self._time[rows], sales.time[rows])
        timely = (days >= 0) & (days <= LATEST_DAYS)
        density = np.exp(-np.clip(days, 0, LATEST_DAYS) / self._later_days)
        left = np.maximum(self._left(clicked, since), LEAST)
        return np.where(self.matching(rows, sales) & timely, density / left, 0.0)

    def _left(self, clicked: NDArray[np.int32], time: NDArray[np.int32]) -> Chance:
        """Share of the purchases after clicks, [M, CLICKS], that come after a time, [M]."""
        days = np.clip(self._days(clicked, time), 0, LATEST_DAYS)
        last = np.exp(-LATEST_DAYS / self._later_days)
        share: Chance = (np.exp(-days / self._later_days) - last) / (1 - last)
        return share

    def _days(self, clicked: NDArray[np.int32], time: NDArray[np.int32]) -> Chance:
        """Days from an hour after each click to a time, [M, CLICKS]."""
        days: Chance = (time[:, None] - clicked.astype(np.int64) - HOUR) / DAY
        return days
