"""A budget that many replicas spend and none exceeds.

Each replica leases small slices of what the plan has free, reserves cents of them without asking
anybody, and gives back what it does not need. A background task renews, fetches and counts leases,
and moves the price (``pacing``). What Redis does is in ``lease_scripts``.

A replica that dies takes its leases along until their deadline and a margin have passed; then any
other counts what was committed against them and frees the rest. The margin is for the clocks of the
nodes of a cluster: a commit is refused by the clock of its user's node.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from envs.catalogue import Catalogue
from envs.rules import reserve_cents
from serving.connect import Client
from serving.keys import Space
from serving.lease_scripts import CLOSE, CORRECT, TAKE_BACK, TEND
from serving.leases import NO_DEADLINE_US, Lease, Leases, Reservation
from serving.pacing import (
    DAY_S,
    STEP,
    Pace,
    Period,
    next_pace,
    period_at,
    plan_weights,
    planned_share,
    step_s,
)
from serving.security import BUCKETS
from serving.settings import Settings

__all__ = ["Budget", "Reservation", "Timing"]

logger = logging.getLogger(__name__)

ANSWER_WITHIN_US: Final = 5_000_000
"""A call that reaches Redis later than this does nothing."""
SHORTEST_S: Final = 0.02
"""Least time between two ticks."""
SLICES: Final = 200
"""Slices that a replica's part of the budget is cut into."""
LARGEST_ASK: Final = 10
"""Slices that one lease has at most."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things take, in seconds."""

    lease_s: float = 10.0
    """A lease that is not renewed."""
    margin_s: float = 3.0
    """After a deadline, until others count the lease: by how much clocks may differ."""
    guard_s: float = 0.5
    """Before a deadline, in which nothing is reserved any more."""
    idle_s: float = 2.0
    """A lease may be idle while others find nothing free."""
    tick_s: float = 0.25
    """Between two looks at Redis."""


class Budget:
    """The budget as one replica sees it."""

    def __init__(
        self,
        catalogue: Catalogue,
        settings: Settings,
        redis: Client,
        space: Space,
        timing: Timing | None = None,
    ) -> None:
        self.cents = settings.budget_cents
        self.price = 0.0
        self._redis, self._space, self._timing = redis, space, timing or Timing()
        self._period_s, self._zone = settings.budget_period_s, settings.time_zone
        self._weights = plan_weights(settings.budget_plan)
        self._replicas = settings.replicas
        self._dearest = max(math.ceil(reserve_cents(catalogue).max()), 1)
        self._slice = self._slice_cents()
        self._leases = Leases(self._timing.guard_s)
        self._clock_s = time.time() - time.monotonic()  # until Redis tells its own
        self._clock_known = False
        self._period: Period | None = None
        self._unfinished: dict[int, Period] = {}
        self._wish: str = ""
        self._demand = 0
        self._asked_s = -math.inf
        self._short = False
        self._taken_back: dict[int, set[str]] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._outage = False
        self._stopping = False

    def _slice_cents(self) -> int:
        """Small, so that little lies idle; large enough for some of the dearest action."""
        part = self.cents // max(self._replicas, 1)
        several = max(part // SLICES, min(3 * self._dearest, part // 20))
        slice_cents: int = max(min(max(self._dearest, several), self.cents), 1)
        return slice_cents

    # What the decision path calls, at once.

    def left_cents(self) -> float:
        """The dearest action that this replica may choose now; inf without a budget."""
        if not self.cents:
            return math.inf
        self._asked_s = time.monotonic()
        left = self._leases.left()
        self._hurry(left)
        return float(left)

    def reserve(self, cents: int) -> Reservation | None:
        """Set cents aside for a decision; None when there are not so many left."""
        if not self.cents or cents <= 0:
            return Reservation("", 0, cents, NO_DEADLINE_US)
        self._demand += cents
        reservation = self._leases.reserve(cents)
        self._hurry(self._leases.left())
        return reservation

    def _hurry(self, left: int) -> None:
        """Let the background task fetch a lease now, where one can be had."""
        if left < self._dearest and not self._short and not self._outage:
            self._wake.set()

    def spent(self, reservation: Reservation) -> None:
        """The decision was committed."""
        self._leases.resolve(reservation, spent=True)

    def unspent(self, reservation: Reservation) -> None:
        """The decision was surely not committed: others may have the cents."""
        self._leases.resolve(reservation, spent=False)

    def unknown(self, reservation: Reservation) -> None:
        """Redis did not answer: the lease is counted once nothing more can come."""
        self._leases.resolve(reservation, spent=None)

    async def release(self, period: int, lease: str, cents: int) -> None:
        """A deferred decision lapsed, and its cents were taken back in its bucket before this call.

        The next tick, or ``stop``, lets the budget know. Safe to call again.
        """
        if self.cents and lease and cents > 0:
            self._taken_back.setdefault(period, set()).add(lease)

    # The background task.

    async def start(self) -> None:
        """Fetch the first lease and go on in the background; does nothing without a budget."""
        if self.cents and self._task is None:
            self._stopping = False
            await self._tick_or_log()
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Give back what is not used."""
        if self._task is None:
            return
        await self._end()
        self._leases.retire_all()
        due = []
        if self._wish and self._period:  # nobody knows whether it was granted
            due.append((self._period, [(self._wish, 0)]))
        try:
            await self._correct()
            await self._count(due)
            await self._count([])  # those whose spend was changed meanwhile
        except Exception as error:
            logger.warning("budget: leases are left to their deadlines: %s", _named(error))

    async def _end(self) -> None:
        """End the background task after its tick: a cancelled call may get lost in the client."""
        if self._task is not None:
            self._stopping = True
            self._wake.set()
            await self._task
            self._task = None

    async def state(self) -> dict[str, float]:
        """The budget of all replicas, for metrics. One round trip, none without a budget."""
        period, found = self._current(), [b""] * 3
        if self.cents:
            names = ("settled", "open", "price")
            found = await self._redis.hmget(self._space.budget(period.number), names)
        settled, leased, price = (float(value or 0) for value in found)
        return {
            "period": period.number,
            "budget_cents": self.cents,
            "settled_cents": settled,
            "open_cents": leased,
            "plan_cents": self._planned(period),
            "price": price,
        }

    async def _run(self) -> None:
        while not self._stopping:
            await self._pause()
            await self._tick_or_log()

    async def _pause(self) -> None:
        """Wait for the next tick, for the next period, or until somebody needs cents."""
        await asyncio.sleep(SHORTEST_S)
        wait_s = min(self._timing.tick_s, self._current().end_s - self._now() + SHORTEST_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s - SHORTEST_S):
                await self._wake.wait()
        self._wake.clear()

    async def _tick_or_log(self) -> None:
        """One tick; whatever fails, the next one starts anew: without a task nothing is spent."""
        try:
            await self._tick()
        except Exception as error:
            if not self._outage:
                logger.warning("budget: leases cannot be renewed: %s", _named(error))
            self._outage = True
        else:
            if self._outage:
                logger.warning("budget: leases are renewed again")
            self._outage = False

    async def _tick(self) -> None:
        if not self._clock_known:
            await self._learn_clock()
        period = self._turn()
        idle_s = self._timing.idle_s if self._short else math.inf
        self._leases.retire(period, idle_s)
        due = [(period, await self._tend(period))]
        for old in list(self._unfinished.values()):
            due.append((old, await self._finish(old)))
        await self._count(due)
        await self._correct()

    def _turn(self) -> Period:
        """The period that is now; the one before has to be finished."""
        period = self._current()
        if self._period is None or period.number != self._period.number:
            before = self._period or self._at(period.start_s - 0.001)
            self._unfinished[before.number] = before
            self._period, self._short, self._wish = period, False, ""
        return period

    async def _learn_clock(self) -> None:
        sent_s = time.monotonic()
        reply = await self._send(self._current(), until_us=0)
        self._take_clock(reply, sent_s)
        self._clock_known = True

    async def _tend(self, period: Period) -> list[tuple[str, int]]:
        """Renew the leases, fetch one if needed, step the price. What is due to be counted."""
        held, wish = [each for each in self._leases.usable()], self._wished()
        demand, sent_s = self._demand, time.monotonic()
        cents = min(max(self._slice, 2 * demand), LARGEST_ASK * self._slice)
        reply = await self._send(period, held=held, wish=wish, cents=cents)
        self._take_clock(reply, sent_s)
        if len(reply) == 1:
            return []
        self._demand -= demand
        now_us, settled, leased, used = reply[:4]
        for lease, until_us in zip(held, reply[9], strict=True):
            lease.until_us, lease.ends_s = until_us, sent_s + (until_us - now_us) / 1e6
        granted, until_us = reply[7:9]
        if wish and granted:
            ends_s = sent_s + (until_us - now_us) / 1e6
            self._leases.all[wish] = Lease(wish, period, granted, until_us, ends_s)
        self._wish = ""
        self._short = self._limit(period) - settled - leased < self._slice
        await self._step(period, settled + used, reply)
        return _pairs(reply[10])

    def _wished(self) -> str:
        """Id of the lease that is asked for; the same until Redis has answered."""
        idle = time.monotonic() - self._asked_s > self._timing.idle_s
        usable = self._leases.usable()
        left = max((lease.left for lease in usable), default=0)
        enough = left >= self._dearest and sum(each.left for each in usable) >= self._demand
        if self._wish:
            return self._wish
        if not enough and not (self._short and idle):
            self._wish = secrets.token_hex(8)
        return self._wish

    async def _finish(self, old: Period) -> list[tuple[str, int]]:
        """Leases of a period that is over, once they are due."""
        reply = await self._send(old)
        if len(reply) == 1:
            return []
        if not reply[11]:
            del self._unfinished[old.number]
        return _pairs(reply[10])

    async def _send(
        self,
        period: Period,
        until_us: int | None = None,
        held: Sequence[Lease] = (),
        wish: str = "",
        cents: int = 0,
    ) -> list[Any]:
        if until_us is None:
            until_us = round(self._now() * 1e6) + ANSWER_WITHIN_US
        before = self._at(period.start_s - 0.001)
        number = period.number
        keys = [self._space.budget(number), _open(self._space.budget(number))]
        keys.append(self._space.budget(before.number))
        timing = self._timing
        arguments: list[Any] = [
            *(until_us, round(period.start_s * 1e6), round(period.end_s * 1e6)),
            *(round(timing.lease_s * 1e6), round(timing.margin_s * 1e6)),
            math.ceil(period.end_s + self._period_s + DAY_S),
            *(self.cents, self._limit(period), self._dearest, 2 * max(self._replicas, 1)),
            *(self._slice, wish, cents),
        ]
        for lease in held:
            arguments += [lease.identity, lease.granted, lease.used]
        reply: list[Any] = await TEND.call(self._redis, keys, *arguments)
        return reply

    async def _step(self, period: Period, spent: int, reply: Sequence[Any]) -> None:
        """Follow the price, or move it if it is time to."""
        now_us, stepped_us = reply[0], int(reply[6])
        pace = Pace(float(reply[4]), float(reply[5]))
        if now_us - stepped_us >= step_s(self._period_s, self._timing.tick_s) * 1e6:
            error = (spent - self._planned(period)) / self.cents
            length_us = (period.end_s - period.start_s) * 1e6
            passed = (now_us - stepped_us) / length_us if stepped_us else 0.0
            pace = next_pace(pace, error, passed)
            arguments = (reply[6], now_us, repr(pace.price), repr(pace.carried))
            await STEP.call(self._redis, [self._space.budget(period.number)], *arguments)
        self.price = pace.price

    async def _count(self, due: Sequence[tuple[Period, Sequence[tuple[str, int]]]]) -> None:
        """Close leases against which nothing can be committed any more."""
        closing: dict[int, dict[str, int]] = {}
        for period, leases in due:
            closing.setdefault(period.number, {}).update(leases)
        for lease in self._leases.all.values():
            if lease.countable:
                closing.setdefault(lease.period.number, {})[lease.identity] = lease.changes
        for number, changes in closing.items():
            if changes:
                await self._close(number, changes)
        self._leases.forget(self._timing.margin_s)

    async def _close(self, number: int, changes: dict[str, int]) -> None:
        spends = await self._spends(number, list(changes))
        arguments: list[Any] = []
        for (identity, known), spend in zip(changes.items(), spends, strict=True):
            arguments += [identity, known, spend]
        budget = self._space.budget(number)
        again = dict(_pairs(await CLOSE.call(self._redis, [budget, _open(budget)], *arguments)))
        for identity in changes:
            if identity not in again:
                self._leases.all.pop(identity, None)
            elif identity in self._leases.all:
                self._leases.all[identity].changes = again[identity]

    async def _correct(self) -> None:
        """Lower what closed leases have spent by what was taken back since."""
        while self._taken_back:
            number, identities = next(iter(self._taken_back.items()))
            budget, told = [self._space.budget(number)], list(identities)
            closed = [each.decode() for each in await TAKE_BACK.call(self._redis, budget, *told)]
            if closed:
                spends = await self._spends(number, closed)
                pairs = [each for pair in zip(closed, spends, strict=True) for each in pair]
                await CORRECT.call(self._redis, budget, *pairs)
            identities.difference_update(told)
            if not identities:
                del self._taken_back[number]

    async def _spends(self, number: int, identities: list[str]) -> list[int]:
        """Cents committed against leases, over all buckets. One round trip a node."""
        pipeline = self._redis.pipeline(transaction=False)
        for bucket in range(BUCKETS):
            pipeline.hmget(self._space.spent(bucket, number), identities)
        rows = await pipeline.execute()
        return [
            max(sum(int(value or 0) for value in column), 0) for column in zip(*rows, strict=True)
        ]

    # The clock and the plan.

    def _now(self) -> float:
        return self._clock_s + time.monotonic()

    def _take_clock(self, reply: Sequence[Any], sent_s: float) -> None:
        self._clock_s = reply[0] / 1e6 - (sent_s + time.monotonic()) / 2

    def _at(self, clock_s: float) -> Period:
        return period_at(clock_s, self._period_s, self._zone)

    def _current(self) -> Period:
        return self._at(self._now())

    def _planned(self, period: Period) -> float:
        return self.cents * planned_share(period, self._now(), self._weights, self._zone)

    def _limit(self, period: Period) -> int:
        """Cents that may be granted by now: the plan, and slices for everybody to start with."""
        ahead = 2 * max(self._replicas, 1) * self._slice
        return min(int(self._planned(period)) + ahead, self.cents)


def _open(budget: str) -> str:
    return f"{budget}:open"


def _pairs(flat: Sequence[Any]) -> list[tuple[str, int]]:
    return [
        (name.decode(), int(number)) for name, number in zip(flat[::2], flat[1::2], strict=True)
    ]


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
