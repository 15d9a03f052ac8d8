"""Erasure: nothing of a person stays in Redis, and the journal is told to forget.

The steps are in such an order that the same call goes on with what a crash has left:

1. what is pending at the links goes into the person, so that no old state can come back;
2. the person goes: whoever still decides on the old state loses the race;
3. decisions, their index and their place among the deferred go, and events of the Personalizer
   door, of the person and each identity, and the journal is told;
4. the links go, then the list of them, and last the link by which the call found the person.

Whoever acts while this goes on makes somebody new, of whom nothing is known.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from serving.people.people import TRIES, Contended, People
from serving.personalizer.events import KeptEvents
from serving.security import bucket_of
from serving.store.connect import Client
from serving.store.keys import Space
from serving.store.records import ENTRY_ERASURE
from serving.store.scripts import Script

AT_ONCE: Final = 100
"""Decisions that one round trip removes."""

FORGET: Final = Script("""
if redis.call('GETRANGE', KEYS[1], 0, 0) == 'L' then return -1 end
return redis.call('DEL', KEYS[1])
""")
"""KEYS user. Removes a user who has a state; returns whether there was one, -1 for a link."""

UNLINK: Final = Script("""
local value = redis.call('GETRANGE', KEYS[1], 0, 40)
if string.sub(value, 1, 1) ~= 'L' or string.sub(value, 10) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
""")
"""KEYS user. ARGV person. Removes a user who leads to the person; returns whether it was so."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What was removed."""

    users: int
    """The person, if known, and the identities."""
    decisions: int
    ranks: int
    """Events of the Personalizer door."""


class Erasure:
    """Removes the users of one catalogue."""

    def __init__(self, people: People, ranks: KeptEvents, space: Space, redis: Client) -> None:
        """Erasure for one catalogue.

        Args:
            people: who is behind whom.
            ranks: events of the Personalizer door.
            space: where they are kept.
            redis: a client of ``serving.store.connect``.
        """
        self._people = people
        self._ranks = ranks
        self._space = space
        self._redis = redis

    async def erase(self, user: str) -> Erased:
        """Remove the person behind a hashed user, whoever leads there, and all their decisions.

        Somebody unknown is erased too: the journal remembers for longer than Redis.

        Raises:
            Contended: others changed the links all the time. Ask again.
            RedisError: Redis does not answer. Ask again, and it goes on.
        """
        for _ in range(TRIES):
            person = await self._people.person(user)
            identities = await self._people.identities(person)
            for identity in identities:
                await self._people.person(identity)
            users = int(await FORGET.call(self._redis, [self._space.user(person)]))
            if users >= 0:  # else the person has just turned out to be somebody else
                break
        else:
            raise Contended
        decisions = ranks = 0
        for each in (person, *identities):
            decisions += await self._forget_decisions(each)
            ranks += await self._forget_ranks(each)
            entry = json.dumps({"users": [each]})
            await self._redis.xadd(self._space.stream(each), {ENTRY_ERASURE: entry})
        users += await self._unlink([each for each in identities if each != user], person)
        await self._forget_notes([person, *identities])
        if user != person:
            users += await self._unlink([user], person)
        return Erased(users, decisions, ranks)

    async def _forget_decisions(self, user: str) -> int:
        """Remove the decisions of one hashed user; how many there were."""
        index, waiting = self._space.of_user(user), self._space.waiting(bucket_of(user))
        removed = 0
        while ids := [name.decode() for name in await self._redis.zrange(index, 0, AT_ONCE - 1)]:
            pipeline = self._redis.pipeline(transaction=False)
            for decision_id in ids:
                pipeline.delete(self._space.decision(decision_id))
            pipeline.zrem(waiting, *ids)
            pipeline.zrem(index, *ids)  # last: until then the decisions are found again
            removed += sum((await pipeline.execute())[: len(ids)])
        return removed

    async def _forget_ranks(self, user: str) -> int:
        """Remove the events of the Personalizer door of one hashed user; how many there were."""
        count = int(await self._redis.scard(self._space.events_of(user)))
        if count:
            await self._ranks.forget(user)
        return count

    async def _unlink(self, identities: Sequence[str], person: str) -> int:
        """Remove the links of identities to the person; how many there were."""
        calls = [([self._space.user(identity)], [person]) for identity in identities]
        results = await UNLINK.call_many(self._redis, calls) if calls else []
        for result in results:
            if isinstance(result, Exception):
                raise result
        return sum(results)

    async def _forget_notes(self, users: Sequence[str]) -> None:
        """Remove the notes of who leads to whom and what was merged."""
        pipeline = self._redis.pipeline(transaction=False)
        for user in users:
            pipeline.delete(self._space.merged(user))
            pipeline.delete(self._space.linked(user))
        await pipeline.execute()
