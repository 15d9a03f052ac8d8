"""Deciding for several users at once: read them, decide, commit; what lost a race is tried anew."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

from envs.catalogue import SILENCE, Catalogue
from serving.budgets.budget import Budget
from serving.decisions.asking import Asking
from serving.decisions.patience import Patience
from serving.decisions.proposals import Proposer
from serving.decisions.rounds import Asked, Proposal
from serving.people.people import People
from serving.store.records import UserRecord
from serving.store.state import Late, Reading, Store, Written
from serving.watching.metrics import Metrics

TRIES: Final = 6
"""How often decisions are taken anew because the users changed meanwhile."""
MORE_TIME_FOR: Final = 50
"""Requests decided together for which Redis has the time of one more."""
MOST_LINKS: Final = 100_000

Waiting = dict[int, Asked]
"""Requests without an answer, by number."""
Deliver = Callable[[int, bytes], None]
"""Takes the answer to a request as soon as there is one."""


class Deciding:
    """Decides for the users of one catalogue."""

    def __init__(
        self,
        catalogue: Catalogue,
        store: Store,
        metrics: Metrics,
        budget: Budget,
        people: People,
        asking: Asking,
        proposer: Proposer,
        patience_s: float,
    ) -> None:
        self._catalogue = catalogue
        self._patience_s = patience_s
        self._store = store
        self._metrics = metrics
        self._budget = budget
        self._people = people
        self._asking = asking
        self._proposer = proposer
        self._links: dict[str, str] = {}
        """Persons behind identities, as they were last seen."""

    async def decide(self, waiting: Waiting, deliver: Deliver) -> None:
        """Decide for as many as there is time for; the others are left waiting.

        Raises:
            RedisError, OSError: Redis does not answer, or not in time.
            Contended: others change the links of a user all the time.
        """
        patience_s = self._patience_s * (1 + len(waiting) // MORE_TIME_FOR)
        patience, tries = Patience(patience_s), TRIES
        while waiting and tries and not patience.over:
            before = len(waiting)
            for number, asked in waiting.items():
                if asked.user == asked.identity and asked.identity in self._links:
                    waiting[number] = self._asking.of(asked, self._links[asked.identity])
            await self._round(waiting, deliver, patience)
            if len(waiting) == before:
                tries -= 1
            else:  # somebody got on: the others have not been waiting in vain
                patience, tries = Patience(patience_s), TRIES

    async def _round(self, waiting: Waiting, deliver: Deliver, patience: Patience) -> None:
        """Decide for each user that waits, once."""
        numbers = list(_first_of_each_user(waiting))
        readings = await self._read(waiting, numbers, patience)
        fresh = [
            (number, reading)
            for number, reading in zip(numbers, readings, strict=True)
            if reading is not None
            and not await self._settled(number, reading, waiting, deliver, patience)
        ]
        if not fresh:
            return
        users = self._store.unpacked([reading.user for _, reading in fresh])
        asked = [waiting[number] for number, _ in fresh]
        found = self._proposer.propose(asked, [reading for _, reading in fresh], users)
        proposed = [
            (number, proposal, reading)
            for (number, reading), proposal in zip(fresh, found, strict=True)
            if proposal is not None
        ]
        written = await self._commit([each[1:] for each in proposed], patience)
        taken = []
        for (number, proposal, _), result in zip(proposed, written, strict=True):
            self._settle(proposal, result)
            if result is True:
                taken.append(proposal)
                result = proposal.commit.answer
            if isinstance(result, bytes):
                deliver(number, result)
                del waiting[number]
        self._count(taken, written)
        for result in written:
            if isinstance(result, Exception):
                raise result

    async def _read(
        self, waiting: Waiting, numbers: Sequence[int], patience: Patience
    ) -> list[Reading | None]:
        """What Redis holds of the users; None where an identity leads elsewhere by now."""
        asked = [waiting[number] for number in numbers]
        read = self._store.read([(each.user, each.decision_id) for each in asked])
        linked = [each for each in asked if each.user != each.identity]
        if not linked:
            return list(await patience.wait(read))
        identities = self._store.read_users([each.identity for each in linked])
        readings, records = await patience.wait(_both(read, identities))
        found: list[Reading | None] = list(readings)
        persons = dict(zip((each.identity for each in linked), records, strict=True))
        for place, each in enumerate(asked):
            if each.user == each.identity:
                continue
            record = persons[each.identity]
            if record.person == each.user:
                await patience.wait(self._people.finish(each.identity, record))  # keeps it
            else:
                self._links.pop(each.identity, None)
                found[place] = None
                waiting[numbers[place]] = self._asking.of(each, each.identity)
        return found

    async def _settled(
        self,
        number: int,
        reading: Reading,
        waiting: Waiting,
        deliver: Deliver,
        patience: Patience,
    ) -> bool:
        """Whether nothing is left to decide in this round: answered before, or somebody else."""
        if reading.answer is not None:
            self._metrics.repeated.inc()
            deliver(number, reading.answer)
            del waiting[number]
            return True
        if reading.user.person is None:
            return False
        asked = waiting[number]
        person = await patience.wait(self._people.finish(asked.user, reading.user))
        if len(self._links) >= MOST_LINKS:
            self._links.clear()
        self._links[asked.identity] = person
        waiting[number] = self._asking.of(asked, person)
        return True

    async def _commit(
        self, proposed: Sequence[tuple[Proposal, Reading]], patience: Patience
    ) -> list[Written]:
        until_s = time.monotonic() + patience.left_s
        limits = [_until(proposal, reading, until_s) for proposal, reading in proposed]
        commits = [proposal.commit for proposal, _ in proposed]
        if not commits:
            return []
        try:
            return await patience.wait(self._store.commit(commits, limits))
        except BaseException:
            for proposal, _ in proposed:
                if proposal.reservation is not None:
                    self._budget.unknown(proposal.reservation)
            raise

    def _settle(self, proposal: Proposal, result: Written) -> None:
        """Tell the budget what became of its reservation."""
        reservation = proposal.reservation
        if reservation is None:
            return
        if result is True or result == proposal.commit.answer:  # sent twice, written once
            self._budget.spent(reservation)
        elif isinstance(result, Exception) and not isinstance(result, Late):
            self._budget.unknown(reservation)
        else:
            self._budget.unspent(reservation)

    def _count(self, taken: Sequence[Proposal], written: Sequence[Written]) -> None:
        """Count what was written, and what was not."""
        kinds: Counter[tuple[int, int, str, str]] = Counter()
        refused: Counter[str] = Counter()
        for each in taken:
            kinds[each.asked.scene, each.action, each.policy, each.arm] += 1
            refused.update(each.refused)
            if each.asked.deferred:
                self._metrics.count_deferral("deferred")
            if each.degraded:
                self._metrics.count_degraded("policy")
        for (scene, number, policy, arm), count in kinds.items():
            action = self._catalogue.actions[number]
            channel = self._catalogue.channels[action.channel].name if number else SILENCE
            name = self._catalogue.scenes[scene].name
            self._metrics.count_decisions(name, channel, policy, arm, count)
        self._metrics.count_refusals(refused, sum(each.commit.cents for each in taken))
        lost = sum(result is False for result in written)
        known = sum(isinstance(result, bytes) for result in written)
        if lost:
            self._metrics.races.inc(lost)
        if known:
            self._metrics.repeated.inc(known)


def _first_of_each_user(waiting: Waiting) -> Iterator[int]:
    """Numbers of the requests that can be decided side by side."""
    seen: set[str] = set()
    for number, asked in waiting.items():
        if asked.user not in seen:
            seen.add(asked.user)
            yield number


async def _both(
    first: Awaitable[list[Reading]], second: Awaitable[list[UserRecord]]
) -> tuple[list[Reading], list[UserRecord]]:
    return await asyncio.gather(first, second)


def _until(proposal: Proposal, reading: Reading, until_s: float) -> float:
    """Redis's clock when the caller no longer waits, or the budget's lease is over."""
    limit_s = reading.clock_s + until_s
    if proposal.reservation is not None and proposal.reservation.lease:
        limit_s = min(limit_s, proposal.reservation.until_us / 1e6)
    return limit_s
