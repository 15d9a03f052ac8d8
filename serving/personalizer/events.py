"""Events of the Personalizer door in Redis: the answer, whose it is, its reward, its activation.

A reward names its event alone, not the user. So an event of a known user is two keys: a pointer in
the slot of the event's own hash, and the event in the slot of the user, whose journal and erasure
it belongs to. An event of a stranger is its own user: pointer and event are one key.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from serving.personalizer.bodies import RankWords
from serving.store.connect import Client
from serving.store.keys import Space
from serving.store.scripts import Script

REWARD: Final = "reward:"
"""Field of a reward, before the name of its place; of a single action the place has no name."""
ACTIVATED: Final = "activated"

POINT: Final = Script("""
redis.call('HSETNX', KEYS[1], 'user', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return redis.call('HGET', KEYS[1], 'user')
""")
"""KEYS pointer. ARGV user, seconds to keep it. Returns whose event it is."""

KEEP: Final = Script("""
local kept = redis.call('HGET', KEYS[1], 'answer')
if kept then return kept end
redis.call('HSET', KEYS[1], 'answer', ARGV[1], 'decisions', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
if ARGV[4] ~= '' then redis.call('SADD', KEYS[3], ARGV[4]) end
redis.call('EXPIRE', KEYS[3], ARGV[3])
redis.call('XADD', KEYS[2], '*', 'p', ARGV[5])
return ARGV[1]
""")
"""KEYS event, stream, the user's events (of a stranger: the user, who is forgotten with the event).
ARGV answer, decisions, seconds to keep them, hash of the event ('' of a stranger's), journal text.
Returns the answer, which may be one that was kept before."""

MARK: Final = Script("""
if redis.call('HEXISTS', KEYS[1], 'answer') == 0 then return -1 end
if KEYS[3] then redis.call('EXPIRE', KEYS[3], ARGV[4]) end
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
redis.call('XADD', KEYS[2], '*', 'p', ARGV[3])
return 1
""")
"""KEYS event, stream, of a stranger also the user. ARGV field, value, journal text, seconds to keep
the stranger, who would be kept longer for an activation.
Returns -1 for no such event, 0 when it was marked before, 1 when it is marked now."""


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """What Redis holds of an event."""

    event: str
    """Hash of its name."""
    user: str
    """Hashed user; the hash of the event for a stranger."""
    answer: str
    """JSON, without the name of the event."""
    decisions: tuple[str, ...]
    """Ids of the deferred decisions that wait for its activation."""


class KeptEvents:
    """The events of one catalogue."""

    def __init__(self, space: Space, redis: Client, keep_s: int) -> None:
        self._space, self._redis, self._keep_s = space, redis, keep_s

    async def find(self, event: str) -> KeptEvent | None:
        """An event by the hash of its name. One round trip, two for a known user."""
        user, answer, decisions = await self._fields(event, event)
        if user is not None:
            event_of = user.decode()
            _, answer, decisions = await self._fields(event_of, event)
        else:
            event_of = event
        if answer is None or decisions is None:
            return None
        return KeptEvent(event, event_of, answer.decode(), tuple(json.loads(decisions)))

    async def _fields(self, user: str, event: str) -> list[bytes | None]:
        key = self._space.event(user, event)
        found: list[bytes | None] = await self._redis.hmget(key, "user", "answer", "decisions")
        return found

    async def owner(self, event: str, user: str) -> str:
        """Whose event it is from now on: the user's, or who was faster."""
        if user == event:
            return event
        keys = [self._space.event(event, event)]
        found: bytes = await POINT.call(self._redis, keys, user, self._keep_s)
        return found.decode()

    async def keep(self, kept: KeptEvent, text: str) -> str:
        """Write an event and tell the journal; the answer, perhaps of one who was faster."""
        space, user, stranger = self._space, kept.user, kept.user == kept.event
        keys = [
            space.event(user, kept.event),
            space.stream(user),
            space.user(user) if stranger else space.events_of(user),
        ]
        found: bytes = await KEEP.call(
            self._redis,
            keys,
            kept.answer,
            json.dumps(kept.decisions),
            self._keep_s,
            "" if stranger else kept.event,
            text,
        )
        return found.decode()

    async def mark(self, kept: KeptEvent, name: str, value: str, text: str) -> bool:
        """Note something of an event and tell the journal, the first time; False if it is gone."""
        user = kept.user
        keys = [self._space.event(user, kept.event), self._space.stream(user)]
        if user == kept.event:
            keys.append(self._space.user(user))
        return bool(await MARK.call(self._redis, keys, name, value, text, self._keep_s) >= 0)

    async def told(self, user: str) -> list[RankWords]:
        """All that is kept of a user's events."""
        found = []
        for event in await self._events(user):
            fields = await self._redis.hgetall(self._space.event(user, event))
            if b"answer" in fields:
                found.append(_in_words({name.decode(): text for name, text in fields.items()}))
        return found

    async def forget(self, user: str) -> None:
        """Erase the events of a user."""
        for event in await self._events(user):
            await self._redis.delete(self._space.event(event, event))
            await self._redis.delete(self._space.event(user, event))
            await self._redis.srem(self._space.events_of(user), event)  # last: found until then

    async def _events(self, user: str) -> list[str]:
        members = await self._redis.smembers(self._space.events_of(user))
        return sorted(event.decode() for event in members)


def _in_words(fields: dict[str, bytes]) -> RankWords:
    rewards = {
        name.removeprefix(REWARD): float(value)
        for name, value in fields.items()
        if name.startswith(REWARD)
    }
    return RankWords(
        answer=json.loads(fields["answer"]), rewards=rewards, activated=ACTIVATED in fields
    )
