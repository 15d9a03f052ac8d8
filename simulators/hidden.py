"""What goes on in users and nobody sees: need, fatigue, the discount they are used to.

The need is a clock that no contact can touch: it ripens, and is met or lost at its own time. A
contact can only meet it before that time, here instead of elsewhere; then nothing is left to buy
when the time comes. So contacts win and move demand, and never make it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from envs.clock import DAY, NEVER
from simulators.draws import Luck, Purpose
from simulators.population import Traits
from simulators.presets import Preset

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
MOST_NIGHTS: Final = 32
"""Gaps of more nights count as this many; the scenes leave at most two."""
OPEN_AT_FIRST: Final = 0.5
"""Share of the people who start with an open need: as many as in the long run."""

IDLE, IDLE_SERVED, RIPE_SERVED, OPEN = 0, 1, 2, 3
"""Stages of the need: none open; the next one met already; the open one met; open and of category
k: OPEN + k."""

_TYPES: Final[dict[str, type[np.generic]]] = {
    "ripe": np.bool_,
    "served": np.bool_,
    "category": np.int8,
    "withdrawn": np.uint16,
    "prompted_at": np.int32,
    "promised_at": np.int32,
    "promised_cents": np.int32,
    "promised_action": np.int16,
    "refund_at": np.int32,
    "refund_cents": np.int32,
}


@dataclass(frozen=True, slots=True)
class Hidden:
    """The changing hidden state of N users; arrays [N]."""

    ripe: NDArray[np.bool_]
    """Whether a need is open."""
    served: NDArray[np.bool_]
    """Whether the open need, or else the next one, is met already."""
    category: NDArray[np.int8]
    """Of the need that is open, by number in the preset; of the last one where none is."""
    fatigue: Floats
    """Decayed weight of the contacts."""
    reference_discount: Floats
    """The discount the user is used to, fraction."""
    withdrawn: NDArray[np.uint16]
    """Bit c is set when the user left channel c."""
    prompted_at: NDArray[np.int32]
    """When a contact was seen last; for a day after it, openings of the app are moved forward."""
    promised_at: NDArray[np.int32]
    """When a purchase settled earlier is made; NEVER when none is."""
    promised_cents: NDArray[np.int32]
    """What will be paid for it."""
    promised_action: NDArray[np.int16]
    """The contact it goes back to."""
    refund_at: NDArray[np.int32]
    """When what was bought is brought back; NEVER when nothing is."""
    refund_cents: NDArray[np.int32]
    """What will be paid back for it."""

    @classmethod
    def empty(cls, n: int) -> Hidden:
        """``n`` rested users without a need."""
        hidden = cls(*(np.zeros(n, _TYPES.get(field.name, np.float32)) for field in fields(cls)))
        hidden.prompted_at[:] = hidden.promised_at[:] = hidden.refund_at[:] = NEVER
        return hidden

    def restart(self, rows: Rows, ripe: NDArray[np.bool_], category: NDArray[np.int8]) -> None:
        """Put new, rested users with these needs into some rows, in place."""
        for column in _columns(self):
            column[rows] = 0
        self.prompted_at[rows] = self.promised_at[rows] = self.refund_at[rows] = NEVER
        self.ripe[rows], self.category[rows] = ripe, category

    def take(self, rows: Rows) -> Hidden:
        """The hidden state of some users."""
        return Hidden(*(column.take(rows) for column in _columns(self)))

    def promise(
        self,
        rows: Rows,
        actions: NDArray[np.int64],
        times: NDArray[np.int32],
        paid_cents: NDArray[np.int32],
    ) -> None:
        """Purchases are settled, in place; they meet the open need, or else the next one."""
        self.served[rows] = True
        self.promised_at[rows] = times
        self.promised_cents[rows] = paid_cents
        self.promised_action[rows] = actions

    def bring_back(self, rows: Rows, times: NDArray[np.int32], cents: NDArray[np.int32]) -> None:
        """Purchases will be brought back, in place; two that are outstanding go together."""
        waiting = self.refund_at.take(rows) != NEVER
        self.refund_cents[rows] = cents + np.where(waiting, self.refund_cents.take(rows), 0)
        self.refund_at[rows] = np.maximum(times, self.refund_at.take(rows))

    def open_need(self, rows: Rows | slice) -> NDArray[np.bool_]:
        """Whose need is open and not met, bool [M]."""
        return self.ripe[rows] & ~self.served[rows]


_columns: Final[Callable[[Hidden], tuple[Any, ...]]] = attrgetter(
    *(field.name for field in fields(Hidden))
)


def stage(hidden: Hidden) -> NDArray[np.int8]:
    """The stage of each user's need, int8 [N]: IDLE, IDLE_SERVED, RIPE_SERVED, OPEN + category."""
    served = np.where(hidden.ripe, np.int8(RIPE_SERVED), np.int8(IDLE_SERVED))
    unserved = np.where(hidden.ripe, hidden.category + np.int8(OPEN), np.int8(IDLE))
    return np.where(hidden.served, served, unserved)


def category_of(traits: Traits, luck: Luck) -> NDArray[np.int8]:
    """The category of a need that ripens, by what each user buys, int8 [M]."""
    limits = np.cumsum(traits.category_shares[:, :-1], axis=1)
    passed = luck.uniform(Purpose.CATEGORY)[:, None] >= limits
    category: NDArray[np.int8] = passed.sum(axis=1, dtype=np.int8)
    return category


def live_on(hidden: Hidden, traits: Traits, ripening: Floats, luck: Luck) -> Rows:
    """Needs ripen, or are over, in place; ``ripening`` is the chance that they do, [N].

    Returns:
        Whose need is over and was not met before, int64 [M].
    """
    moved = np.flatnonzero(luck.uniform(Purpose.NEED) < ripening)
    ripe = hidden.ripe.take(moved)
    over, new = moved[ripe], moved[~ripe]
    unmet = over[~hidden.served.take(over)]
    hidden.served[over] = False
    hidden.ripe[moved] = ~ripe
    hidden.category[new] = category_of(traits.take(new), luck.take(new))
    return unmet


class Nights:
    """What midnights do: fatigue fades, and so does the discount that users are used to.

    Both fade only here, once a day in the user's own time, so that an exact planner can keep them
    on a grid.
    """

    def __init__(self, preset: Preset) -> None:
        kept = preset.reference_kept ** np.arange(MOST_NIGHTS + 1)
        self._reference = kept.astype(np.float32)

    def pass_over(
        self,
        hidden: Hidden,
        traits: Traits,
        local: NDArray[np.int32],
        later: NDArray[np.int32],
    ) -> None:
        """Let the midnights between two local times pass, in place; the times are int32 [N]."""
        nights = later // np.int32(DAY) - local // np.int32(DAY)
        slept = np.flatnonzero(nights > 0)
        nights = np.minimum(nights.take(slept), MOST_NIGHTS)
        hidden.fatigue[slept] *= traits.forgiving.take(slept) ** nights.astype(np.float32)
        hidden.reference_discount[slept] *= self._reference.take(nights)
