"""How long a decision waits for Redis: a limit on Redis, not on a busy process of our own."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Final, Self

TURNS: Final = 4
"""Turns of the event loop between the end of the time and giving up. A reply that has arrived while
this process did other work is read in the first of them; only then is it Redis that is late."""
LEAST_S: Final = 0.01
"""What a wait gets in any case, however much the ones before it have used up."""


class Patience:
    """Time for several waits in all; each is a ``with`` block that raises TimeoutError."""

    def __init__(self, seconds: float) -> None:
        self._left_s = seconds
        self._loop = asyncio.get_running_loop()
        self._started_s = 0.0
        self._limit = asyncio.timeout(None)
        self._handle: asyncio.Handle | None = None

    @property
    def over(self) -> bool:
        """Whether all the time has been used."""
        return self._left_s <= 0

    @property
    def next_s(self) -> float:
        """How long the next wait may take."""
        return max(self._left_s, LEAST_S)

    async def __aenter__(self) -> Self:
        self._started_s = time.monotonic()
        self._limit = asyncio.timeout(None)
        await self._limit.__aenter__()
        self._handle = self._loop.call_later(self.next_s, self._end, TURNS)
        return self

    def _end(self, turns: int) -> None:
        if turns:
            self._handle = self._loop.call_soon(self._end, turns - 1)
        else:
            self._limit.reschedule(self._loop.time())

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._left_s -= time.monotonic() - self._started_s
        await self._limit.__aexit__(kind, error, trace)
