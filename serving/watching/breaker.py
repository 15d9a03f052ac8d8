"""The circuit breaker before Redis: a Redis that does not answer is left alone for a while.

Without it each decision during an outage waits its full patience for nothing, and each one asks a
Redis that is struggling already.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Literal

State = Literal["closed", "open", "half_open"]
STATES: Final[tuple[State, ...]] = ("closed", "open", "half_open")

FAILURES: Final = 5
"""Failures in a row after which Redis counts as gone."""
PAUSE_S: Final = 0.25
"""How long Redis is left alone at first; each probe that fails doubles it."""
LONGEST_PAUSE_S: Final = 2.0


class Breaker:
    """Says whether to ask Redis at all, from what came of asking before.

    Closed, every call is let through. Open, none is, for a pause. Then one call is let through as a
    probe, half open: its success closes the breaker, its failure opens it for a longer pause. A
    probe that never reports back holds nobody up: after another pause the next one is let through.
    """

    def __init__(
        self,
        failures: int = FAILURES,
        pause_s: float = PAUSE_S,
        longest_pause_s: float = LONGEST_PAUSE_S,
        clock: Callable[[], float] = time.monotonic,
        changed: Callable[[State], None] | None = None,
    ) -> None:
        """Closed at first.

        Args:
            failures: failures in a row that open it.
            pause_s: how long it stays open at first.
            longest_pause_s: what the pause grows to at most.
            clock: seconds that never go back.
            changed: told of each new state.
        """
        self._most_failures = failures
        self._first_pause_s, self._longest_pause_s = pause_s, longest_pause_s
        self._clock = clock
        self._changed = changed
        self._state: State = "closed"
        self._failures = 0
        self._pause_s = pause_s
        self._until = 0.0

    @property
    def state(self) -> State:
        """What it does now; an open one whose pause is over stays open until somebody asks."""
        return self._state

    def allows(self) -> bool:
        """Whether this call may go to Redis; who is let through reports what came of it."""
        if self._state == "closed":
            return True
        now = self._clock()
        if now < self._until:
            return False
        self._until = now + self._pause_s  # for the next probe, should this one be lost
        self._become("half_open")
        return True

    def succeeded(self) -> None:
        """Redis answered: whatever was believed of it, it is there."""
        self._failures = 0
        if self._state != "closed":
            self._pause_s = self._first_pause_s
            self._become("closed")

    def failed(self) -> None:
        """Redis did not answer, or not in time."""
        if self._state == "open":
            return  # a call from before; nothing new
        if self._state == "half_open":
            self._pause_s = min(2 * self._pause_s, self._longest_pause_s)
        else:
            self._failures += 1
            if self._failures < self._most_failures:
                return
        self._until = self._clock() + self._pause_s
        self._become("open")

    def _become(self, state: State) -> None:
        if state != self._state:
            self._state = state
            if self._changed is not None:
                self._changed(state)
