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

Flags = NDArray[np.bool_]

SOON_S: Final = 600
"""A purchase at once is made ten minutes after the contact; assumed."""


@dataclass(frozen=True, slots=True)
class Contacts:
    """The contacts of one step and what was drawn for them; arrays [M]."""

    rows: NDArray[np.int64]
    """Users contacted."""
    actions: NDArray[np.int64]
    chances: Chances
    seen: Flags
    clicked: Flags
    sold: Flags
    delay_s: NDArray[np.int32]
    """From the contact to the purchase, where one is sold."""
    dismissed: Flags
    refused: Flags
    opted_out: Flags

    @classmethod
    def none(cls) -> Contacts:
        """Nobody was contacted."""
        nobody, never, no = np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.bool_)
        chances = Chances(*(np.zeros(0, np.float32) for _ in range(5)))
        return cls(nobody, nobody, chances, no, no, no, never, no, no, no)

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
        seen = luck.uniform(Purpose.SEE) < chances.see
        clicked = seen & (luck.uniform(Purpose.CLICK) < chances.click)
        sold = clicked & (luck.uniform(Purpose.BUY) < chances.sell)
        ignored = seen & ~clicked
        refusing = luck.uniform(Purpose.REFUSE)
        return cls(
            rows,
            actions,
            chances,
            seen,
            clicked,
            sold,
            _delay(preset, luck.uniform(Purpose.LATER)),
            ignored & (refusing > 1 - preset.dismissed),
            ignored & (refusing < chances.refuse),
            seen & (luck.uniform(Purpose.OPT_OUT) < chances.opt_out),
        )


def _delay(preset: Preset, draw: NDArray[np.float64]) -> NDArray[np.int32]:
    """At once, or later with the preset's share, an hour to some days on; seconds, int32 [M]."""
    part = draw / preset.later_share if preset.later_share > 0 else np.full_like(draw, 2.0)
    later = HOUR + part * (preset.later_days * DAY - HOUR)
    return np.where(part < 1.0, later, SOON_S).astype(np.int32)
