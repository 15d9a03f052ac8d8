"""How often each caller may call: a bucket that fills evenly, one number a caller."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

MOST_CALLERS: Final = 10_000
"""Callers remembered at once; whoever comes beyond them shares one bucket."""
OTHERS: Final = ""
"""The name under which those share it."""


class Limit:
    """So many calls a second for each caller, in this process.

    A caller is let in while the bucket is not empty, whatever the call costs; a dear call may leave
    it below empty, and then the next waits. So a cost larger than the bucket is let in too, and
    what a call costs may be charged once its body has been read.

    All there is to know of a bucket is the moment at which it is full again (the "generic cell
    rate algorithm" of ATM networks, ITU-T I.371): one float a caller, no list and no thread.
    """

    def __init__(
        self,
        rate: float,
        burst: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A limit.

        Args:
            rate: calls a second; 0 lets everybody in.
            burst: calls at once after a pause; one second's worth, and at least one, if left out.
            clock: seconds that never go back.
        """
        self.rate = rate
        self._gap_s = 1 / rate if rate else 0.0
        self._burst_s = max(burst or rate, 1.0) * self._gap_s
        self._clock = clock
        self._full_at: dict[str, float] = {}
        self._swept_at = clock()

    def take(self, caller: str) -> float:
        """One call; the seconds to wait before it may be made, 0.0 if it may be made now."""
        if not self.rate:
            return 0.0
        now = self._clock()
        caller = self._known(caller, now)
        full_at = max(self._full_at.get(caller, now), now) + self._gap_s
        wait_s = full_at - now - self._burst_s
        if wait_s > 1e-9:  # a moment as a float is this exact after years of uptime
            return wait_s
        self._full_at[caller] = full_at
        return 0.0

    def charge(self, caller: str, calls: int) -> None:
        """Let a call that was let in count as this many more."""
        if self.rate and calls > 0:
            now = self._clock()
            caller = self._known(caller, now)
            full_at = max(self._full_at.get(caller, now), now)
            self._full_at[caller] = full_at + calls * self._gap_s

    def _known(self, caller: str, now: float) -> str:
        """The name to count the caller under; forgets full buckets, which say nothing."""
        if caller in self._full_at or len(self._full_at) < MOST_CALLERS:
            return caller
        if now - self._swept_at >= 1.0:  # not at each of a thousand strangers a second
            self._full_at = {name: at for name, at in self._full_at.items() if at > now}
            self._swept_at = now
            return self._known(caller, now) if len(self._full_at) < MOST_CALLERS else OTHERS
        return OTHERS
