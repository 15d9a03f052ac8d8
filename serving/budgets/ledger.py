"""The budget of every period as Redis keeps it: what is asked of it, and what it answers.

What Redis does is in ``lease_scripts``; every call here may be made twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from serving.budgets.lease_scripts import CLOSE, CORRECT, TAKE_BACK, TEND
from serving.budgets.leases import Lease
from serving.budgets.pacing import STEP, Pace, Period
from serving.security import BUCKETS
from serving.store.connect import Client
from serving.store.keys import Space

IN_STATE: Final = ("settled", "open", "price")


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for every lease."""

    cents: int
    """The budget."""
    dearest: int
    """Cents that the dearest action reserves."""
    slice_cents: int
    """What one lease is granted at least, where there is so much."""
    parts: int
    """Parts of what is free, of which a larger grant may take one."""
    lease_s: float
    margin_s: float
    keep_s: float
    """How long a period is remembered after its end."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A lease that is asked for."""

    identity: str
    """Chosen by who asks, and the same until Redis has answered."""
    cents: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How a period stands. Times are microseconds of Redis's clock."""

    now_us: int
    late: bool = False
    """Nobody waited for it any more: nothing was done, and only the time is known."""
    settled: int = 0
    open: int = 0
    used: int = 0
    pace: Pace = field(default_factory=Pace)
    stepped_us: int = 0
    granted: int = 0
    """Cents of the lease that was asked for; 0 when there was none to be had."""
    until_us: int = 0
    """Its deadline."""
    kept: tuple[int, ...] = ()
    """Deadlines of the leases that are held; 0 for one that is closed."""
    due: dict[str, int] = field(default_factory=dict)
    """Leases that anybody may count, and how often their spend was changed from outside."""
    leases: int = 0
    """How many are open."""


class Ledger:
    """The budgets of one business in Redis."""

    def __init__(self, redis: Client, space: Space, terms: Terms) -> None:
        self._redis, self._space, self._terms = redis, space, terms

    async def tend(
        self,
        period: Period,
        before: int,
        wait_until_us: int,
        limit: int = 0,
        held: Sequence[Lease] = (),
        wish: Wish | None = None,
    ) -> Standing:
        """Renew leases, grant another, and tell how the period stands.

        Args:
            period: whose budget it is.
            before: number of the period before, whose price is carried over.
            wait_until_us: when the caller gives up.
            limit: cents that may be granted in all by now.
            held: leases that the caller holds.
            wish: another lease.
        """
        terms, budget = self._terms, self._space.budget(period.number)
        arguments: list[Any] = [
            *(wait_until_us, _us(period.start_s), _us(period.end_s)),
            *(_us(terms.lease_s), _us(terms.margin_s), round(period.end_s + terms.keep_s)),
            *(terms.cents, limit, terms.dearest, terms.parts, terms.slice_cents),
            *((wish.identity, wish.cents) if wish else ("", 0)),
        ]
        for lease in held:
            arguments += [lease.identity, lease.granted, lease.used]
        keys = [budget, _open(budget), self._space.budget(before)]
        return _standing(await TEND.call(self._redis, keys, *arguments))

    async def step(self, number: int, seen: Standing, pace: Pace) -> None:
        """Move the price, unless another replica has moved it since."""
        arguments = (seen.stepped_us, seen.now_us, repr(pace.price), repr(pace.carried))
        await STEP.call(self._redis, [self._space.budget(number)], *arguments)

    async def close(self, number: int, changes: dict[str, int]) -> dict[str, int]:
        """Count leases against which nothing can be committed any more.

        Args:
            number: of their period.
            changes: of each lease how often its spend was changed, as far as known.

        Returns:
            Those that were changed meanwhile, and are still open.
        """
        spends, arguments = await self._spends(number, list(changes)), list[Any]()
        for (identity, known), spend in zip(changes.items(), spends, strict=True):
            arguments += [identity, known, spend]
        budget = self._space.budget(number)
        return _pairs(await CLOSE.call(self._redis, [budget, _open(budget)], *arguments))

    async def correct(self, number: int, identities: Sequence[str]) -> None:
        """Lower what leases have spent by what was taken back in the buckets before."""
        budget = [self._space.budget(number)]
        closed = [each.decode() for each in await TAKE_BACK.call(self._redis, budget, *identities)]
        if closed:
            spends = await self._spends(number, closed)
            pairs = [each for pair in zip(closed, spends, strict=True) for each in pair]
            await CORRECT.call(self._redis, budget, *pairs)

    async def state(self, number: int) -> tuple[float, ...]:
        """Cents settled, cents of open leases, and the price."""
        found = await self._redis.hmget(self._space.budget(number), IN_STATE)
        return tuple(float(value or 0) for value in found)

    async def _spends(self, number: int, identities: list[str]) -> list[int]:
        """Cents committed against leases, over all buckets. One round trip a node."""
        pipeline = self._redis.pipeline(transaction=False)
        for bucket in range(BUCKETS):
            pipeline.hmget(self._space.spent(bucket, number), identities)
        rows = await pipeline.execute()
        return [
            max(sum(int(value or 0) for value in column), 0) for column in zip(*rows, strict=True)
        ]


def _standing(reply: Sequence[Any]) -> Standing:
    if len(reply) == 1:
        return Standing(reply[0], late=True)
    now_us, settled, leased, used, price, carried, stepped, granted, until_us = reply[:9]
    pace = Pace(float(price), float(carried))
    kept, due = tuple(reply[9]), _pairs(reply[10])
    return Standing(
        *(now_us, False, settled, leased, used, pace, int(stepped)),
        *(granted, until_us, kept, due, reply[11]),
    )


def _open(budget: str) -> str:
    return f"{budget}:open"


def _us(seconds: float) -> int:
    return round(seconds * 1e6)


def _pairs(flat: Sequence[Any]) -> dict[str, int]:
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return {name.decode(): int(number) for name, number in pairs}
