"""Entries of the journal streams, as the service adds them."""

import json
from dataclasses import dataclass, replace

import numpy as np
import redis

from envs.catalogue import Catalogue
from envs.clock import DAY
from envs.encoding import Encoding
from serving.store.keys import Space
from serving.store.records import DecisionRecord

ARRIVED_MS = 1_764_165_600_000
"""2025-11-26T14:00:00Z."""


def hashed(number: int) -> str:
    """A user in a bucket of their own, for small numbers."""
    return f"{number:04x}{number:028x}"


def record(catalogue: Catalogue, user: str, number: int = 0, **changes: object) -> DecisionRecord:
    """A silent decision of a user."""
    actions = len(catalogue.actions)
    usual = DecisionRecord(
        decision_id=f"{user}-{number:020x}",
        time=2000 * DAY + number,
        zone="UTC",
        scene=0,
        scene_chance=None,
        action=0,
        propensity=0.5,
        observation=np.zeros(Encoding(catalogue).width, np.float32).tobytes(),
        mask=np.packbits(np.ones(actions, bool)).tobytes(),
        refusals=np.zeros(actions, np.uint32).tobytes(),
        probabilities=np.full(actions, 1 / actions).tobytes(),
        attributes=np.full(len(catalogue.attributes), np.nan, np.float32).tobytes(),
        degraded=False,
        policy="uniform",
        arm="serving",
        budget_price=0.25,
        reserved_cents=0,
        lease="",
        period=0,
        deferred=False,
        shadow=None,
        shadow_propensity=None,
        latitude=None,
        longitude=None,
    )
    return replace(usual, **changes)


@dataclass(frozen=True)
class Stream:
    """Adds entries to the streams of one catalogue."""

    redis: redis.Redis
    catalogue: Catalogue

    def add(self, user: str, name: str, value: bytes | str, at: str = "*") -> bytes:
        return self.redis.xadd(Space(self.catalogue).stream(user), {name: value}, id=at)

    def decide(self, user: str, number: int = 0, at: str = "*", **changes: object) -> str:
        decision = record(self.catalogue, user, number, **changes)
        self.add(user, "d", decision.pack(), at)
        return decision.decision_id

    def happen(self, user: str, key: str, kind: str = "bought", at: str = "*", **more: object):
        event = {"user": user, "key": key, "kind": kind, "time": 2000 * DAY + 60} | more
        self.add(user, "e", json.dumps(event), at)

    def mark(self, decision: str, state: str):
        text = json.dumps({"decision": decision, "state": state, "time": 2000 * DAY})
        self.add(decision.partition("-")[0], "a", text)

    def link(self, user: str, person: str):
        self.add(user, "l", json.dumps({"from": user, "to": person, "time": 2000 * DAY}))

    def rank(self, user: str, event_id: str):
        self.add(user, "p", json.dumps({"event_id": event_id, "user": user, "time": 1.5}))

    def erase(self, *users: str, at: str = "*"):
        self.add(users[0], "x", json.dumps({"users": users}), at)

    def left(self) -> int:
        """Entries in the streams."""
        return sum(self.redis.xlen(stream) for stream in Space(self.catalogue).streams())

    def pending(self) -> int:
        """Entries that a writer has taken and not let go of."""
        streams = Space(self.catalogue).streams()
        groups = [group for key in streams for group in self.redis.xinfo_groups(key)]
        return sum(group["pending"] for group in groups)
