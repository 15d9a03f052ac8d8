"""One person behind several identities: a device, the hash of a phone number, an account.

An identity leads to its person by a link that takes the place of its state. Keys of two users lie
in different slots, so no script sees both, and each step is one that may be begun again:

1. the person notes the identity, so that nobody who looks for all of a person misses it;
2. the link takes the place of the identity's state and carries that state as pending;
3. the pending state is merged into the person, once, because the person notes the link's version;
4. the link lets go of what was pending.

Whoever meets a link with something pending finishes steps 3 and 4 first. A state is replaced only
by one who has seen it (its version is new with every write), so decisions and events that were
under way lose their race and come to the person.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final

import numpy as np

from envs.catalogue import Catalogue
from envs.clock import DAY, EPOCH
from envs.merging import merge
from envs.users import UserState, pack, unpack
from serving.people.people_scripts import CLAIM, LINK, MERGE, REPLACE
from serving.store.connect import Client
from serving.store.keys import REMEMBERED, Space
from serving.store.records import UNKNOWN, UserRecord, new_version, state_record

TRIES: Final = 64
"""How often a step is taken anew because somebody else changed the same users meanwhile."""


LONGEST: Final = 256
"""Links that are followed at most."""
MOST_KEPT: Final = 10_000
"""Identities of which it is remembered that their links were given new time today."""


class Contended(Exception):
    """Others changed the same users all the time; what was begun is finished by whoever is next."""


class LinkedElsewhere(Exception):
    """An identity that leads to somebody else already."""

    def __init__(self, number: int) -> None:
        super().__init__(f"identity {number} leads to somebody else")
        self.number = number


@dataclass(frozen=True, slots=True)
class Step:
    """A link on the way from an identity to its person."""

    user: str
    record: UserRecord


class People:
    """The links between the users of one catalogue. All users here are hashed."""

    def __init__(self, catalogue: Catalogue, space: Space, redis: Client, user_s: int) -> None:
        """The links of one catalogue.

        Args:
            catalogue: whose users.
            space: where they are kept.
            redis: a client of ``serving.store.connect``.
            user_s: how long a user who does nothing is remembered, seconds.
        """
        self._catalogue = catalogue
        self._space = space
        self._redis = redis
        self._user_s = user_s
        self._blank = pack(UserState.empty(catalogue, 1, REMEMBERED)).tobytes()
        self._today = 0
        self._kept: set[str] = set()
        """Identities whose links were given new time today, by us."""

    async def finish(self, identity: str, record: UserRecord) -> str:
        """Whose state to read instead of a link: it leads straight there, and nothing is pending.

        Args:
            identity: hashed user.
            record: what was read of it.

        Raises:
            Contended: others were faster all the time.
            RedisError: Redis does not answer.
        """
        if record.person is None:
            return identity
        person = await self.person(identity)
        await self._keep(identity, person)
        return person

    async def person(self, user: str) -> str:
        """The person to whom a user leads, or the user; nothing is pending on the way any more."""
        for _ in range(TRIES):
            way, person = await self._way(user)
            if not way or await self._settle(way, person):
                return person
        raise Contended

    async def identities(self, person: str) -> list[str]:
        """All who lead to a person, besides the person."""
        noted = await self._noted(person)
        return [user for user in noted if (await self._way(user))[1] == person]

    async def _noted(self, user: str) -> list[str]:
        """Whoever was at some time about to lead to a user, straight or through others."""
        found: list[str] = []
        look_at = [user]
        while look_at:
            pipeline = self._redis.pipeline(transaction=False)
            for each in look_at:
                pipeline.smembers(self._space.linked(each))
            members = {name.decode() for reply in await pipeline.execute() for name in reply}
            look_at = sorted(members - {user, *found})
            found += look_at
        return found

    async def _keep(self, identity: str, person: str) -> None:
        """Remember a link that is used as long as its person; once a day is enough."""
        today = int(time.time()) // DAY
        if today != self._today or len(self._kept) >= MOST_KEPT:
            self._today = today
            self._kept.clear()
        if identity in self._kept:
            return
        pipeline = self._redis.pipeline(transaction=False)
        for key in (self._space.user(identity), self._space.linked(person)):
            pipeline.expire(key, self._user_s)
        await pipeline.execute()
        self._kept.add(identity)

    async def link(self, user: str, identities: Sequence[str]) -> int:
        """Let identities lead to the person behind a user; how many did not before.

        Raises:
            LinkedElsewhere: one of them leads to another person. None has been linked.
            Contended: others were faster all the time. Ask again: what is done stays done.
            RedisError: Redis does not answer. The same holds.
        """
        person = await self.person(user)
        for number, identity in enumerate(identities):
            if await self.person(identity) not in (identity, person):
                raise LinkedElsewhere(number)
        linked = 0
        for number, identity in enumerate(identities):
            linked += await self._link(identity, user, number)
        return linked

    async def _link(self, identity: str, user: str, number: int) -> bool:
        """Let one identity lead to the person behind a user; False when it did before."""
        for _ in range(TRIES):
            person = await self.person(user)
            record = await self._read(identity)
            if person == identity:
                return False
            if record.person is not None:
                if await self.person(identity) != person:
                    raise LinkedElsewhere(number)
                return False
            if await self._claim(person, identity) and await self._lead(identity, record, person):
                for member in (identity, *await self._noted(identity)):
                    await self.person(member)  # merges, and shortens the ways of those before
                return True
        raise Contended

    async def _claim(self, person: str, identity: str) -> bool:
        """Note an identity of a person; False when the person leads to somebody else by now."""
        keys = [self._space.user(person), self._space.linked(person)]
        return bool(await CLAIM.call(self._redis, keys, identity, self._user_s))

    async def _lead(self, identity: str, record: UserRecord, person: str) -> bool:
        """Put the link in the place of a state; False when the state changed meanwhile."""
        pending = state_record(new_version(), record.zone or "", record.state or self._blank)
        version = new_version()
        value = UserRecord(version, person=person, pending=pending).pack()
        seconds = int(time.time() - EPOCH.timestamp())
        entry = json.dumps({"from": identity, "to": person, "time": seconds})
        keys = [self._space.user(identity), self._space.stream(identity)]
        arguments = (record.version, version, value, self._user_s, entry)
        return bool(await LINK.call(self._redis, keys, *arguments))

    async def _read(self, user: str) -> UserRecord:
        return UserRecord.read(await self._redis.get(self._space.user(user)))

    async def _way(self, user: str) -> tuple[list[Step], str]:
        """The links from a user to the person, and the person.

        Two who are made to lead to each other at the same moment would both be nobody. Then the
        circle is opened at the user of the least name, whoever sees it.
        """
        way: list[Step] = []
        for _ in range(LONGEST):
            record = await self._read(user)
            if record.person is None:
                return way, user
            way.append(Step(user, record))
            user = record.person
            users = [step.user for step in way]
            if user in users:
                await self._open(way[users.index(user) :])
                way, user = [], users[0]
        raise Contended

    async def _open(self, circle: list[Step]) -> None:
        """Make the first of a circle of links a person again, with all that is pending in it."""
        first = min(circle, key=lambda step: step.user)
        pending = []
        for step in circle:
            others = [other.user for other in circle if other.user != step.user]
            if step.record.pending and not await self._merged(step.record, others):
                pending.append(UserRecord.read(step.record.pending))
        tokens = [step.record.version for step in circle if step.user != first.user]
        keys = [self._space.user(first.user), self._space.merged(first.user)]
        arguments = (first.record.version, self._joined(pending), self._user_s, *tokens)
        await MERGE.call(self._redis, keys, *arguments)

    async def _replace(self, step: Step, value: bytes) -> bool:
        """Write a user, if it is still as in the step."""
        keys = [self._space.user(step.user)]
        return bool(await REPLACE.call(self._redis, keys, step.record.version, value, self._user_s))

    async def _settle(self, way: list[Step], person: str) -> bool:
        """Merge what is pending on the way and shorten it; False when somebody else changed it."""
        for place in reversed(range(len(way))):
            step, later = way[place], [step.user for step in way[place + 1 :]]
            record = step.record
            if record.pending:
                known = await self._merged(record, later)
                if not known and not await self._merge(step, person):
                    return False
            if record.pending or record.person != person:
                link = UserRecord(new_version(), person=person).pack()
                noted = await self._claim(person, step.user)
                if not noted or not await self._replace(step, link):
                    return False
        return True

    async def _merged(self, record: UserRecord, users: Sequence[str]) -> bool:
        """Whether one of them, all links by now, has merged what was pending at a link before."""
        pipeline = self._redis.pipeline(transaction=False)
        for user in users:
            pipeline.sismember(self._space.merged(user), record.version)
        return any(await pipeline.execute()) if users else False

    async def _merge(self, step: Step, person: str) -> bool:
        """Merge what is pending at a link into the person; False when it has to be begun again.

        The person is read, then the link again, then the person is written if unchanged: so an
        erasure, which empties the links first and the person then, cannot fall between. For the
        same reason there must be somebody to write over: a person of whom nothing is known yet is
        written down as such first.
        """
        held = await self._read(person)
        if held.version == UNKNOWN:
            blank = state_record(new_version(), "", self._blank)
            keys = [self._space.user(person)]
            await REPLACE.call(self._redis, keys, UNKNOWN, blank, self._user_s)
            return False
        again = await self._read(step.user)
        if held.person is not None or again.version != step.record.version:
            return False
        value = self._joined([held, UserRecord.read(step.record.pending)])
        keys = [self._space.user(person), self._space.merged(person)]
        arguments = (held.version, value, self._user_s, step.record.version)
        return bool(await MERGE.call(self._redis, keys, *arguments))

    def _joined(self, records: Sequence[UserRecord]) -> bytes:
        """The record of somebody who is all of these."""
        states = (record.state or self._blank for record in records)
        users = (
            unpack(self._catalogue, np.frombuffer(state, np.uint8)[None], REMEMBERED)
            for state in states
        )
        zone = next((record.zone for record in records if record.zone), "")
        state = reduce(merge, users, UserState.empty(self._catalogue, 1, REMEMBERED))
        return state_record(new_version(), zone, pack(state).tobytes())
