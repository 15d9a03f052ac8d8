"""Decisions that wait for their activation: counted as shown then, or lapsed in the end."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from contextlib import suppress
from typing import Final

from envs.catalogue import Catalogue
from envs.decisions import EventKind, Events
from envs.rules import Rules
from envs.users import UserState, advance
from serving.budgets.budget import Budget
from serving.decisions.asking import EPOCH_S
from serving.people.people import Contended, People
from serving.policies.decide import stand
from serving.security import Naming, user_of
from serving.settings import Settings
from serving.store.connect import GONE
from serving.store.records import DecisionRecord, UserRecord
from serving.store.state import EventsCommit, Store, packed
from serving.watching.metrics import Metrics
from serving.words.failures import Failure

logger = logging.getLogger(__name__)

TRIES: Final = 16
"""How often an activation is begun anew because the user changed meanwhile."""
SWEEP_S: Final = 2.0
"""Pause between looks for decisions whose time is over."""
PATIENCE_S: Final = 2.0
DEFERRED, ACTIVATED, LAPSED = b"deferred", b"activated", b"lapsed"


class Deferrals:
    """The deferred decisions of one catalogue."""

    def __init__(
        self,
        catalogue: Catalogue,
        settings: Settings,
        store: Store,
        metrics: Metrics,
        budget: Budget,
        people: People,
    ) -> None:
        self._catalogue = catalogue
        self._rules = Rules(catalogue)
        self._naming = Naming(settings.user_secret.encode())
        self._store = store
        self._metrics = metrics
        self._budget = budget
        self._people = people
        self._sweeper: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Let decisions lapse from now on when their time is over."""
        self._stopping.clear()
        self._sweeper = asyncio.create_task(self._sweep_on())

    async def stop(self) -> None:
        """Leave them to others."""
        if self._sweeper is not None:
            self._stopping.set()  # not cancelled: a cancelled call may get lost in the client
            await self._sweeper
            self._sweeper = None

    async def activate(self, decision_id: str, now: int | None = None) -> None:
        """Count a deferred decision as shown; once, however often it is asked for.

        Args:
            decision_id: of the decision.
            now: when it is shown, seconds since the epoch of ``envs.clock``; now if left out.

        Raises:
            Failure: 404 for an id that is not known; 409 for a decision that was not deferred, has
                lapsed, or is not allowed any more; 503 when Redis does not answer.
        """
        moment = int(time.time() - EPOCH_S) if now is None else now
        try:
            async with asyncio.timeout(PATIENCE_S):
                for _ in range(TRIES):
                    if await self._activated(decision_id, moment):
                        return
        except (*GONE, Contended):
            pass
        raise Failure(503, "not_ready", "the activation was not kept: ask again")

    async def _activated(self, decision_id: str, now: int) -> bool:
        """One try; False when the user changed meanwhile."""
        fields = await self._store.decision(decision_id)
        if fields is None or "record" not in fields:
            raise unknown_decision()
        state = fields.get("state", b"")
        if state == ACTIVATED:
            return True
        if state != DEFERRED:
            raise _not_waiting(state)
        record = DecisionRecord.read(fields["record"])
        user, stored = await self._person(user_of(decision_id))
        version, value = self._contacted(user, stored, record, now)
        text = activation_text(decision_id, ACTIVATED, now)
        if value and user != user_of(decision_id):  # in another slot: the contact counts first
            if not all(await self._store.commit_events([EventsCommit(user, version, value)])):
                return False
            version, value = b"", b""
        found = await self._store.activate(decision_id, user, version, value, text)
        if found == 1:
            self._metrics.count_deferral("activated")
        return found == 1 or found == ACTIVATED

    async def _person(self, user: str) -> tuple[str, UserRecord]:
        (stored,) = await self._store.read_users([user])
        while stored.person is not None:
            user = await self._people.finish(user, stored)
            (stored,) = await self._store.read_users([user])
        return user, stored

    def _contacted(
        self, user: str, stored: UserRecord, record: DecisionRecord, now: int
    ) -> tuple[bytes, bytes]:
        """The version at which the user has to be, and the user once the offer is shown.

        Raises:
            Failure: the offer is not allowed any more.
        """
        if not record.action:
            return b"", b""
        users, zone = self._store.unpacked([stored]), stored.zone or record.zone
        before = self._store.unpacked([stored])
        action = self._catalogue.actions[record.action]
        contact = Events.of(
            row=0,
            kind=EventKind.CONTACTED,
            time=now,
            scene=record.scene,
            channel=action.channel,
            offer=action.offer,
            key=self._naming.event_key(user, f"activated {record.decision_id}"),
        )
        if not advance(users, contact)[0]:  # counted by an earlier try
            return b"", b""
        self._require_allowed(before, record, now, zone)
        return stored.version, packed(users, [zone])[0]

    def _require_allowed(
        self, users: UserState, record: DecisionRecord, now: int, zone: str
    ) -> None:
        refusals = self._rules.refusals(users, stand([record.scene], [now], [zone]))
        rules = self._rules.explain(int(refusals[0, record.action]))
        if rules:
            message = f"not allowed any more ({', '.join(rules)}): do not show it"
            raise Failure(409, "refused", message, "decision_id")

    async def _sweep_on(self) -> None:
        while not self._stopping.is_set():
            try:
                await self.sweep()
            except GONE as error:
                logger.debug("deferred decisions are not looked after: %s", type(error).__name__)
            with suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_S):
                    await self._stopping.wait()

    async def sweep(self) -> int:
        """Let the decisions lapse whose time is over, and give their budget back; how many."""
        lapsed = 0
        for decision_id in await self._store.lapsing(await self._store.clock_s()):
            fields = await self._store.decision(decision_id) or {}
            lease, period, cents = "", 0, 0
            if "record" in fields:
                record = DecisionRecord.read(fields["record"])
                lease, period, cents = record.lease, record.period, record.reserved_cents
            now = int(time.time() - EPOCH_S)
            text = activation_text(decision_id, LAPSED, now)
            if await self._store.lapse(decision_id, lease, period, cents, text):
                lapsed += 1
                self._metrics.count_deferral("lapsed")
                if lease:
                    await self._budget.release(period, lease, cents)
        return lapsed


def activation_text(decision_id: str, state: bytes, time_s: int) -> bytes:
    """What the journal is told of a deferred decision."""
    told = {"decision": decision_id, "state": state.decode(), "time": time_s}
    return json.dumps(told).encode()


def unknown_decision() -> Failure:
    """There is no such decision."""
    message = "no such decision: it was never taken, was degraded, or is no longer kept"
    return Failure(404, "unknown_decision", message, "decision_id")


def _not_waiting(state: bytes) -> Failure:
    if state == LAPSED:
        message = "the decision has lapsed: ask for an offer again"
        return Failure(409, "lapsed", message, "decision_id")
    message = "the decision was not deferred: it counts already"
    return Failure(409, "not_deferred", message, "decision_id")
