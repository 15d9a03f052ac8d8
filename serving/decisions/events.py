"""The call that tells what happened: events by user, one read and one commit for each of them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.decisions import EventKind, Events
from envs.users import UserState, advance
from serving.decisions.explain import EVENT_FIELD
from serving.people.people import Contended, People
from serving.security import Naming, user_of
from serving.settings import Settings
from serving.store.connect import GONE
from serving.store.records import UserRecord
from serving.store.state import EventsCommit, Store, packed
from serving.watching.metrics import Metrics
from serving.words.bodies import KIND_NUMBER, EventBody, EventsAnswer, EventsRequest, ReportedKind
from serving.words.failures import Failure
from serving.words.vocabulary import Vocabulary

PATIENCE_S: Final = 2.0
"""How long events wait, for Redis and for others who change the same users, before the caller is
asked to tell them again."""
SLICE: Final = 64
"""Events after which decisions that wait get their turn."""
USER: Final = re.compile("[0-9a-f]{32}")
UNWRITTEN: Final = (ReportedKind.SCENE_ENTERED, ReportedKind.DESCRIBED)
"""Kinds that are no outcome: kept in the user state, not in the journal."""


@dataclass(frozen=True, slots=True)
class Told:
    """An event, understood."""

    user: str
    """Hashed."""
    body: EventBody
    time: int
    """Seconds since the epoch of ``envs.clock``."""
    key: int
    scene: int
    channel: int
    offer: int
    attributes: NDArray[np.float32] | None


class Happenings:
    """Lets events befall the users of one catalogue."""

    def __init__(
        self,
        catalogue: Catalogue,
        settings: Settings,
        store: Store,
        metrics: Metrics,
        people: People,
    ) -> None:
        self._people = people
        self._zone = settings.time_zone
        self._store = store
        self._metrics = metrics
        self._naming = Naming(settings.user_secret.encode())
        self._vocabulary = Vocabulary(catalogue)

    async def tell(self, body: EventsRequest) -> EventsAnswer:
        """Let the events happen; all are understood before the first is written.

        Raises:
            Failure: 422 for an event that names what is not known, 503 when Redis cannot keep them.
        """
        told = [self._understand(event, number) for number, event in enumerate(body.events)]
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._require_own_decisions(told)
                counted = await self._keep(told)
        except (*GONE, Contended) as error:
            raise _not_kept(f"Redis does not answer in time ({type(error).__name__})") from None
        for event, new in zip(told, counted, strict=True):
            self._metrics.count_events(event.body.kind.value, "accepted" if new else "repeated")
            if new and event.body.decision_id is not None:
                self._metrics.count_outcome(event.body.kind.value)
        return EventsAnswer(accepted=sum(counted), repeated=len(told) - sum(counted))

    def _understand(self, body: EventBody, number: int) -> Told:
        words, place = self._vocabulary, f"events.{number}"
        user = self._naming.user(body.user_id)
        _require(body, place)
        words.zone(body.time_zone, f"{place}.time_zone")
        given = body.attributes
        return Told(
            user=user,
            body=body,
            time=words.time(body.time, f"{place}.time"),
            key=self._naming.event_key(user, body.event_id),
            scene=words.index_or_none("scene", body.scene, f"{place}.scene"),
            channel=words.index_or_none("channel", body.channel, f"{place}.channel"),
            offer=words.index_or_none("offer", body.offer, f"{place}.offer"),
            attributes=words.attributes(given, f"{place}.attributes") if given else None,
        )

    async def _require_own_decisions(self, told: Sequence[Told]) -> None:
        """See that each event names a decision of the same person.

        Raises:
            Failure: 422 for one that does not.
        """
        for number, event in enumerate(told):
            named = event.body.decision_id
            if named is None or user_of(named) == event.user:
                continue
            whose = user_of(named)
            if not USER.fullmatch(whose) or (
                await self._people.person(whose) != await self._people.person(event.user)
            ):
                message = "no decision of this user: give the decision_id that its offer came with"
                raise Failure(422, "foreign_decision", message, f"events.{number}.decision_id")

    async def _keep(self, told: Sequence[Told]) -> list[bool]:
        """Write the events, user by user; for each whether it counted."""
        waiting: dict[str, list[int]] = {}
        for number, event in enumerate(told):
            waiting.setdefault(event.user, []).append(number)
        counted = [False] * len(told)
        while waiting:  # whoever loses a race has seen somebody else get on
            lost: dict[str, list[int]] = {}
            waiting, stored = await self._persons(waiting)
            users = list(waiting)
            states = self._store.unpacked(stored)
            await self._happen(states, told, list(waiting.values()), counted)
            commits = self._commits(users, stored, states, waiting, told, counted)
            written = await self._store.commit_events(commits)
            for commit, success in zip(commits, written, strict=True):
                if not success:
                    self._metrics.races.inc()
                    lost[commit.user] = waiting[commit.user]
            waiting = lost
        return counted

    async def _persons(
        self, waiting: dict[str, list[int]]
    ) -> tuple[dict[str, list[int]], list[UserRecord]]:
        """The events by the person they befall, and what Redis holds of these."""
        while True:
            users = list(waiting)
            stored = await self._store.read_users(users)
            if all(record.person is None for record in stored):
                return waiting, stored
            persons: dict[str, list[int]] = {}
            for user, record in zip(users, stored, strict=True):
                person = await self._people.finish(user, record)
                persons[person] = sorted(persons.get(person, []) + waiting[user])
            waiting = persons

    async def _happen(
        self,
        states: UserState,
        told: Sequence[Told],
        by_user: Sequence[Sequence[int]],
        counted: list[bool],
    ) -> None:
        """Advance the states, in place; the numbers of each user's events are ``by_user``."""
        # One event of each user, then the next of each: so the arrays are worked in long runs.
        order = sorted(
            (turn, row, number)
            for row, numbers in enumerate(by_user)
            for turn, number in enumerate(numbers)
        )
        for start in range(0, len(order), SLICE):
            part = order[start : start + SLICE]
            rows = [row for _, row, _ in part]
            numbers = [number for _, _, number in part]
            new = advance(states, self._events(rows, [told[number] for number in numbers]))
            for number, is_new in zip(numbers, new.tolist(), strict=True):
                counted[number] = is_new
            _describe(states, rows, [told[number] for number in numbers])
            await asyncio.sleep(0)

    def _events(self, rows: list[int], told: Sequence[Told]) -> Events:
        return Events.of(
            row=rows,
            kind=[KIND_NUMBER[event.body.kind.value] for event in told],
            time=[event.time for event in told],
            scene=[event.scene for event in told],
            channel=[event.channel for event in told],
            offer=[event.offer for event in told],
            amount_cents=[event.body.amount_cents or 0 for event in told],
            discount=[event.body.discount or 0.0 for event in told],
            key=np.asarray([event.key for event in told], np.uint64),
        )

    def _commits(
        self,
        users: Sequence[str],
        stored: Sequence[UserRecord],
        states: UserState,
        waiting: dict[str, list[int]],
        told: Sequence[Told],
        counted: Sequence[bool],
    ) -> list[EventsCommit]:
        zones = [
            _latest_zone([told[number] for number in waiting[user]]) or record.zone or self._zone
            for user, record in zip(users, stored, strict=True)
        ]
        commits = []
        for row, (user, value) in enumerate(zip(users, packed(states, zones), strict=True)):
            fresh = [told[number] for number in waiting[user] if counted[number]]
            known = UserRecord.read(value)
            if not fresh and (known.state, known.zone) == (stored[row].state, stored[row].zone):
                continue  # all of it was known already
            commits.append(EventsCommit(user, stored[row].version, value, _texts(user, fresh)))
        return commits


def _require(body: EventBody, place: str) -> None:
    """An event without what makes it that event would count as something else."""
    if body.kind in (ReportedKind.BOUGHT, ReportedKind.REFUNDED) and body.amount_cents is None:
        message = f"{place}.amount_cents is required for {body.kind.value}"
        raise Failure(422, "missing_field", message, f"{place}.amount_cents")
    if body.kind is ReportedKind.DESCRIBED and not body.attributes:
        message = f"{place}.attributes is required for described"
        raise Failure(422, "missing_field", message, f"{place}.attributes")


def _describe(states: UserState, rows: list[int], told: Sequence[Told]) -> None:
    """Attributes may come with any event. They need no key: the latest told counts anyway."""
    for row, event in zip(rows, told, strict=True):
        if event.attributes is not None:
            values = event.attributes[None, :]
            kind = EventKind.DESCRIBED
            advance(states, Events.of(row=row, kind=kind, time=event.time, attributes=values))


def _latest_zone(events: Sequence[Told]) -> str | None:
    zoned = [(event.time, event.body.time_zone) for event in events if event.body.time_zone]
    return max(zoned)[1] if zoned else None


def _texts(user: str, events: Sequence[Told]) -> list[tuple[str | None, str, bytes]]:
    """For the journal and the decision they came of."""
    texts = []
    for event in events:
        body = event.body
        if body.kind in UNWRITTEN and body.decision_id is None:
            continue
        fields = {
            "decision": body.decision_id,
            "user": user,
            "key": f"{event.key:016x}",
            "kind": body.kind.value,
            "time": event.time,
            "scene": body.scene,
            "channel": body.channel,
            "offer": body.offer,
            "amount_cents": body.amount_cents,
            "discount": body.discount,
        }
        text = json.dumps({name: value for name, value in fields.items() if value is not None})
        texts.append((body.decision_id, f"{EVENT_FIELD}{event.key:016x}", text.encode()))
    return texts


def _not_kept(why: str) -> Failure:
    message = f"the events were not all kept: {why}; send the same body again, nothing counts twice"
    return Failure(503, "not_kept", message)
