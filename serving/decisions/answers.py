"""What callers, Redis and the journal are told of decisions."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final

from envs.catalogue import SILENCE, Catalogue
from envs.clock import DAY, to_datetime
from serving.budgets.budget import Reservation
from serving.decisions.rounds import Asked, Decided, Proposal
from serving.store.records import DecisionRecord
from serving.store.state import DecisionCommit

NOTHING: Final = dict.fromkeys(("offer", "channel", "title", "content"))
"""What silence offers."""


class Texts:
    """What callers, Redis and the journal are told of decisions."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._words = [
            as_json(_words(catalogue, action)).decode()[1:-1]
            for action in range(len(catalogue.actions))
        ]
        """Of each action, what is the same for everybody."""
        self._scenes = [_quoted(scene.name) for scene in catalogue.scenes]
        self._offer_s = catalogue.offer_days * DAY

    def proposal(self, decided: Decided, n: int, reservation: Reservation | None) -> Proposal:
        """What to write of a row, and what to count once it is written."""
        asked = decided.round.asked[n]
        decider, arm = decided.round.deciders[n]
        refused = decider.refused(decided.refusals[n])
        record = self._record(decided, n, asked, decider.policy_name, arm, reservation)
        commit = DecisionCommit(
            asked.decision_id,
            decided.round.readings[n].user.version,
            decided.values.get(n, b""),
            self._answer(record, refused),
            record.pack(),
            record.lease,
            record.period,
            record.reserved_cents,
            record.deferred,
        )
        return Proposal(
            asked,
            commit,
            record.action,
            arm,
            record.policy,
            record.degraded,
            refused,
            reservation,
        )

    def _record(
        self,
        decided: Decided,
        n: int,
        asked: Asked,
        policy: str,
        arm: str,
        reservation: Reservation | None,
    ) -> DecisionRecord:
        place = asked.place or (None, None)
        return DecisionRecord(
            decision_id=asked.decision_id,
            time=asked.now,
            zone=decided.round.zones[n],
            scene=asked.scene,
            scene_chance=asked.scene_chance,
            action=decided.actions[n],
            propensity=decided.propensities[n],
            observation=decided.observations[n],
            mask=decided.masks[n],
            refusals=decided.refusals[n],
            probabilities=decided.probabilities[n],
            attributes=decided.attributes[n],
            degraded=decided.degraded[n],
            policy=policy,
            arm=arm,
            budget_price=decided.round.price,
            reserved_cents=decided.cents[n],
            lease=reservation.lease if reservation else "",
            period=reservation.period if reservation else 0,
            deferred=asked.deferred,
            shadow=decided.shadow,
            shadow_propensity=decided.likely[n] if decided.likely else None,
            latitude=place[0],
            longitude=place[1],
        )

    def _answer(self, record: DecisionRecord, refused: dict[str, int]) -> bytes:
        """The answer as JSON, put together from parts: most of it is the same for many."""
        expiry = _time(record.time + self._offer_s) if record.action else "null"
        return (
            f'{{"decision_id":"{record.decision_id}","scene":{self._scenes[record.scene]},'
            f'"scene_chance":{_number(record.scene_chance)},{self._words[record.action]},'
            f'"expires_at":{expiry},"propensity":{record.propensity!r},'
            f'"policy":{_quoted(record.policy)},"arm":"{record.arm}",'
            f'"deferred":{_bool(record.deferred)},"degraded":{_bool(record.degraded)},'
            f'"refused":{_refused(tuple(refused.items()))}}}'
        ).encode()


def _number(value: float | None) -> str:
    return "null" if value is None else repr(value)


def _bool(value: bool) -> str:
    return "true" if value else "false"


@lru_cache(maxsize=4096)
def _time(seconds: int) -> str:
    return f'"{to_datetime(seconds):%Y-%m-%dT%H:%M:%SZ}"'


@lru_cache(maxsize=64)
def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


@lru_cache(maxsize=4096)
def _refused(counts: tuple[tuple[str, int], ...]) -> str:
    return json.dumps(dict(counts), ensure_ascii=False, separators=(",", ":"))


def silence(asked: Asked, policy: str, arm: str) -> bytes:
    """The safe answer, when nothing can be known or kept; never learnt from."""
    return as_json(
        {
            "decision_id": asked.decision_id,
            "scene": None,
            "scene_chance": None,
            "action": SILENCE,
            **NOTHING,
            "expires_at": None,
            "propensity": 1.0,
            "policy": policy,
            "arm": arm,
            "deferred": asked.deferred,
            "degraded": True,
            "refused": {},
        }
    )


def as_json(content: object) -> bytes:
    """Compact JSON."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _words(catalogue: Catalogue, number: int) -> dict[str, Any]:
    """What an answer says of an action, whoever it is for."""
    if not number:
        return {"action": SILENCE, **NOTHING}
    action = catalogue.actions[number]
    offer = catalogue.offers[action.offer]
    content = {"kind": offer.kind, "title": offer.title, "discount": offer.discount}
    return {
        "action": action.name,
        "offer": offer.name,
        "channel": catalogue.channels[action.channel].name,
        "title": offer.title,
        "content": content,
    }
