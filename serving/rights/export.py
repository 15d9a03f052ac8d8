"""Export: everything that is kept of a person in Redis, in words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import numpy as np
from pydantic import BaseModel, Field

from envs.catalogue import Catalogue
from envs.users import unpack
from serving.decisions.explain import DECIDED, EVENT_FIELD
from serving.people.people import People
from serving.personalizer.bodies import RankWords
from serving.personalizer.events import KeptEvents
from serving.rights.user_words import StateWords, in_words, iso
from serving.store.connect import Client
from serving.store.keys import REMEMBERED, Space
from serving.store.records import DecisionRecord, UserRecord
from serving.words.bodies import LinkedEvent, Location

AT_ONCE: Final = 100
"""Decisions that one round trip reads."""


class DecisionWords(BaseModel):
    """A decision, and what came of it."""

    decision_id: str
    time: str
    time_zone: str
    scene: str
    action: str
    propensity: float
    policy: str
    arm: str
    state: str
    location: Location | None
    events: list[LinkedEvent]


class UserAnswer(BaseModel):
    """Everything that is kept of a person."""

    identities: int = Field(description="Other names under which the person is known")
    time_zone: str | None
    state: StateWords | None
    decisions: list[DecisionWords] = Field(description="Latest first")
    ranks: list[RankWords] = Field(description="Events of the Personalizer door")


class Export:
    """Reads the users of one catalogue."""

    def __init__(
        self,
        catalogue: Catalogue,
        people: People,
        ranks: KeptEvents,
        space: Space,
        redis: Client,
        time_zone: str,
    ) -> None:
        """Export of one catalogue's users.

        Args:
            catalogue: in whose words.
            people: who is behind whom.
            ranks: events of the Personalizer door.
            space: where they are kept.
            redis: a client of ``serving.store.connect``.
            time_zone: of a user who never told one.
        """
        self._catalogue = catalogue
        self._people = people
        self._ranks = ranks
        self._space = space
        self._redis = redis
        self._zone = time_zone

    async def tell(self, user: str, now: int) -> UserAnswer | None:
        """What is kept of the person behind a hashed user; None when it is nothing.

        Args:
            user: hashed.
            now: as of when caps and sums are told, seconds since the epoch of ``envs.clock``.

        Raises:
            Contended: others changed the links all the time.
            RedisError: Redis does not answer.
        """
        person = await self._people.person(user)
        identities = await self._people.identities(person)
        record = UserRecord.read(await self._redis.get(self._space.user(person)))
        decisions: list[DecisionWords] = []
        ranks: list[RankWords] = []
        for each in (person, *identities):
            decisions += await self._decisions(each)
            ranks += await self._ranks.told(each)
        if record.state is None and not (identities or decisions or ranks):
            return None
        return UserAnswer(
            identities=len(identities),
            time_zone=record.zone or None,
            state=self._state(record, now),
            decisions=sorted(decisions, key=lambda decision: decision.time, reverse=True),
            ranks=ranks,
        )

    def _state(self, record: UserRecord, now: int) -> StateWords | None:
        if record.state is None:
            return None
        packed = np.frombuffer(record.state, np.uint8)[None]
        user = unpack(self._catalogue, packed, REMEMBERED)
        return in_words(self._catalogue, user, record.zone or self._zone, now)

    async def _decisions(self, user: str) -> list[DecisionWords]:
        """The decisions of one hashed user."""
        ids = [name.decode() for name in await self._redis.zrange(self._space.of_user(user), 0, -1)]
        found: list[DecisionWords] = []
        for start in range(0, len(ids), AT_ONCE):
            found += await self._read(ids[start : start + AT_ONCE])
        return found

    async def _read(self, ids: Sequence[str]) -> list[DecisionWords]:
        pipeline = self._redis.pipeline(transaction=False)
        for decision_id in ids:
            pipeline.hgetall(self._space.decision(decision_id))
        return [
            self._decision({name.decode(): value for name, value in fields.items()})
            for fields in await pipeline.execute()
            if b"record" in fields
        ]

    def _decision(self, fields: dict[str, bytes]) -> DecisionWords:
        record = DecisionRecord.read(fields["record"])
        events = [json.loads(text) for name, text in fields.items() if name.startswith(EVENT_FIELD)]
        events.sort(key=lambda event: int(event["time"]))
        place = None
        if record.latitude is not None and record.longitude is not None:
            place = Location(latitude=record.latitude, longitude=record.longitude)
        return DecisionWords(
            decision_id=record.decision_id,
            time=iso(record.time),
            time_zone=record.zone,
            scene=self._catalogue.scenes[record.scene].name,
            action=self._catalogue.actions[record.action].name,
            propensity=record.propensity,
            policy=record.policy,
            arm=record.arm,
            state=fields.get("state", DECIDED).decode(),
            location=place,
            events=[LinkedEvent(**event | {"time": iso(event["time"])}) for event in events],
        )
