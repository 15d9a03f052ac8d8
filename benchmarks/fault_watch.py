"""Steady load while something goes wrong: what callers were told, and what is to be made of it."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from benchmarks.connections import Client
from benchmarks.hammer_clients import EVENTS
from benchmarks.journals import Journal
from benchmarks.load import OFFERS
from envs.catalogue import Catalogue

DECISION: Final = "decision"
EVENT: Final = "event"
GOOD_SHARE: Final = 0.95
"""Of the calls of a second, for the service to count as recovered: a busy machine may always make
one late."""
STEADY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Call:
    """One call and its end."""

    kind: str
    name: str
    """The request id, or the amount by which the event is found again."""
    planned: float
    ended: float
    status: int
    """0 for no answer."""
    answer: dict[str, Any] | None = None
    """Of a decision that was answered with 200."""
    again: bool = False
    """Whether the request had been sent before."""

    @property
    def degraded(self) -> bool:
        """Whether a safe answer stood in for a decision."""
        return self.answer is not None and bool(self.answer["degraded"])

    @property
    def good(self) -> bool:
        """Whether the caller got what it asked for."""
        return self.status == 200 and not self.degraded

    @property
    def failed(self) -> bool:
        """Whether the caller got a 5xx, or nothing."""
        return self.status == 0 or self.status >= 500


@dataclass(slots=True)
class Load:
    """Callers who come at a fixed rate, whatever the service does."""

    url: str
    scenes: Sequence[str]
    rate: float
    """Decisions a second."""
    events: float
    """Events a second."""
    seed: int
    users: int = 2_000
    timeout_s: float = 5.0
    prefix: str = "r"
    """Of request and event ids."""
    calls: list[Call] = field(default_factory=list)
    _going: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _recent: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=200), init=False)
    _number: int = field(default=0, init=False)

    async def run(self, stopped: asyncio.Event) -> None:
        """Call until ``stopped``, then wait for the calls on their way."""
        client, rng = Client(self.url, timeout_s=self.timeout_s), random.Random(self.seed)
        every, start, number = 1 / (self.rate + self.events), time.monotonic(), 0
        while not stopped.is_set():
            planned = start + number * every
            number += 1
            if (early := planned - time.monotonic()) > 0:
                await asyncio.sleep(early)
            telling = rng.random() < self.events / (self.rate + self.events) and self._decided()
            work = self._tell if telling else self._ask
            task = asyncio.create_task(work(client, rng, planned))
            self._going.add(task)
            task.add_done_callback(self._going.discard)
        await asyncio.gather(*self._going)
        client.close()

    def _decided(self) -> list[dict[str, Any]]:
        return [request for request in self._recent if "decision_id" in request]

    async def _ask(self, client: Client, rng: random.Random, planned: float) -> None:
        """Ask for an offer; now and then for one that was asked for already."""
        again = bool(self._recent) and rng.random() < 0.1
        request = rng.choice(self._recent) if again else self._request(rng)
        asked = {name: request[name] for name in ("request_id", "user_id", "scene")}
        status, answer = await _post(client, OFFERS, asked)
        if answer is not None and not answer["degraded"]:
            request["decision_id"] = answer["decision_id"]
        name = request["request_id"]
        self._note(Call(DECISION, name, planned, time.monotonic(), status, answer, again))

    async def _tell(self, client: Client, rng: random.Random, planned: float) -> None:
        """Tell that somebody bought, for an amount that no other event has."""
        self._number += 1
        about, amount = rng.choice(self._decided()), self._number
        event = {
            "event_id": f"{self.prefix}{amount}",
            "user_id": about["user_id"],
            "kind": "bought",
            "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "amount_cents": amount,
            "decision_id": about["decision_id"],
        }
        status, _ = await _post(client, EVENTS, {"events": [event]})
        self._note(Call(EVENT, str(amount), planned, time.monotonic(), status))

    def _request(self, rng: random.Random) -> dict[str, Any]:
        self._number += 1
        request = {
            "request_id": f"{self.prefix}{self._number}",
            "user_id": f"u{rng.randrange(self.users)}",
            "scene": rng.choice(self.scenes),
        }
        self._recent.append(request)
        return request

    def _note(self, call: Call) -> None:
        self.calls.append(call)


async def _post(client: Client, path: str, body: object) -> tuple[int, dict[str, Any] | None]:
    """Status and answer; a connection that breaks is tried once more, with the same request."""
    try:
        reply = await client.patient_post(path, json.dumps(body).encode())
    except (OSError, TimeoutError):
        return 0, None
    answer: dict[str, Any] | None = json.loads(reply.body) if reply.status == 200 else None
    return reply.status, answer


@dataclass(frozen=True, slots=True)
class Times:
    """When the fault was, by ``time.monotonic``."""

    began: float
    over: float
    """The cause is gone; the service may still suffer."""


def judged(
    calls: Sequence[Call],
    times: Times,
    journal: Journal,
    log_ids: Sequence[str],
    catalogue: Catalogue,
) -> dict[str, Any]:
    """What a fault did to callers and to the journal.

    Args:
        calls: all of them, in any order.
        times: when the fault was.
        journal: what was written, each once.
        log_ids: decision ids of the log that the service makes of its journal.
        catalogue: what may be offered.
    """
    since = [call for call in calls if call.planned >= times.began]
    decisions = [call for call in since if call.kind == DECISION]
    return {
        "calls": len(calls),
        "decisions_lost": len(_acknowledged(calls) - journal.by_id().keys()),
        "events_lost": len(_told(calls) - {row["amount_cents"] for row in journal.outcomes}),
        "duplicates": _duplicates(journal, log_ids),
        "wrong_answers": wrong_answers(calls, journal, catalogue),
        "degraded_share": _share([call.degraded for call in decisions]),
        "failed_share": _share([call.failed for call in since]),
        "degraded_before": _share(
            [call.degraded for call in calls if call.planned < times.began and call.answer]
        ),
        "longest_gap_s": longest_gap_s(calls, times.began),
        "recovered_s": recovered_s(calls, times.over),
    }


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else 0.0


def _acknowledged(calls: Sequence[Call]) -> set[str]:
    """Decisions of which callers were told that they were taken."""
    return {call.answer["decision_id"] for call in calls if call.answer is not None and call.good}


def _told(calls: Sequence[Call]) -> set[int]:
    """Amounts of the events of which callers were told that they are kept."""
    return {int(call.name) for call in calls if call.kind == EVENT and call.status == 200}


def _duplicates(journal: Journal, log_ids: Sequence[str]) -> int:
    amounts = Counter(row["amount_cents"] for row in journal.outcomes)
    events = sum(amounts.values()) - len(amounts)
    return len(log_ids) - len(set(log_ids)) + events


def wrong_answers(calls: Sequence[Call], journal: Journal, catalogue: Catalogue) -> int:
    """Answers that no caller should get, whatever is broken.

    A refusal of a call that was right; an action that does not exist; for one request two
    decisions; another decision than the journal has.
    """
    actions, kept = {action.name: action.index for action in catalogue.actions}, journal.by_id()
    first: dict[str, dict[str, Any]] = {}
    wrong = 0
    for call in sorted(calls, key=lambda call: call.ended):
        wrong += 400 <= call.status < 500
        if call.answer is None:
            continue
        action = actions.get(call.answer["action"])
        wrong += action is None
        if call.degraded or action is None:
            continue
        wrong += first.setdefault(call.name, call.answer) != call.answer
        written = kept.get(call.answer["decision_id"])
        wrong += written is not None and written["action"] != action
    return wrong


def longest_gap_s(calls: Sequence[Call], began: float) -> float:
    """The longest time in which nobody got an answer, from a second before the fault on."""
    ends = sorted(
        call.ended for call in calls if call.status == 200 and call.ended >= began - STEADY_S
    )
    return max((later - end for end, later in pairwise(ends)), default=0.0)


def recovered_s(calls: Sequence[Call], over: float) -> float | None:
    """Time from the end of the fault until a second in which callers got what they asked for.

    None when there was none before the load ended.
    """
    after = sorted((call for call in calls if call.planned >= over), key=lambda call: call.planned)
    stop = 0
    for start, call in enumerate(after):
        while stop < len(after) and after[stop].planned < call.planned + STEADY_S:
            stop += 1
        if stop == len(after):  # the load ended within this second
            return None
        if _share([other.good for other in after[start:stop]]) >= GOOD_SHARE and call.good:
            return call.planned - over
    return None


def followed_s(calls: Sequence[Call], policy: str, changed: float) -> float | None:
    """Time from a change until the last new decision of another policy.

    Args:
        calls: of the whole run.
        policy: that serves from then on.
        changed: when the change was acknowledged.

    Returns:
        None when the policy never decided.
    """
    news = [call for call in calls if call.answer and call.good and not call.again]
    after = [call for call in news if call.planned >= changed]
    if not any(call.answer and call.answer["policy"] == policy for call in after):
        return None
    others = [c.planned for c in after if c.answer and c.answer["policy"] != policy]
    return max(others, default=changed) - changed
