"""What became of the contacts of one step: seen, clicked, sold, refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.clock import DAY, HOUR
from simulators.behaviour import Chances
from simulators.draws import Luck, Purpose
from simulators.presets import Preset

Which = NDArray[np.int64]

SOON_S: Final = 600
"""A purchase at once is made ten minutes after the contact; assumed."""
LATEST_DAYS: Final = 30
"""Later ones follow within so many days."""


@dataclass(frozen=True, slots=True)
class Contacts:
    """The contacts of one step and what was drawn for them.

    Arrays [M], and numbers of some of the contacts, int64, ascending.
    """

    rows: NDArray[np.int64]
    """Users contacted, [M]."""
    actions: NDArray[np.int64]
    """[M]"""
    chances: Chances
    """[M]"""
    seen: Which
    clicked: Which
    sold: Which
    delay_s: NDArray[np.int32]
    """From the contact to the purchase, of those sold."""
    dismissed: Which
    refused: Which
    opted_out: Which

    @classmethod
    def played(
        cls,
        preset: Preset,
        rows: NDArray[np.int64],
        actions: NDArray[np.int64],
        chances: Chances,
        luck: Luck,
    ) -> Contacts:
        """Draw what comes of contacts; ``luck`` is that of the users contacted."""
        seen = np.flatnonzero(luck.uniform(Purpose.SEE) < chances.see)
        luck = luck.take(seen)
        clicking = luck.uniform(Purpose.CLICK) < chances.click.take(seen)
        clicked, ignored = seen[clicking], seen[~clicking]
        refusing = luck.uniform(Purpose.REFUSE)[~clicking]
        leaving = luck.uniform(Purpose.OPT_OUT) < chances.opt_out.take(seen)
        luck = luck.take(np.flatnonzero(clicking))
        buying = luck.uniform(Purpose.BUY) < chances.sell.take(clicked)
        return cls(
            rows,
            actions,
            chances,
            seen,
            clicked,
            clicked[buying],
            delay_seconds(preset, luck.uniform(Purpose.LATER)[buying]),
            ignored[refusing > 1 - preset.dismissed],
            ignored[refusing < chances.refuse.take(ignored)],
            seen[leaving],
        )

    def was_seen(self) -> NDArray[np.bool_]:
        """Which contacts were seen, bool [M]."""
        seen = np.zeros(len(self.rows), np.bool_)
        seen[self.seen] = True
        return seen


def delay_seconds(preset: Preset, draw: NDArray[np.float64]) -> NDArray[np.int32]:
    """From a contact to the purchase that it sold, int32 [M]; ``draw`` in (0, 1), float64 [M].

    At once, or later with the preset's share: an hour to thirty days on, exponentially.
    """
    if preset.later_share <= 0:
        return np.full(len(draw), SOON_S, np.int32)
    part = np.minimum(draw / preset.later_share, 1.0)
    mean, cut = preset.later_days * DAY, np.expm1(-LATEST_DAYS / preset.later_days)
    later = HOUR - mean * np.log1p(part * cut)
    return np.where(draw < preset.later_share, later, SOON_S).astype(np.int32)
