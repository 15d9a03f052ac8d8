"""Clients that hammer: single offers, batches, events and the same request again, all at once."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from benchmarks.connections import Client
from benchmarks.load import BATCH, OFFERS

EVENTS: Final = "/v1/events"
KINDS: Final = ("scene_entered", "viewed", "carted", "bought", "opened", "clicked", "dismissed")
RECENT: Final = 256
"""Requests that may be repeated; some of them are still being answered."""


@dataclass(frozen=True, slots=True)
class Mix:
    """What the clients do, and to whom."""

    users: int
    hot_users: int
    """Users who get half of everything."""
    scenes: tuple[str, ...]
    batch: int
    """Offers in a batch, events in a call."""
    repeated: float = 0.08
    """Share of the calls that repeat a request."""
    batched: float = 0.04
    told: float = 0.08
    """Share of the calls that tell events."""
    deferred: float = 0.15
    """Share of the requests that are shown later, or never."""
    shown: float = 0.7
    """Share of the deferred offers that are shown."""


@dataclass(slots=True)
class Seen:
    """What the clients were answered."""

    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    """First answer that was no stopgap, by request."""
    statuses: Counter[str] = field(default_factory=Counter)
    """Calls by kind and status; 0 stands for no answer."""
    decided: int = 0
    """Answers to offers, repeated ones too."""
    degraded: int = 0
    differing: int = 0
    """Requests that were answered again, and differently."""
    repeated: int = 0
    """Requests that were answered again."""
    refused: Counter[str] = field(default_factory=Counter)
    """Decisions in which a rule refused something."""
    activated: set[str] = field(default_factory=set)
    """Deferred decisions that were told to be shown, and are known to be."""

    def note(self, request: str, answer: dict[str, Any]) -> None:
        """An answer to an offer."""
        self.decided += 1
        if answer["degraded"]:
            self.degraded += 1
            return
        first = self.answers.setdefault(request, answer)
        if first is not answer:
            self.repeated += 1
            self.differing += first != answer
        else:
            self.refused.update(answer["refused"])

    @property
    def failed(self) -> int:
        """Calls that did not end with 200; an activation may also be told not to show the offer."""
        fine = ("activate 409",)
        calls = self.statuses.items()
        return sum(n for what, n in calls if not what.endswith(" 200") and what not in fine)


class Hammer:
    """Some clients with the same users."""

    def __init__(self, url: str, mix: Mix, prefix: str, seed: int) -> None:
        """Say whom to hammer, and what to call the requests."""
        self.seen = Seen()
        self._client = Client(url, timeout_s=30.0)
        self._mix = mix
        self._prefix = prefix
        self._rng = random.Random(seed)
        self._number = 0
        self._recent: deque[dict[str, Any]] = deque(maxlen=RECENT)

    async def strike(self, clients: int, seconds: float) -> Seen:
        """Let so many clients call for so long, each one call after the other."""
        end = time.monotonic() + seconds
        await asyncio.gather(*(self._call_until(end) for _ in range(clients)))
        self._client.close()
        return self.seen

    async def _call_until(self, end: float) -> None:
        mix = self._mix
        while time.monotonic() < end:
            draw = self._rng.random()
            if draw < mix.told:
                await self._tell()
            elif draw < mix.told + mix.batched:
                await self._ask_many([self._request() for _ in range(mix.batch)])
            elif draw < mix.told + mix.batched + mix.repeated and self._recent:
                await self._ask(self._rng.choice(self._recent))
            else:
                await self._ask(self._request())

    def _user(self) -> str:
        hot = self._rng.random() < 0.5
        return f"u{self._rng.randrange(self._mix.hot_users if hot else self._mix.users)}"

    def _request(self) -> dict[str, Any]:
        self._number += 1
        request: dict[str, Any] = {
            "request_id": f"{self._prefix}{self._number}",
            "user_id": self._user(),
            "scene": self._rng.choice(self._mix.scenes),
            "defer": self._rng.random() < self._mix.deferred,
        }
        self._recent.append(request)
        return request

    async def _ask(self, request: dict[str, Any]) -> None:
        answer = await self._post("offer", OFFERS, request)
        if answer is None:
            return
        self.seen.note(request["request_id"], answer)
        waits = answer.get("deferred") and not answer["degraded"]
        if waits and self._rng.random() < self._mix.shown:
            await self._activate(answer["decision_id"])

    async def _activate(self, decision_id: str) -> None:
        """Show a deferred offer; now and then twice at once."""
        path, times = f"/v1/decisions/{decision_id}:activate", self._rng.choice((1, 1, 2))
        calls = (self._post("activate", path, {}) for _ in range(times))
        for answer in await asyncio.gather(*calls):
            if answer is not None:
                self.seen.activated.add(decision_id)

    async def _ask_many(self, requests: list[dict[str, Any]]) -> None:
        answer = await self._post("batch", BATCH, {"offers": requests})
        for request, one in zip(requests, answer["decisions"] if answer else (), strict=False):
            self.seen.note(request["request_id"], one)

    async def _tell(self) -> None:
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        events = [self._event(now) for _ in range(self._rng.randint(1, self._mix.batch))]
        await self._post("events", EVENTS, {"events": events})

    def _event(self, now: str) -> dict[str, Any]:
        self._number += 1
        kind = self._rng.choice(KINDS)
        event = {"event_id": f"{self._prefix}{self._number}", "user_id": self._user()}
        amount = {"amount_cents": self._rng.randrange(10_000)} if kind == "bought" else {}
        return {**event, "kind": kind, "time": now, **amount}

    async def _post(self, what: str, path: str, body: object) -> dict[str, Any] | None:
        """The answer when it is a good one; a broken connection is tried once more."""
        text = json.dumps(body).encode()
        try:
            reply = await self._client.patient_post(path, text)
        except (OSError, TimeoutError):
            self.seen.statuses[f"{what} 0"] += 1
            return None
        self.seen.statuses[f"{what} {reply.status}"] += 1
        answer: dict[str, Any] | None = json.loads(reply.body) if reply.status == 200 else None
        return answer
