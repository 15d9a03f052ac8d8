"""The leases that one replica holds: what it may still spend, decided here and at once.

A lease is a slice of the budget that Redis has granted until a deadline. Cents are reserved of it
before a decision is committed, and the commit script writes them down as the lease's spend, unless
the deadline has passed. So a lease is counted exactly, by whoever counts it after its deadline or
after its last commit.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from serving.budgets.pacing import Period

NO_DEADLINE_US: Final = 2**53
AT_MOST: Final = 2
"""Leases in use at once: a piece left over for cheap actions, and one that serves any."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Cents that are set aside for one decision."""

    lease: str
    """Empty when nothing has to be set aside."""
    period: int
    cents: int
    until_us: int
    """Microseconds of Redis's clock after which a commit against it is refused."""


@dataclass(slots=True)
class Lease:
    """A slice of the budget. Times without a unit in microseconds are of ``time.monotonic``."""

    identity: str
    period: Period
    granted: int
    until_us: int
    """Deadline by Redis's clock."""
    ends_s: float
    """Deadline here, at the latest when Redis's comes."""
    used: int = 0
    """Cents that are reserved or spent."""
    pending: int = 0
    """Reservations of which it is not known yet whether they were committed."""
    doubtful: bool = False
    """One of them will never be known: it has to be counted after the deadline."""
    retired: bool = False
    """It serves no more, and waits to be counted."""
    changes: int = 0
    """How often its spend was changed from outside, as far as known."""
    used_at_s: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> int:
        """Cents that may still be reserved."""
        return self.granted - self.used

    @property
    def countable(self) -> bool:
        """Whether nothing can be committed against it any more, as its owner knows."""
        return self.retired and not self.pending and not self.doubtful


class Leases:
    """All leases of one replica that are not counted yet."""

    def __init__(self, guard_s: float) -> None:
        self._guard_s = guard_s
        self.all: dict[str, Lease] = {}

    def usable(self) -> list[Lease]:
        """Those that serve now, the oldest first."""
        latest = time.monotonic() + self._guard_s
        return [each for each in self.all.values() if not each.retired and each.ends_s > latest]

    def left(self) -> int:
        """Cents of the largest reservation that can be had now."""
        return max((lease.left for lease in self.usable()), default=0)

    def reserve(self, cents: int) -> Reservation | None:
        """Set cents aside, of the oldest lease that has them."""
        for lease in self.usable():
            if lease.left >= cents:
                lease.used += cents
                lease.pending += 1
                lease.used_at_s = time.monotonic()
                return Reservation(lease.identity, lease.period.number, cents, lease.until_us)
        return None

    def resolve(self, reservation: Reservation, *, spent: bool | None) -> None:
        """Say what came of a reservation.

        Args:
            reservation: which.
            spent: whether it was committed, None when that will never be known.
        """
        lease = self.all.get(reservation.lease)
        if lease is None:
            return
        lease.pending -= 1
        if spent is None:
            lease.doubtful = lease.retired = True
        elif not spent:
            lease.used -= reservation.cents

    def retire(self, period: Period, idle_s: float) -> None:
        """Let leases go that are over, used up, or one too many.

        Args:
            period: that is now.
            idle_s: how long a lease may go unused.
        """
        now_s = time.monotonic()
        for lease in self.all.values():
            over = lease.period != period or lease.ends_s <= now_s + self._guard_s
            if over or not lease.left or now_s - lease.used_at_s > idle_s:
                lease.retired = True
        for lease in sorted(self.usable(), key=lambda each: each.left)[:-AT_MOST]:
            lease.retired = True

    def retire_all(self) -> None:
        """Let all of them go."""
        for lease in self.all.values():
            lease.retired = True

    def close(self, changes: Iterable[str], again: dict[str, int]) -> None:
        """Drop those that were counted.

        Args:
            changes: leases that were to be counted, also of others.
            again: those that were not, as their spend had changed, and how often.
        """
        for identity in changes:
            if identity not in again:
                self.all.pop(identity, None)
            elif identity in self.all:
                self.all[identity].changes = again[identity]

    def forget(self, margin_s: float) -> None:
        """Leave those that are long over to whoever counts what is due."""
        now_s = time.monotonic()
        self.all = {
            name: lease for name, lease in self.all.items() if now_s < lease.ends_s + margin_s
        }
