"""The door for callers of Azure Personalizer: rank, reward and activate, as they know them.

Names that the catalogue knows are ranked by what serves: an ordinary decision is taken among them,
with every rule, cap and budget, and the ranking tells the chances that it was drawn with. Names of
which the catalogue knows none are ranked at random. Either way the journal is told what was asked,
what was drawn with which chance, and what reward came of it.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np

from envs.catalogue import SILENCE, Catalogue
from serving.decisions.asking import EPOCH_S
from serving.decisions.deferrals import Deferrals
from serving.decisions.offers import Offers
from serving.decisions.rounds import Asked
from serving.people.people import Contended
from serving.personalizer.bodies import (
    RankAnswer,
    RankedAction,
    RankRequest,
    SlotAnswer,
    SlotReward,
    SlotsAnswer,
    SlotsRequest,
)
from serving.personalizer.context import Context, Heard
from serving.personalizer.events import ACTIVATED, REWARD, KeptEvent, KeptEvents
from serving.personalizer.ranking import (
    Names,
    Ranking,
    others_excluded,
    ranked_at_random,
    ranked_by_policy,
)
from serving.security import Naming, user_of
from serving.settings import Settings
from serving.store.connect import GONE
from serving.store.records import DecisionRecord
from serving.store.state import DAY_S, Store
from serving.words.failures import Failure, shortened

Result = TypeVar("Result")

PATIENCE_S: Final = 2.0
"""How long an event waits for Redis in all."""
SINGLE, SLOTS = "rank", "slots"


@dataclass(frozen=True, slots=True)
class Event:
    """A call to rank, understood."""

    name: str
    event: str
    """Hash of the name."""
    user: str
    """Hashed user; the hash of the event for a stranger."""
    heard: Heard
    actions: tuple[str, ...]
    deferred: bool


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was drawn for one place."""

    ranking: Ranking | None
    """None where the rules allowed nothing that has a name."""
    policy: str
    decision_id: str | None = None
    """Of the decision behind it, where the catalogue knows the names."""


class Personalizer:
    """The calls of the door for one catalogue."""

    def __init__(
        self,
        catalogue: Catalogue,
        settings: Settings,
        store: Store,
        offers: Offers,
        deferrals: Deferrals,
    ) -> None:
        self._names = Names(catalogue)
        self._context = Context(catalogue)
        self._naming = Naming(settings.user_secret.encode())
        self._store, self._offers, self._deferrals = store, offers, deferrals
        self.events = KeptEvents(store.space, store.redis, settings.decision_days * DAY_S)

    async def rank(self, body: RankRequest) -> bytes:
        """The answer to a call to rank; the same whenever the event is repeated.

        Raises:
            Failure: 400 for what cannot be ranked, 409 where the rules allow none of the actions,
                503 when Redis does not answer.
        """
        event = self._understand(SINGLE, body)
        return await _kept(self._rank(event, body))

    async def _rank(self, event: Event, body: RankRequest) -> bytes:
        kept = await self.events.find(event.event)
        if kept is not None:
            return _named(kept.answer, event)
        excluded = tuple(body.excluded_actions or ())
        drawn = await self._draw(event, event.actions, excluded, "")
        if drawn.ranking is None:
            raise Failure(
                409,
                "refused",
                "the rules allow none of these actions for this user now: show nothing, "
                "or name silence among the actions",
            )
        ranking = drawn.ranking
        answer = RankAnswer(
            ranking=[
                RankedAction(id=name, probability=chance)
                for name, chance in zip(ranking.names, ranking.probabilities, strict=True)
            ],
            event_id=event.name,
            reward_action_id=ranking.chosen,
        )
        return await self._keep(event, body, answer, {"": drawn})

    async def rank_slots(self, body: SlotsRequest) -> bytes:
        """The same for several places, one after another; no action is shown in two of them.

        Raises:
            Failure: as ``rank``; a place for which the rules allow nothing has no action instead.
        """
        event = self._understand(SLOTS, body)
        _require_distinct([slot.id for slot in body.slots], "slots")
        return await _kept(self._rank_slots(event, body))

    async def _rank_slots(self, event: Event, body: SlotsRequest) -> bytes:
        kept = await self.events.find(event.event)
        if kept is not None:
            return _named(kept.answer, event)
        drawn: dict[str, Drawn] = {}
        left = event.actions
        for slot in body.slots:
            found = await self._draw_slot(event, left, tuple(slot.excluded_actions or ()), slot.id)
            drawn[slot.id] = found
            chosen = found.ranking.chosen if found.ranking else SILENCE
            if chosen != SILENCE:
                left = tuple(name for name in left if name != chosen)
        answers = [
            SlotAnswer(id=name, reward_action_id=each.ranking.chosen if each.ranking else None)
            for name, each in drawn.items()
        ]
        answer = SlotsAnswer(slots=answers, event_id=event.name)
        return await self._keep(event, body, answer, drawn)

    async def _draw_slot(
        self, event: Event, left: tuple[str, ...], excluded: tuple[str, ...], slot: str
    ) -> Drawn:
        if all(name in excluded for name in left):
            return Drawn(None, "none")
        return await self._draw(event, left, excluded, slot)

    async def reward(self, name: str, value: float) -> None:
        """Note how good it was to show what was drawn; the first reward counts.

        Raises:
            Failure: 404 for an event that is not known, 503 when Redis does not answer.
        """
        await _kept(self._reward(SINGLE, name, {"": value}))

    async def reward_slots(self, name: str, rewards: Sequence[SlotReward]) -> None:
        """The same for several places.

        Raises:
            Failure: also 400 for a place that the event does not have.
        """
        await _kept(self._reward(SLOTS, name, {each.slot_id: each.value for each in rewards}))

    async def _reward(self, kind: str, name: str, values: dict[str, float]) -> None:
        kept = await self._known(kind, name)
        if kind == SLOTS:
            places = {slot["id"] for slot in json.loads(kept.answer)["slots"]}
            for slot in values:
                if slot not in places:
                    raise Failure(400, "unknown_slot", f"the event has no slot {shortened(slot)}")
        for slot, value in values.items():
            told = self._text(kept, "reward", slot=slot or None, value=value)
            if not await self.events.mark(kept, f"{REWARD}{slot}", repr(value), told):
                raise _unknown()

    async def activate(self, name: str, kind: str = SINGLE) -> None:
        """Count what was drawn as shown from now on; once, however often it is said.

        Raises:
            Failure: 404 for an event that is not known, 409 when the rules do not allow it any
                more or it has lapsed, 503 when Redis does not answer.
        """
        await _kept(self._activate(kind, name))

    async def _activate(self, kind: str, name: str) -> None:
        kept = await self._known(kind, name)
        refused = None
        for decision_id in kept.decisions:
            try:
                await self._deferrals.activate(decision_id)
            except Failure as failure:  # the others may be shown nevertheless
                refused = failure
        if refused is not None:
            raise refused
        if not await self.events.mark(kept, ACTIVATED, "1", self._text(kept, "activation")):
            raise _unknown()

    async def _known(self, kind: str, name: str) -> KeptEvent:
        kept = await self.events.find(self._naming.event(kind, name))
        if kept is None:
            raise _unknown()
        return kept

    def _understand(self, kind: str, body: RankRequest | SlotsRequest) -> Event:
        name = body.event_id or uuid.uuid4().hex
        actions = tuple(action.id for action in body.actions)
        _require_distinct(actions, "actions")
        heard = self._context.hear(body.context_features or [])
        event = self._naming.event(kind, name)
        user = event if heard.user_id is None else self._naming.user(heard.user_id)
        return Event(name, event, user, heard, actions, bool(body.defer_activation))

    async def _draw(
        self, event: Event, names: tuple[str, ...], excluded: tuple[str, ...], slot: str
    ) -> Drawn:
        if all(name in excluded for name in names):
            raise Failure(400, "all_excluded", "every action is excluded: leave one")
        if self._names.known(event.actions):
            return await self._decided(event, names, excluded, slot)
        uniform = self._naming.uniform(f"{event.event} {slot}")
        return Drawn(ranked_at_random(names, excluded, uniform), "uniform")

    async def _decided(
        self, event: Event, names: tuple[str, ...], excluded: tuple[str, ...], slot: str
    ) -> Drawn:
        """An ordinary decision among the names that the catalogue knows."""
        owners = self._names.owners(names, excluded)
        request_id = f"{event.event} {slot}"
        decision_id = self._naming.decision(event.user, request_id)
        asked = Asked(
            identity=event.user,
            user=event.user,
            request_id=request_id,
            decision_id=decision_id,
            uniform=self._naming.uniform(decision_id),
            scene=event.heard.scene,
            now=int(time.time() - EPOCH_S),
            attributes=event.heard.attributes,
            excluded=others_excluded(owners),
            deferred=event.deferred,
            speaks=bool(owners[0] < 0),
        )
        answer = json.loads(await self._offers.decide(asked))
        fields = await self._store.decision(answer["decision_id"])
        if fields is None or "record" not in fields:  # the safe answer, which nobody keeps
            raise _not_kept()
        record = DecisionRecord.read(fields["record"])
        row = np.frombuffer(record.probabilities, np.float64)
        ranking = ranked_by_policy(names, owners, row / row.sum(), record.action)
        return Drawn(ranking, record.policy, record.decision_id)

    async def _keep(
        self,
        event: Event,
        body: RankRequest | SlotsRequest,
        answer: RankAnswer | SlotsAnswer,
        drawn: dict[str, Drawn],
    ) -> bytes:
        """Write the event; the answer, which is another one if somebody else was faster."""
        ids = [each.decision_id for each in drawn.values() if each.decision_id is not None]
        user = user_of(ids[0]) if ids else event.user  # the person, once an identity is linked
        user = await self.events.owner(event.event, user)
        waiting = tuple(ids) if event.deferred else ()
        shape = answer.model_dump_json(by_alias=True, exclude={"event_id"})
        kept = KeptEvent(event.event, user, shape, waiting)
        actions = [action.model_dump() for action in body.actions]
        slots = {slot.id: slot for slot in body.slots} if isinstance(body, SlotsRequest) else {}
        told = self._text(
            kept,
            "rank",
            deferred=event.deferred,
            context=event.heard.told,
            actions=actions,
            slots=[
                _told_slot(name, each, slots[name].features if name in slots else None)
                for name, each in drawn.items()
            ],
        )
        return _named(await self.events.keep(kept, told), event)

    def _text(self, kept: KeptEvent, what: str, **more: Any) -> str:
        """What the journal is told.

        Raises:
            Failure: features that are no JSON, such as NaN.
        """
        now = int(time.time() - EPOCH_S)
        head = {"event_id": kept.event, "user": kept.user, "time": now, "what": what}
        try:
            return json.dumps(head | more, allow_nan=False)
        except ValueError as error:
            raise Failure(400, "invalid_features", f"features: {error}") from None


def _told_slot(name: str, drawn: Drawn, features: list[Any] | None) -> dict[str, Any]:
    ranking = drawn.ranking
    return {
        "slot": name or None,
        "features": features,
        "chosen": ranking.chosen if ranking else None,
        "probability": ranking.probabilities[0] if ranking else None,
        "ranking": list(zip(ranking.names, ranking.probabilities, strict=True)) if ranking else [],
        "policy": drawn.policy,
        "decision": drawn.decision_id,
    }


def _named(answer: str, event: Event) -> bytes:
    """What was kept of an answer, with the name by which the caller knows the event."""
    return json.dumps(json.loads(answer) | {"eventId": event.name}).encode()


def _require_distinct(names: Sequence[str], field: str) -> None:
    if len(set(names)) < len(names):
        raise Failure(400, "repeated_name", f"{field}: each needs an id of its own")


async def _kept(work: Awaitable[Result]) -> Result:
    """What work gives that waits for Redis, as long as a caller may be expected to wait."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await work
    except (*GONE, Contended):
        raise _not_kept() from None


def _not_kept() -> Failure:
    return Failure(503, "not_kept", "Redis does not answer: send the same event again")


def _unknown() -> Failure:
    return Failure(404, "unknown_event", "no such event: it was never ranked or is kept no longer")
