"""Why a decision was taken, and what came of it."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import numpy as np

from envs.catalogue import Catalogue
from envs.clock import to_datetime
from envs.encoding import Encoding
from envs.rules import Rules
from serving.store.records import DecisionRecord
from serving.words.bodies import DecisionAnswer, LinkedEvent, OfferAnswer, Why

DECISION_ID: Final = re.compile(r"[0-9a-f]{32}-[0-9a-f]{20}")
EVENT_FIELD: Final = "e:"
DECIDED: Final = b"decided"


class Explaining:
    """Reads decisions of one catalogue back."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._rules = Rules(catalogue)
        self._names = Encoding(catalogue).names

    def explain(self, fields: dict[str, bytes]) -> DecisionAnswer:
        """What Redis holds of a decision, in words."""
        record = DecisionRecord.read(fields["record"])
        linked = (value for name, value in fields.items() if name.startswith(EVENT_FIELD))
        events = sorted((json.loads(text) for text in linked), key=_time)
        return DecisionAnswer(
            decision=OfferAnswer.model_validate_json(fields["answer"]),
            state=fields.get("state", DECIDED).decode(),
            scene=self._catalogue.scenes[record.scene].name,
            time=_iso(record.time),
            time_zone=record.zone,
            budget_price=record.budget_price,
            reserved_cents=record.reserved_cents,
            why=self._why(record),
            events=[LinkedEvent(**event | {"time": _iso(event["time"])}) for event in events],
        )

    def _why(self, record: DecisionRecord) -> Why:
        actions = self._catalogue.actions
        refusals = np.frombuffer(record.refusals, np.uint32).tolist()
        chances = np.frombuffer(record.probabilities, np.float64).tolist()
        seen = np.frombuffer(record.observation, np.float32).tolist()
        return Why(
            refusals={
                action.name: list(self._rules.explain(bits))
                for action, bits in zip(actions, refusals, strict=True)
                if bits
            },
            probabilities={
                action.name: chance
                for action, chance in zip(actions, chances, strict=True)
                if chance > 0
            },
            observation={
                name: value for name, value in zip(self._names, seen, strict=True) if value
            },
        )


def _time(event: dict[str, Any]) -> int:
    return int(event["time"])


def _iso(seconds: int) -> str:
    return f"{to_datetime(seconds):%Y-%m-%dT%H:%M:%SZ}"
