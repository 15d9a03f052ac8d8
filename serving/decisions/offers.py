"""The call that decides, and the safe answer where nothing can be decided.

Requests that come at the same time are decided together: the arrays of one decision cost almost as
much as those of many, and so do the two scripts in Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import Context, copy_context
from typing import Final

from envs.catalogue import Catalogue
from serving.budgets.budget import Budget
from serving.decisions.answers import silence
from serving.decisions.asking import Asking
from serving.decisions.deciding import Deciding, Deliver, Waiting
from serving.decisions.proposals import Proposer
from serving.decisions.rounds import Asked
from serving.people.people import Contended, People
from serving.policies.policies import Policies
from serving.settings import Settings
from serving.store.connect import GONE, is_cluster
from serving.store.state import Late, Store
from serving.watching.breaker import Breaker
from serving.watching.logs import Outages
from serving.watching.metrics import Metrics
from serving.words.bodies import OfferRequest

AT_ONCE: Final = 250
"""Requests that are decided together; other callers get their turn in between."""
PARTS: Final = 2
"""Parts of batches that are under way at once: one while Redis works for the other."""
TURN_S: Final = 0.02
"""How long a group may keep the next one waiting. So requests that come while others are decided
are decided together after them, and only where Redis is slow do groups overlap."""

Queued = tuple[Asked, "asyncio.Future[bytes]", Context]


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
        self._metrics = metrics
        self._policies = policies
        self._breaker = breaker
        self._outages = Outages()
        self._asking = asking = Asking(catalogue, settings)
        reader = asking.signals.reader
        proposer = Proposer(catalogue, policies, budget, settings.time_zone, reader)
        patience_s = settings.redis_timeout_ms / 1000
        self._deciding = Deciding(
            catalogue, store, metrics, budget, people, asking, proposer, patience_s
        )
        # Users of several nodes would wait for the slowest of them.
        self._together = 1 if is_cluster(settings.redis_url) else AT_ONCE
        self._queue: list[Queued] = []
        self._groups: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(PARTS)
        self._next: asyncio.Handle | None = None
        """The beginning of the next group, where it is planned."""
        self._began_s = 0.0
        """When the latest group began, by the clock of the event loop."""

    async def answer(self, body: OfferRequest) -> bytes:
        """The answer to a request as JSON; the same bytes whenever the request is repeated.

        Raises:
            Failure: the request names what the catalogue does not know.
        """
        return await self.decide(self._asking.understand(body))

    async def decide(self, asked: Asked) -> bytes:
        """The answer to a request that is understood, decided with those that come with it."""
        if self._together == 1:
            answers: dict[int, bytes] = {}
            await self._answer({0: asked}, answers.__setitem__)
            return answers[0]
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._queue.append((asked, future, copy_context()))
        self._plan()
        return await future

    def _plan(self) -> None:
        """Let the queue be decided, once the requests that are here by now have been read."""
        if self._next is None:
            loop = asyncio.get_running_loop()
            if self._groups:
                self._next = loop.call_at(self._began_s + TURN_S, self._begin)
            else:
                self._next = loop.call_soon(self._begin)

    def _begin(self) -> None:
        """Decide a group of those that wait."""
        self._next = None
        loop = asyncio.get_running_loop()
        self._began_s = loop.time()
        part, self._queue = self._queue[: self._together], self._queue[self._together :]
        # What is traced of a group belongs to the request that came first.
        group = loop.create_task(self._decide_group(part), context=part[0][2])
        self._groups.add(group)  # the loop itself holds no task
        group.add_done_callback(self._ended)
        if self._queue:
            self._plan()

    def _ended(self, group: asyncio.Task[None]) -> None:
        """A group is decided: those that wait have their turn."""
        self._groups.discard(group)
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._queue:
            self._plan()

    async def _decide_group(self, part: Sequence[Queued]) -> None:
        def deliver(number: int, answer: bytes) -> None:
            future = part[number][1]
            if not future.done():  # the caller may have gone
                future.set_result(answer)

        waiting = {number: asked for number, (asked, _, _) in enumerate(part)}
        try:
            await self._answer(waiting, deliver)
        finally:
            for _, future, _ in part:  # none waits for what will not come
                future.cancel()

    async def answer_many(self, bodies: Sequence[OfferRequest]) -> list[bytes]:
        """The answers to many requests, as if they had come one after another.

        Raises:
            Failure: one of them names what the catalogue does not know; nothing is decided then.
        """
        asked = [
            self._asking.understand(body, f"offers.{number}.") for number, body in enumerate(bodies)
        ]
        # All requests of a user in one part, in their order; while Redis works for one part,
        # another is decided.
        count = -(-len(asked) // AT_ONCE)
        parts: list[Waiting] = [{} for _ in range(count)]
        for number, each in enumerate(asked):
            parts[int(each.identity[-4:], 16) % count][number] = each
        answers: dict[int, bytes] = {}
        await asyncio.gather(*(self._in_turn(part, answers) for part in parts if part))
        return [answers[number] for number in range(len(asked))]

    async def _in_turn(self, part: Waiting, answers: dict[int, bytes]) -> None:
        """Answer a part of a batch; what waits for its turn does not wait for Redis yet."""
        async with self._turns:
            await self._answer(part, answers.__setitem__)

    async def _answer(self, waiting: Waiting, deliver: Deliver) -> None:
        """Answer all of them, in one way or the other."""
        reason, error = await self._decided(waiting, deliver)
        if not waiting:
            self._outages.passed()
        for number, asked in waiting.items():
            decider, arm = self._policies.of(asked.user)
            self._metrics.count_degraded(reason)
            self._outages.failed(reason, asked.decision_id, decider.policy_name, error)
            deliver(number, silence(asked, decider.policy_name, arm))

    async def _decided(self, waiting: Waiting, deliver: Deliver) -> tuple[str, Exception | None]:
        """Answer as many as can be decided; why the others could not be."""
        if not self._breaker.allows():
            return "breaker", None
        try:
            await self._deciding.decide(waiting, deliver)
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
