"""Users and decisions in Redis: one round trip to read, one to commit.

Everything that a decision changes is written by one script or not at all: the user, the decision,
what it reserves of the budget, and its journal entry. ``keys`` says where these lie.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from envs.catalogue import Catalogue
from envs.users import UserState, pack, unpack
from serving.security import BUCKETS, bucket_of, user_of
from serving.settings import Settings
from serving.store.connect import connect
from serving.store.keys import REMEMBERED, Space
from serving.store.records import UserRecord, new_version, state_record
from serving.store.state_scripts import ACTIVATE, ALL, ATTACH, CLOCK, COMMIT, EVENTS, LAPSE, READ
from serving.watching.tracing import traced

DAY_S: Final = 86_400
FIRST_CONNECTIONS: Final = 16
AT_ONCE: Final = 50
"""Users or decisions that one script works on: Redis does nothing else meanwhile."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a decision needs of Redis."""

    user: UserRecord
    answer: bytes | None
    """What this decision was answered with before."""
    clock_s: float
    """What Redis's clock showed, less what ``time.monotonic`` showed here when it was asked."""


@dataclass(frozen=True, slots=True)
class DecisionCommit:
    """A decision to be written, if the user is still at ``version``."""

    decision_id: str
    version: bytes
    value: bytes
    """The user's record; empty when the decision leaves the user as it was."""
    answer: bytes
    record: bytes
    lease: str = ""
    period: int = 0
    cents: int = 0
    deferred: bool = False


@dataclass(frozen=True, slots=True)
class EventsCommit:
    """Events of one user to be written, if the user is still at ``version``."""

    user: str
    version: bytes
    value: bytes
    texts: list[tuple[str | None, str, bytes]] = field(default_factory=list)
    """Decision it belongs to or None, its field there, the event as text."""


class Late(TimeoutError):
    """A commit that Redis refused, because nobody waits for it any more."""


Written = bytes | bool | Exception
"""True when written, False when the user changed meanwhile, the answer that another call with the
same request has written before, ``Late``, or why it is not known."""


class Store:
    """The users of one catalogue in Redis."""

    def __init__(self, catalogue: Catalogue, settings: Settings) -> None:
        self.catalogue = catalogue
        self.space = Space(catalogue)
        self.redis = connect(settings.redis_url)
        self._blank = pack(UserState.empty(catalogue, 1, REMEMBERED)).tobytes()
        self._user_s = settings.user_days * DAY_S
        self._decision_s = settings.decision_days * DAY_S
        self._spent_s = 2 * settings.budget_period_s + DAY_S
        self._defer_s = settings.defer_s

    async def close(self) -> None:
        """Give the connections back."""
        await self.redis.aclose()

    async def ping(self) -> None:
        """Return once Redis has answered."""
        await self.redis.ping()

    async def load_scripts(self) -> None:
        """Let Redis know the scripts, and make the first connections."""
        await asyncio.gather(*(self.ping() for _ in range(FIRST_CONNECTIONS)))
        for script in ALL:
            await self.redis.script_load(script.text)

    @traced("redis read")
    async def read(self, asked: Sequence[tuple[str, str]]) -> list[Reading]:
        """Users, and the answers that these decisions have got already. One round trip.

        Args:
            asked: hashed user and decision id of each.
        """
        calls, order = [], []
        for numbers in _by_slot([bucket_of(user) for user, _ in asked]):
            keys = []
            for number in numbers:
                user, decision_id = asked[number]
                keys += [self.space.user(user), self.space.decision(decision_id)]
            calls.append((keys, ()))
            order.append(numbers)
        asked_s = time.monotonic()
        found: dict[int, Reading] = {}
        for numbers, reply in zip(order, await self._run(READ, calls), strict=True):
            if isinstance(reply, Exception):
                raise reply
            clock_s = int(reply[0]) + int(reply[1]) / 1e6 - asked_s
            for place, number in enumerate(numbers):
                user, answer = reply[2 + 2 * place : 4 + 2 * place]
                found[number] = Reading(UserRecord.read(user), answer, clock_s)
        return [found[number] for number in range(len(asked))]

    @traced("redis commit")
    async def commit(
        self, commits: Sequence[DecisionCommit], until_s: Sequence[float]
    ) -> list[Written]:
        """Write decisions. One round trip.

        Args:
            commits: what to write.
            until_s: of each, Redis's clock after which it must not be written any more: the caller
                has then been answered with silence, and was shown nothing.
        """
        places = [(bucket_of(user_of(each.decision_id)), each.period) for each in commits]
        calls, order = [], []
        for numbers in _by_slot(places):
            latest_s = min(until_s[number] for number in numbers)
            calls.append(self._commit_arguments([commits[number] for number in numbers], latest_s))
            order.append(numbers)
        written: dict[int, Written] = {}
        for numbers, reply in zip(order, await self._run(COMMIT, calls), strict=True):
            for place, number in enumerate(numbers):
                written[number] = reply if isinstance(reply, Exception) else _written(reply[place])
        return [written[number] for number in range(len(commits))]

    def _commit_arguments(
        self, commits: Sequence[DecisionCommit], until_s: float
    ) -> tuple[list[str], list[Any]]:
        first, space = commits[0], self.space
        bucket = bucket_of(user_of(first.decision_id))
        keys = [
            space.stream_of(bucket),
            space.waiting(bucket),
            space.spent(bucket, first.period),
        ]
        arguments: list[Any] = [
            *(round(until_s * 1e6), self._user_s, self._decision_s, self._spent_s, self._defer_s)
        ]
        for each in commits:
            user = user_of(each.decision_id)
            keys += [space.user(user), space.decision(each.decision_id), space.of_user(user)]
            arguments += [each.version, each.value, each.answer, each.record, each.lease]
            arguments += [each.cents, int(each.deferred)]
        return keys, arguments

    async def read_users(self, users: Sequence[str]) -> list[UserRecord]:
        """Many users. One round trip."""
        pipeline = self.redis.pipeline(transaction=False)
        for user in users:
            pipeline.get(self.space.user(user))
        return [UserRecord.read(value) for value in await pipeline.execute()]

    async def commit_events(self, commits: Sequence[EventsCommit]) -> list[bool]:
        """Write events of many users; for each whether it was written. One round trip.

        Raises:
            RedisError: for one of them at least, it is not known whether it was written.
        """
        replies = await EVENTS.call_many(self.redis, [self._event_arguments(c) for c in commits])
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        await self._attach(
            [commit for commit, reply in zip(commits, replies, strict=True) if reply]
        )
        return [bool(reply) for reply in replies]

    def _event_arguments(self, commit: EventsCommit) -> tuple[list[str], list[Any]]:
        bucket = bucket_of(commit.user)
        near = {each for each, _, _ in commit.texts if each and _in(bucket, each)}
        place = {decision: number for number, decision in enumerate(sorted(near), start=1)}
        keys = [self.space.user(commit.user), self.space.stream(commit.user)]
        keys += [self.space.decision(decision) for decision in place]
        arguments: list[Any] = [commit.version, commit.value, self._user_s]
        for decision, name, text in commit.texts:
            arguments += [place.get(decision or "", 0), name, text]
        return keys, arguments

    async def _attach(self, commits: Sequence[EventsCommit]) -> None:
        """Put events to decisions that lie in other slots than the person."""
        far: dict[str, list[Any]] = defaultdict(list)
        for commit in commits:
            bucket = bucket_of(commit.user)
            for decision, name, text in commit.texts:
                if decision and not _in(bucket, decision):
                    far[decision] += [name, text]
        if far:
            calls = [([self.space.decision(name)], values) for name, values in far.items()]
            await ATTACH.call_many(self.redis, calls)

    async def decision(self, decision_id: str) -> dict[str, bytes] | None:
        """All fields of a decision, None when there is none."""
        fields = await self.redis.hgetall(self.space.decision(decision_id))
        return {name.decode(): value for name, value in fields.items()} or None

    async def activate(
        self, decision_id: str, user: str, version: bytes, value: bytes, text: bytes
    ) -> int | bytes:
        """Let a deferred decision count. See ``state_scripts.ACTIVATE`` for what it returns.

        Args:
            decision_id: of the decision.
            user: the hashed user whose record is written, in the decision's slot.
            version: at which the user has to be.
            value: the user's record; empty when it is written elsewhere.
            text: what the journal is told.
        """
        bucket = bucket_of(user_of(decision_id))
        keys = [
            self.space.user(user) if value else self.space.user(user_of(decision_id)),
            self.space.decision(decision_id),
            self.space.waiting(bucket),
            self.space.stream_of(bucket),
        ]
        found: int | bytes = await ACTIVATE.call(
            self.redis, keys, version, value, self._user_s, decision_id, text
        )
        return found

    async def lapsing(self, now_s: float) -> list[str]:
        """Ids of deferred decisions whose time is over by Redis's clock. One round trip."""
        pipeline = self.redis.pipeline(transaction=False)
        for bucket in range(BUCKETS):
            key = self.space.waiting(bucket)
            pipeline.zrangebyscore(key, "-inf", now_s, start=0, num=AT_ONCE)
        return [identity.decode() for found in await pipeline.execute() for identity in found]

    async def lapse(
        self, decision_id: str, lease: str, period: int, cents: int, text: bytes
    ) -> bool:
        """Let a deferred decision lapse and take back what it has reserved; False if it may not."""
        bucket = bucket_of(user_of(decision_id))
        keys = [
            self.space.decision(decision_id),
            self.space.waiting(bucket),
            self.space.stream_of(bucket),
            self.space.spent(bucket, period),
        ]
        return bool(await LAPSE.call(self.redis, keys, decision_id, lease, cents, text))

    async def clock_s(self) -> float:
        """Redis's clock, seconds since 1970."""
        seconds, microseconds = await CLOCK.call(self.redis, [self.space.waiting(0)])
        return int(seconds) + int(microseconds) / 1e6

    async def journal_lag(self) -> int:
        """Journal entries that are not in Parquet yet."""
        pipeline = self.redis.pipeline(transaction=False)
        for stream in self.space.streams():
            pipeline.xlen(stream)
        return sum(await pipeline.execute())

    async def _run(self, script: Any, calls: list[Any]) -> list[Any]:
        """A script for one slot or for several."""
        if len(calls) > 1:
            many: list[Any] = await script.call_many(self.redis, calls)
            return many
        keys, arguments = calls[0]
        return [await script.call(self.redis, keys, *arguments)]

    def unpacked(self, stored: Sequence[UserRecord]) -> UserState:
        """The users as arrays, [N]; nothing is known of those that Redis does not hold."""
        joined = b"".join(user.state or self._blank for user in stored)
        packed = np.frombuffer(joined, np.uint8).reshape(len(stored), len(self._blank))
        return unpack(self.catalogue, packed, REMEMBERED)


def packed(users: UserState, zones: Sequence[str]) -> list[bytes]:
    """The records of N users as they are to be written, each with a version of its own."""
    rows = pack(users)
    return [
        state_record(new_version(), zone, row.tobytes())
        for zone, row in zip(zones, rows, strict=True)
    ]


def _by_slot(places: Sequence[Any]) -> Iterator[list[int]]:
    """Numbers of what lies in the same place, in order, not too many at once."""
    together: dict[Any, list[int]] = {}
    for number, place in enumerate(places):
        together.setdefault(place, []).append(number)
    for numbers in together.values():
        for start in range(0, len(numbers), AT_ONCE):
            yield numbers[start : start + AT_ONCE]


def _in(bucket: int, decision_id: str) -> bool:
    return bucket_of(user_of(decision_id)) == bucket


def _written(result: Any) -> Written:
    if result == -1:
        return Late()
    return result if isinstance(result, bytes) else bool(result)
