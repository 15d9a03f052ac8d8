"""The call that decides: read the users, decide, commit; and the safe answer when that fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from envs.catalogue import SILENCE, Catalogue
from serving.budgets.budget import Budget
from serving.decisions.answers import silence
from serving.decisions.asking import Asking
from serving.decisions.patience import Patience
from serving.decisions.proposals import Proposer
from serving.decisions.rounds import Asked, Proposal
from serving.people.people import Contended, People
from serving.policies.policies import Policies
from serving.settings import Settings
from serving.store.connect import GONE
from serving.store.records import UserRecord
from serving.store.state import DecisionCommit, Late, Reading, Store, Written
from serving.watching.breaker import Breaker
from serving.watching.logs import Outages
from serving.watching.metrics import Metrics
from serving.words.bodies import OfferRequest

TRIES: Final = 6
"""How often decisions are taken anew because the users changed meanwhile."""
AT_ONCE: Final = 250
"""Requests of a batch that are decided together; other callers get their turn in between."""
MORE_TIME_FOR: Final = 50
"""Requests of a batch for which Redis has the time of one more."""
MOST_LINKS: Final = 100_000

Waiting = dict[int, Asked]
"""Requests without an answer, by number."""


class Offers:
    """Decides for the users of one catalogue."""

    def __init__(
        self,
        catalogue: Catalogue,
        settings: Settings,
        store: Store,
        metrics: Metrics,
        policies: Policies,
        budget: Budget,
        people: People,
        breaker: Breaker,
    ) -> None:
        self._catalogue = catalogue
        self._patience_s = settings.redis_timeout_ms / 1000
        self._store = store
        self._metrics = metrics
        self._policies = policies
        self._budget = budget
        self._people = people
        self._breaker = breaker
        self._outages = Outages()
        self._asking = Asking(catalogue, settings)
        self._proposer = Proposer(catalogue, policies, budget, settings.time_zone)
        self._links: dict[str, str] = {}
        """Persons behind identities, as they were last seen."""

    async def answer(self, body: OfferRequest) -> bytes:
        """The answer to a request as JSON; the same bytes whenever the request is repeated.

        Raises:
            Failure: the request names what the catalogue does not know.
        """
        answers = await self._answers({0: self._asking.understand(body)})
        return answers[0]

    async def decide(self, asked: Asked) -> bytes:
        """The answer to a request that was understood elsewhere."""
        return (await self._answers({0: asked}))[0]

    async def answer_many(self, bodies: Sequence[OfferRequest]) -> list[bytes]:
        """The answers to many requests, as if they had come one after another.

        Raises:
            Failure: one of them names what the catalogue does not know; nothing is decided then.
        """
        asked = [
            self._asking.understand(body, f"offers.{number}.") for number, body in enumerate(bodies)
        ]
        answers: dict[int, bytes] = {}
        for start in range(0, len(asked), AT_ONCE):
            part = dict(enumerate(asked[start : start + AT_ONCE], start))
            answers |= await self._answers(part)
            await asyncio.sleep(0)
        return [answers[number] for number in range(len(asked))]

    async def _answers(self, waiting: Waiting) -> dict[int, bytes]:
        answers: dict[int, bytes] = {}
        reason, error = await self._decide(waiting, answers)
        if not waiting:
            self._outages.passed()
        for number, asked in waiting.items():
            decider, arm = self._policies.of(asked.user)
            self._metrics.count_degraded(reason)
            self._outages.failed(reason, asked.decision_id, decider.policy_name, error)
            answers[number] = silence(asked, decider.policy_name, arm)
        return answers

    async def _decide(
        self, waiting: Waiting, answers: dict[int, bytes]
    ) -> tuple[str, Exception | None]:
        """Answer as many as can be decided; why the others could not be."""
        if not self._breaker.allows():
            return "breaker", None
        try:
            await self._decide_all(waiting, answers)
        except GONE as error:
            if not isinstance(error, Late):
                self._breaker.failed()
            return "redis", None
        except Contended:
            return "race", None
        except Exception as error:  # an offer service answers, whatever happens behind it
            self._breaker.succeeded()
            return "error", error
        self._breaker.succeeded()
        return "race", None

    async def _decide_all(self, waiting: Waiting, answers: dict[int, bytes]) -> None:
        patience_s = self._patience_s * (1 + len(waiting) // MORE_TIME_FOR)
        patience, tries = Patience(patience_s), TRIES
        while waiting and tries and not patience.over:
            before = len(waiting)
            for number, asked in waiting.items():
                if asked.user == asked.identity and asked.identity in self._links:
                    waiting[number] = self._asking.of(asked, self._links[asked.identity])
            await self._round(waiting, answers, patience)
            if len(waiting) == before:
                tries -= 1
            else:  # somebody got on: the others have not been waiting in vain
                patience, tries = Patience(patience_s), TRIES

    async def _round(self, waiting: Waiting, answers: dict[int, bytes], patience: Patience) -> None:
        """Decide for each user that waits, once."""
        numbers = list(_first_of_each_user(waiting))
        readings = await self._read(waiting, numbers, patience)
        fresh = [
            (number, reading)
            for number, reading in zip(numbers, readings, strict=True)
            if reading is not None
            and not await self._settled(number, reading, waiting, answers, patience)
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
        for (number, proposal, _), result in zip(proposed, written, strict=True):
            self._settle(proposal, result)
            answer = self._count(proposal, result)
            if answer is not None:
                answers[number] = answer
                del waiting[number]
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
        answers: dict[int, bytes],
        patience: Patience,
    ) -> bool:
        """Whether nothing is left to decide in this round: answered before, or somebody else."""
        if reading.answer is not None:
            self._metrics.repeated.inc()
            answers[number] = reading.answer
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
        commits = [_until(proposal, reading, until_s) for proposal, reading in proposed]
        if not commits:
            return []
        try:
            return await patience.wait(self._store.commit(commits))
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

    def _count(self, proposal: Proposal, result: Written) -> bytes | None:
        """The answer, if there is one now."""
        if isinstance(result, Exception):
            return None
        if isinstance(result, bytes):
            self._metrics.repeated.inc()
            return result
        if not result:
            self._metrics.races.inc()
            return None
        self._count_decision(proposal)
        return proposal.commit.answer

    def _count_decision(self, proposal: Proposal) -> None:
        action = self._catalogue.actions[proposal.action]
        channel = self._catalogue.channels[action.channel].name if action.index else SILENCE
        scene = self._catalogue.scenes[proposal.asked.scene].name
        self._metrics.count_decision(
            scene,
            channel,
            proposal.policy,
            proposal.arm,
            proposal.refused,
            proposal.commit.cents,
        )
        if proposal.asked.deferred:
            self._metrics.count_deferral("deferred")
        if proposal.degraded:
            self._metrics.count_degraded("policy")


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


def _until(proposal: Proposal, reading: Reading, until_s: float) -> DecisionCommit:
    """What to write, as long as the caller waits and the budget's lease holds."""
    limit_s = reading.clock_s + until_s
    if proposal.reservation is not None and proposal.reservation.lease:
        limit_s = min(limit_s, proposal.reservation.until_us / 1e6)
    return replace(proposal.commit, until_s=limit_s)
