"""What callers, Redis and the journal are told of decisions."""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np

from envs.catalogue import SILENCE, Catalogue
from envs.clock import DAY, to_datetime
from serving.decisions.rounds import Asked, Proposal, Row
from serving.policies.decide import Decider
from serving.store.records import DecisionRecord
from serving.store.state import DecisionCommit

NOTHING: Final = dict.fromkeys(("offer", "channel", "title", "content", "expires_at"))
"""What silence offers."""


class Texts:
    """What callers, Redis and the journal are told of decisions."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._words = [_words(catalogue, action) for action in range(len(catalogue.actions))]
        self._offer_s = catalogue.offer_days * DAY

    def proposal(self, row: Row, asked: Asked, value: bytes) -> Proposal:
        """What to write of a row, and what to count once it is written."""
        n, verdict = row.n, row.verdict
        decider, arm = row.round.deciders[n]
        refused = decider.refused(verdict.refusals[n])
        record = self._record(row, asked, decider, arm)
        commit = DecisionCommit(
            decision_id=asked.decision_id,
            version=row.round.readings[n].user.version,
            value=value,
            answer=self._answer(record, refused),
            record=record.pack(),
            lease=record.lease,
            period=record.period,
            cents=row.cents,
            deferred=asked.deferred,
        )
        return Proposal(
            asked,
            commit,
            record.action,
            arm,
            record.policy,
            record.degraded,
            refused,
            row.reservation,
        )

    def _record(self, row: Row, asked: Asked, decider: Decider, arm: str) -> DecisionRecord:
        n, verdict, reservation = row.n, row.verdict, row.reservation
        name, likely = row.seen or (None, None)
        place = asked.place or (None, None)
        return DecisionRecord(
            decision_id=asked.decision_id,
            time=asked.now,
            zone=row.round.zones[n],
            scene=asked.scene,
            action=int(verdict.actions[n]),
            propensity=float(verdict.propensities[n]),
            observation=verdict.observations[n].tobytes(),
            mask=np.packbits(verdict.mask[n]).tobytes(),
            refusals=verdict.refusals[n].tobytes(),
            probabilities=verdict.probabilities[n].tobytes(),
            attributes=row.attributes,
            degraded=bool(verdict.degraded[n]),
            policy=decider.policy_name,
            arm=arm,
            budget_price=row.round.price,
            reserved_cents=row.cents,
            lease=reservation.lease if reservation else "",
            period=reservation.period if reservation else 0,
            deferred=asked.deferred,
            shadow=name,
            shadow_propensity=None if likely is None else float(likely[n]),
            latitude=place[0],
            longitude=place[1],
        )

    def _answer(self, record: DecisionRecord, refused: dict[str, int]) -> bytes:
        words = self._words[record.action]
        expiry = None
        if record.action:
            expiry = f"{to_datetime(record.time + self._offer_s):%Y-%m-%dT%H:%M:%SZ}"
        return as_json(
            {
                "decision_id": record.decision_id,
                **words,
                "expires_at": expiry,
                "propensity": record.propensity,
                "policy": record.policy,
                "arm": record.arm,
                "deferred": record.deferred,
                "degraded": record.degraded,
                "refused": refused,
            }
        )


def silence(asked: Asked, policy: str, arm: str) -> bytes:
    """The safe answer, when nothing can be known or kept; never learnt from."""
    return as_json(
        {
            "decision_id": asked.decision_id,
            "action": SILENCE,
            **NOTHING,
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
