"""A budget that many replicas spend and none exceeds.

Each replica leases small slices of what the plan has free, reserves cents of them without asking
anybody, and gives back what it does not need. A background task renews, fetches and counts leases,
and moves the price (``pacing``). What Redis keeps of it is in ``ledger``.

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
from typing import Final

from envs.catalogue import Catalogue
from envs.rules import reserve_cents
from serving.budgets.leases import NO_DEADLINE_US, Lease, Leases, Reservation
from serving.budgets.ledger import Ledger, Standing, Terms, Wish
from serving.budgets.pacing import (
    DAY_S,
    Period,
    next_pace,
    period_at,
    plan_weights,
    planned_share,
    step_s,
)
from serving.settings import Settings
from serving.store.connect import Client
from serving.store.keys import Space

__all__ = ["Budget", "Reservation", "Timing"]

logger = logging.getLogger(__name__)

ANSWER_WITHIN_S: Final = 5.0
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
        self._timing = timing or Timing()
        self._period_s, self._zone = settings.budget_period_s, settings.time_zone
        self._weights = plan_weights(settings.budget_plan)
        self._replicas = max(settings.replicas, 1)
        self._dearest = max(math.ceil(reserve_cents(catalogue).max()), 1)
        self._slice = self._slice_cents()
        keep_s = self._period_s + DAY_S
        terms = Terms(
            *(self.cents, self._dearest, self._slice, 2 * self._replicas),
            *(self._timing.lease_s, self._timing.margin_s, keep_s),
        )
        self._ledger = Ledger(redis, space, terms)
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
        part = self.cents // self._replicas
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
        """The decision was surely not committed: others may have the cents.

        A commit is sent twice when a connection breaks. One that finds its own answer stored was
        written by its first sending: that is ``spent``.
        """
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
        due: dict[int, dict[str, int]] = {}
        if self._wish and self._period:  # nobody knows whether it was granted
            due[self._period.number] = {self._wish: 0}
        try:
            await self._correct()
            await self._count(due)
            await self._count({})  # those whose spend was changed meanwhile
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
        period, settled, leased, price = self._current(), 0.0, 0.0, 0.0
        if self.cents:
            settled, leased, price = await self._ledger.state(period.number)
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
            await self._send(self._current(), wait_s=-DAY_S)  # tells the time, and does nothing
            self._clock_known = True
        period = self._turn()
        self._leases.retire(period, self._timing.idle_s if self._short else math.inf)
        due = {period.number: await self._tend(period)}
        for old in list(self._unfinished.values()):
            standing = await self._send(old)
            due[old.number] = standing.due
            if not standing.late and not standing.leases:
                del self._unfinished[old.number]
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

    async def _tend(self, period: Period) -> dict[str, int]:
        """Renew the leases, fetch one if needed, step the price. What is due to be counted."""
        held, demand, sent_s = self._leases.usable(), self._demand, time.monotonic()
        wish = self._wished(held)
        standing = await self._send(period, held, wish)
        if standing.late:
            return {}
        self._demand -= demand

        def here(until_us: int) -> float:  # a deadline on our clock, or sooner
            return sent_s + (until_us - standing.now_us) / 1e6

        for lease, until_us in zip(held, standing.kept, strict=True):
            lease.until_us, lease.ends_s = until_us, here(until_us)
        if wish and standing.granted:
            lease = Lease(
                *(wish.identity, period, standing.granted),
                *(standing.until_us, here(standing.until_us)),
            )
            self._leases.all[wish.identity] = lease
        self._wish = ""
        self._short = self._limit(period) - standing.settled - standing.open < self._slice
        await self._step(period, standing)
        return standing.due

    def _wished(self, usable: list[Lease]) -> Wish | None:
        """The lease that is asked for."""
        idle = time.monotonic() - self._asked_s > self._timing.idle_s
        left = max((lease.left for lease in usable), default=0)
        enough = left >= self._dearest and sum(each.left for each in usable) >= self._demand
        if not self._wish and (enough or (self._short and idle)):
            return None
        self._wish = self._wish or secrets.token_hex(8)
        cents = min(max(self._slice, 2 * self._demand), LARGEST_ASK * self._slice)
        return Wish(self._wish, cents)

    async def _send(
        self,
        period: Period,
        held: Sequence[Lease] = (),
        wish: Wish | None = None,
        wait_s: float = ANSWER_WITHIN_S,
    ) -> Standing:
        """One call of the ledger, which also tells Redis's clock."""
        sent_s = time.monotonic()
        wait_until_us = round((self._now() + wait_s) * 1e6)
        before, limit = self._at(period.start_s - 0.001), self._limit(period)
        standing = await self._ledger.tend(period, before.number, wait_until_us, limit, held, wish)
        self._clock_s = standing.now_us / 1e6 - (sent_s + time.monotonic()) / 2
        return standing

    async def _step(self, period: Period, standing: Standing) -> None:
        """Follow the price, or move it if it is time to."""
        pace, since_us = standing.pace, standing.now_us - standing.stepped_us
        if since_us >= step_s(self._period_s, self._timing.tick_s) * 1e6:
            error = (standing.settled + standing.used - self._planned(period)) / self.cents
            length_us = (period.end_s - period.start_s) * 1e6
            pace = next_pace(pace, error, since_us / length_us if standing.stepped_us else 0.0)
            await self._ledger.step(period.number, standing, pace)
        self.price = pace.price

    async def _count(self, due: dict[int, dict[str, int]]) -> None:
        """Close leases against which nothing can be committed any more."""
        closing = {number: dict(leases) for number, leases in due.items()}
        for lease in self._leases.all.values():
            if lease.countable:
                closing.setdefault(lease.period.number, {})[lease.identity] = lease.changes
        for number, changes in closing.items():
            if changes:
                again = await self._ledger.close(number, changes)
                self._leases.close(changes, again)
        self._leases.forget(self._timing.margin_s)

    async def _correct(self) -> None:
        """Let the ledger know of decisions that have lapsed."""
        for number in list(self._taken_back):
            identities = list(self._taken_back[number])
            await self._ledger.correct(number, identities)
            self._taken_back[number].difference_update(identities)
            if not self._taken_back[number]:
                del self._taken_back[number]

    # The clock and the plan.

    def _now(self) -> float:
        return self._clock_s + time.monotonic()

    def _at(self, clock_s: float) -> Period:
        return period_at(clock_s, self._period_s, self._zone)

    def _current(self) -> Period:
        return self._at(self._now())

    def _planned(self, period: Period) -> float:
        return self.cents * planned_share(period, self._now(), self._weights, self._zone)

    def _limit(self, period: Period) -> int:
        """Cents that may be granted by now: the plan, and slices for everybody to start with."""
        ahead = 2 * self._replicas * self._slice
        return min(int(self._planned(period)) + ahead, self.cents)


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
