"""How long a decision waits for Redis: a limit on Redis, not on a busy process of our own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

Result = TypeVar("Result")

TICKS: Final = 5
"""Parts into which the time is cut. A part that ends late, because this process was at work or had
to wait for a processor, still counts as one part: only Redis is to blame for the others."""
TURNS: Final = 4
"""Turns of the event loop between the last part and giving up: in the first of them a reply is
read that has arrived while this process did other work."""


class Patience:
    """Time for several waits in all."""

    def __init__(self, seconds: float) -> None:
        self._tick_s = seconds / TICKS
        self._left = TICKS
        self._loop = asyncio.get_running_loop()
        self._limit = asyncio.timeout(None)
        self._handle: asyncio.Handle | None = None

    @property
    def over(self) -> bool:
        """Whether most of the time has been used."""
        return self._left <= 1

    @property
    def left_s(self) -> float:
        """How long the next wait may take."""
        return self._left * self._tick_s

    async def wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of the work, if it comes in time.

        Work that is late goes on, and nobody looks at its result: to break it off would break its
        connection too, and the next to come would lose their time with making new ones.

        Raises:
            TimeoutError: it is late.
        """
        task = asyncio.ensure_future(work)
        async with asyncio.timeout(None) as self._limit:
            self._handle = self._loop.call_later(self._tick_s, self._tick)
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                task.add_done_callback(_look_away)
                raise
            finally:
                self._handle.cancel()

    def _tick(self) -> None:
        if self._left > 1:
            self._left -= 1
            self._handle = self._loop.call_later(self._tick_s, self._tick)
        else:
            self._end(TURNS)

    def _end(self, turns: int) -> None:
        if turns:
            self._handle = self._loop.call_soon(self._end, turns - 1)
        else:
            self._limit.reschedule(self._loop.time())


def _look_away(task: asyncio.Task[Any]) -> None:
    """An error of work that nobody waits for is no news: the wait has told already."""
    if not task.cancelled():
        task.exception()
