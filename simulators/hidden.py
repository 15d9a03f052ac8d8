"""What goes on in users and nobody sees: need, fatigue, the discount they are used to.

The need is a clock that no contact can touch: it ripens, and is met or lost at its own time. A
contact can only meet it before that time, here instead of elsewhere; then nothing is left to buy
when the time comes. So contacts win and move demand, and never make it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.clock import DAY, NEVER
from simulators.presets import Preset

Floats = NDArray[np.float32]
MOST_NIGHTS: Final = 32
"""Gaps of more nights count as this many; the scenes leave at most two."""

_TYPES: Final[dict[str, type[np.generic]]] = {
    "ripe": np.bool_,
    "served": np.bool_,
    "withdrawn": np.uint16,
    "promised_at": np.int32,
    "promised_cents": np.int32,
    "promised_action": np.int16,
}


@dataclass(frozen=True, slots=True)
class Hidden:
    """The changing hidden state of N users; arrays [N]."""

    ripe: NDArray[np.bool_]
    """Whether a need is open."""
    served: NDArray[np.bool_]
    """Whether the open need, or else the next one, is met already."""
    fatigue_interrupting: Floats
    """Decayed weight of the contacts that interrupted."""
    fatigue_waiting: Floats
    """Decayed weight of the contacts that waited."""
    reference_discount: Floats
    """The discount the user is used to, fraction."""
    discount_today: Floats
    """The deepest discount seen since midnight, fraction."""
    withdrawn: NDArray[np.uint16]
    """Bit c is set when the user left channel c."""
    promised_at: NDArray[np.int32]
    """When a purchase settled earlier is made; NEVER when none is."""
    promised_cents: NDArray[np.int32]
    """What will be paid for it."""
    promised_action: NDArray[np.int16]
    """The contact it goes back to."""

    @classmethod
    def empty(cls, n: int) -> Hidden:
        """``n`` rested users without a need."""
        hidden = cls(*(np.zeros(n, _TYPES.get(field.name, np.float32)) for field in fields(cls)))
        hidden.promised_at[:] = NEVER
        return hidden

    def restart(self, rows: NDArray[np.int64], ripe: NDArray[np.bool_]) -> None:
        """Put new, rested users into some rows, in place."""
        for field in fields(self):
            getattr(self, field.name)[rows] = NEVER if field.name == "promised_at" else 0
        self.ripe[rows] = ripe

    def promise(
        self,
        rows: NDArray[np.int64],
        actions: NDArray[np.int64],
        times: NDArray[np.int32],
        paid_cents: NDArray[np.int32],
    ) -> None:
        """Purchases are settled, in place; they meet the open need, or else the next one."""
        self.served[rows] = True
        self.promised_at[rows] = times
        self.promised_cents[rows] = paid_cents
        self.promised_action[rows] = actions

    def promises_before(self, time: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Who makes a purchase settled earlier before a time (int32 [N]), bool [N]."""
        before: NDArray[np.bool_] = (self.promised_at != NEVER) & (self.promised_at < time)
        return before

    def tire(
        self,
        rows: NDArray[np.int64],
        weight: Floats,
        interrupts: NDArray[np.bool_],
        depth: Floats,
    ) -> None:
        """Contacts add their weight and show their discount, in place; the arguments are [M]."""
        self.fatigue_interrupting[rows] += weight * interrupts
        self.fatigue_waiting[rows] += weight * ~interrupts
        self.discount_today[rows] = np.maximum(self.discount_today.take(rows), depth)

    def open_need(self, rows: NDArray[np.int64] | slice) -> NDArray[np.bool_]:
        """Whose need is open and not met, bool [M]."""
        return self.ripe[rows] & ~self.served[rows]

    def fatigue(self) -> Floats:
        """Of both groups together, float32 [N]."""
        return self.fatigue_interrupting + self.fatigue_waiting


class Nights:
    """What midnights do: fatigue fades, the reference discount follows the day's deepest.

    Both change only here, once a day in the user's own time, so that an exact planner can keep
    them on a grid.
    """

    def __init__(self, preset: Preset) -> None:
        nights = np.arange(MOST_NIGHTS + 1)
        kept = preset.reference_kept**nights
        self._fatigue = (preset.fatigue_kept**nights).astype(np.float32)
        self._reference = kept.astype(np.float32)
        learnt = np.where(nights > 0, (1 - preset.reference_kept) * np.roll(kept, 1), 0.0)
        self._learnt = learnt.astype(np.float32)

    def pass_over(self, hidden: Hidden, local: NDArray[np.int32], later: NDArray[np.int32]) -> None:
        """Let the midnights between two local times pass, in place; the times are int32 [N]."""
        nights = later // np.int32(DAY) - local // np.int32(DAY)
        slept = np.flatnonzero(nights > 0)
        if not len(slept):
            return
        nights = np.minimum(nights.take(slept), MOST_NIGHTS)
        fading = self._fatigue.take(nights)
        hidden.fatigue_interrupting[slept] *= fading
        hidden.fatigue_waiting[slept] *= fading
        reference = hidden.reference_discount.take(slept) * self._reference.take(nights)
        reference += hidden.discount_today.take(slept) * self._learnt.take(nights)
        hidden.reference_discount[slept] = reference
        hidden.discount_today[slept] = 0.0
