"""Users, decisions and the journal stream in Redis: one round trip to read, one to commit.

Keys of one user share a hash tag with the journal stream of their bucket, so one script may touch
all of them on a Redis Cluster too. ``SPACE`` sets catalogues apart: their users have other shapes.

* ``sl:{b07}:SPACE:u:USER``      hash: version, state (packed), zone
* ``sl:{b07}:SPACE:d:DECISION``  hash: answer, what it was drawn from, ``event:KEY`` of what came
* ``sl:{b07}:SPACE:j``           stream: decisions and events, until they are in Parquet
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, cast

import numpy as np
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from envs.catalogue import Catalogue
from envs.encoding import Encoding
from envs.users import UserState, pack, unpack
from serving.decide import REMEMBERED
from serving.security import BUCKETS, bucket_of, user_of
from serving.settings import Settings

DAY_S: Final = 86_400
CONNECTIONS: Final = 256
FIRST_CONNECTIONS: Final = 16

COMMIT_DECISION: Final = """
local stored = redis.call('HGET', KEYS[2], 'answer')
if stored then return stored end
local clock = redis.call('TIME')
if clock[1] * 1000000 + clock[2] > tonumber(ARGV[6]) then return -1 end
if ARGV[2] ~= '' then
  if (redis.call('HGET', KEYS[1], 'version') or '0') ~= ARGV[1] then return 0 end
  redis.call('HSET', KEYS[1], 'version', ARGV[1] + 1, 'state', ARGV[2], 'zone', ARGV[3])
  redis.call('EXPIRE', KEYS[1], ARGV[4])
end
redis.call('HSET', KEYS[2], unpack(ARGV, 8, 7 + ARGV[7]))
redis.call('EXPIRE', KEYS[2], ARGV[5])
redis.call('XADD', KEYS[3], '*', unpack(ARGV, 8 + ARGV[7]))
return 1
"""
"""KEYS user, decision, stream. ARGV version, state ('' = unchanged), zone, seconds to keep the
user, seconds to keep the decision, microseconds of Redis's clock after which nobody waits for it,
length of the record, record, journal entry.
Returns the stored answer, -1 when it came too late, 0 for a lost race, 1 when committed."""

COMMIT_EVENTS: Final = """
if (redis.call('HGET', KEYS[1], 'version') or '0') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[1] + 1, 'state', ARGV[2], 'zone', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
for i = 5, #ARGV, 3 do
  local decision = KEYS[2 + ARGV[i]]
  if ARGV[i] ~= '0' and redis.call('EXISTS', decision) == 1 then
    redis.call('HSET', decision, ARGV[i + 1], ARGV[i + 2])
  end
  redis.call('XADD', KEYS[2], '*', 'event', ARGV[i + 2])
end
return 1
"""
"""KEYS user, stream, decisions. ARGV version, state, zone, seconds to keep the user, then for each
event: which decision it belongs to (0 = none), its field there, its text.
Returns 0 for a lost race, 1 when committed."""


@dataclass(frozen=True, slots=True)
class StoredUser:
    """What Redis holds of a user; version 0 for somebody unknown."""

    version: bytes
    state: bytes | None
    zone: str | None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a decision needs of Redis."""

    user: StoredUser
    answer: bytes | None
    """What this decision was answered with before."""
    clock_s: float
    """What Redis's clock showed, less what ``time.monotonic`` showed here when it was asked."""


class Late(TimeoutError):
    """A commit that Redis refused, because nobody waits for it any more."""


@dataclass(frozen=True, slots=True)
class DecisionCommit:
    """A decision to be written, if the user is still at ``version``."""

    decision_id: str
    version: bytes
    state: bytes
    """Empty when the decision leaves the user as it was."""
    zone: str
    record: list[bytes | str | int]
    """Field, value, field, value... of the decision."""
    entry: list[bytes | str | int]
    """Field, value... of the journal."""


@dataclass(frozen=True, slots=True)
class EventsCommit:
    """Events of one user to be written, if the user is still at ``version``."""

    user: str
    version: bytes
    state: bytes
    zone: str
    texts: list[tuple[str | None, str, bytes]] = field(default_factory=list)
    """Decision it belongs to or None, its field there, the event as text."""


class Space:
    """The keys of one catalogue's users."""

    def __init__(self, catalogue: Catalogue) -> None:
        width = pack(UserState.empty(catalogue, 1, REMEMBERED)).shape[1]
        shape = f"{Encoding(catalogue).hash} {width} {REMEMBERED}"
        self.tag = blake2b(shape.encode(), digest_size=4).hexdigest()

    def user(self, user: str) -> str:
        """Key of a hashed user."""
        return f"sl:{{b{bucket_of(user):02}}}:{self.tag}:u:{user}"

    def decision(self, decision_id: str) -> str:
        """Key of a decision."""
        return f"sl:{{b{bucket_of(user_of(decision_id)):02}}}:{self.tag}:d:{decision_id}"

    def stream(self, user: str) -> str:
        """Key of the journal stream of a hashed user."""
        return self.streams()[bucket_of(user)]

    def streams(self) -> list[str]:
        """Keys of all journal streams, by bucket."""
        return [f"sl:{{b{bucket:02}}}:{self.tag}:j" for bucket in range(BUCKETS)]


class Store:
    """The users of one catalogue in Redis."""

    def __init__(self, catalogue: Catalogue, settings: Settings) -> None:
        self.catalogue = catalogue
        self.space = Space(catalogue)
        self._blank = pack(UserState.empty(catalogue, 1, REMEMBERED)).tobytes()
        self._user_s = settings.user_days * DAY_S
        self._decision_s = settings.decision_days * DAY_S
        self._shas: dict[str, str] = {}
        # Both scripts may be sent twice: a decision by its id, events by their keys. So one retry
        # is safe, and spares callers the connections that a restarted Redis has left broken.
        self._redis = Redis.from_url(
            settings.redis_url,
            max_connections=CONNECTIONS,
            retry=Retry(NoBackoff(), 1),
            socket_timeout=2.0,
            socket_connect_timeout=1.0,
            protocol=2,
        )

    async def close(self) -> None:
        """Give the connections back."""
        await self._redis.aclose()

    async def ping(self) -> None:
        """Return once Redis has answered."""
        await self._redis.ping()

    async def load_scripts(self) -> None:
        """Let Redis know the scripts, and make the first connections."""
        await asyncio.gather(*(self.ping() for _ in range(FIRST_CONNECTIONS)))
        for script in (COMMIT_DECISION, COMMIT_EVENTS):
            await self._sha(script)

    async def read(self, user: str, decision_id: str) -> Reading:
        """A user, and the answer that this decision has got already. One round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.time()
        pipeline.hmget(self.space.user(user), "version", "state", "zone")
        pipeline.hget(self.space.decision(decision_id), "answer")
        asked_s = time.monotonic()
        (seconds, microseconds), fields, answer = await pipeline.execute()
        clock_s = seconds + microseconds / 1e6 - asked_s
        return Reading(_stored(fields), answer, clock_s)

    async def commit(self, commit: DecisionCommit, until_s: float) -> bytes | bool:
        """Write a decision. One round trip.

        Args:
            commit: what to write.
            until_s: Redis's clock after which it must not be written any more: the caller has
                then been answered with silence, and was shown nothing.

        Returns:
            True when written, False when the user changed meanwhile, or the answer that another
            call with the same request has written before.

        Raises:
            Late: it reached Redis too late.
        """
        user = user_of(commit.decision_id)
        keys = [
            self.space.user(user),
            self.space.decision(commit.decision_id),
            self.space.stream(user),
        ]
        result = await self._call(
            COMMIT_DECISION,
            keys,
            commit.version,
            commit.state,
            commit.zone,
            self._user_s,
            self._decision_s,
            round(until_s * 1e6),
            len(commit.record),
            *commit.record,
            *commit.entry,
        )
        if result == -1:
            raise Late
        return result if isinstance(result, bytes) else bool(result)

    async def read_users(self, users: Sequence[str]) -> list[StoredUser]:
        """Many users. One round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        for user in users:
            pipeline.hmget(self.space.user(user), "version", "state", "zone")
        return [_stored(fields) for fields in await pipeline.execute()]

    async def commit_events(self, commits: Sequence[EventsCommit]) -> list[bool]:
        """Write events of many users; for each whether it was written. One round trip."""
        sha = await self._sha(COMMIT_EVENTS)
        pipeline = self._redis.pipeline(transaction=False)
        for commit in commits:
            keys, arguments = self._event_arguments(commit)
            pipeline.evalsha(sha, len(keys), *keys, *arguments)
        results = await pipeline.execute(raise_on_error=False)
        if any(isinstance(result, NoScriptError) for result in results):
            self._shas.clear()
        return [_written(result) for result in results]

    def _event_arguments(self, commit: EventsCommit) -> tuple[list[str], list[Any]]:
        linked = sorted({decision for decision, _, _ in commit.texts if decision})
        place = {decision: number for number, decision in enumerate(linked, start=1)}
        keys = [self.space.user(commit.user), self.space.stream(commit.user)]
        keys += [self.space.decision(decision) for decision in linked]
        arguments: list[Any] = [commit.version, commit.state, commit.zone, self._user_s]
        for decision, name, text in commit.texts:
            arguments += [place[decision] if decision else 0, name, text]
        return keys, arguments

    async def decision(self, decision_id: str) -> dict[str, bytes] | None:
        """All fields of a decision, None when there is none."""
        fields = await cast(
            Awaitable[dict[bytes, bytes]], self._redis.hgetall(self.space.decision(decision_id))
        )
        return {name.decode(): value for name, value in fields.items()} or None

    async def journal_lag(self) -> int:
        """Journal entries that are not in Parquet yet."""
        pipeline = self._redis.pipeline(transaction=False)
        for stream in self.space.streams():
            pipeline.xlen(stream)
        return sum(await pipeline.execute())

    async def _call(self, script: str, keys: list[str], *arguments: Any) -> Any:
        try:
            return await self._evaluate(script, keys, arguments)
        except NoScriptError:  # Redis was restarted and has forgotten its scripts
            self._shas.clear()
            return await self._evaluate(script, keys, arguments)

    async def _evaluate(self, script: str, keys: list[str], arguments: Sequence[Any]) -> Any:
        sha = await self._sha(script)
        return await self._redis.evalsha(sha, len(keys), *keys, *arguments)

    async def _sha(self, script: str) -> str:
        if script not in self._shas:
            self._shas[script] = await self._redis.script_load(script)
        return self._shas[script]

    def unpacked(self, stored: Sequence[StoredUser]) -> UserState:
        """The users as arrays, [N]; nothing is known of those that Redis does not hold."""
        joined = b"".join(user.state or self._blank for user in stored)
        packed = np.frombuffer(joined, np.uint8).reshape(len(stored), len(self._blank))
        return unpack(self.catalogue, packed, REMEMBERED)


def _stored(fields: list[bytes | None]) -> StoredUser:
    version, state, zone = fields
    return StoredUser(version or b"0", state, zone.decode() if zone else None)


def _written(result: Any) -> bool:
    """Whether one script of a pipeline committed; one that Redis has forgotten did not."""
    if isinstance(result, NoScriptError):
        return False
    if isinstance(result, Exception):
        raise result
    return bool(result)
