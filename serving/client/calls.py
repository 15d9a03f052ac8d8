"""The calls of the client without the network: what is sent, what it means, when to retry."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import httpx
from tenacity import RetryCallState, retry_if_exception_type, stop_before_delay

from serving.client.words import Ask, Decision, Explanation, Happening, Refused, Told, Unreachable

TIMEOUT_S: Final = 1.0
PATIENCE_S: Final = 10.0
MOST_AT_ONCE: Final = 1_000
"""Questions or events that one call may carry."""
AGAIN: Final = frozenset((408, 429, 502, 503, 504))
"""What a service says that may well answer the same question in a moment."""
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 2.0


def connection(url: str, key: str) -> dict[str, Any]:
    """What an httpx client of the service is made with.

    Raises:
        ValueError: no URL of a service.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is no address of a service: give one such as https://host:8000")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return {
        "base_url": url,
        "headers": {"Content-Type": "application/json", "Accept": "application/json"} | headers,
        # Certificates are read only where they are needed: that takes longer than many decisions.
        "verify": url.startswith("https://"),
    }


@dataclass(frozen=True, slots=True)
class Call:
    """What is sent: the same bytes at every try."""

    method: str
    path: str
    content: bytes | None = None

    @classmethod
    def posting(cls, path: str, body: object) -> Call:
        """A call with a JSON body."""
        return cls("POST", path, json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"))


class Later(Unreachable):
    """No answer at this try, but perhaps at the next."""

    def __init__(self, why: str, after_s: float = 0.0) -> None:
        super().__init__(why)
        self.after_s = after_s
        """How long the service asks to be left alone."""


class TimeLeft(dict[str, float]):
    """Timeouts for httpx that shrink: each step of a try may take what the steps before have left.

    Usual timeouts hold for each step alone, so that a slow service could take several times as
    long in all.
    """

    def __init__(self, until_s: float) -> None:
        super().__init__()
        self.until_s = until_s

    def get(self, step: str, default: float | None = None) -> float:  # type: ignore[override]
        """Seconds that the step may take."""
        return max(self.until_s - time.monotonic(), 0.001)


def retrying(total_s: float) -> dict[str, Any]:
    """When tenacity tries again: never so late that the pause would outlast the time in all."""
    return {
        "retry": retry_if_exception_type(Later),
        "stop": stop_before_delay(total_s),
        "wait": _pause_s,
        "reraise": True,
    }


def _pause_s(state: RetryCallState) -> float:
    """At least as long as the service asks; jittered, so that callers do not return at once."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.after_s if isinstance(error, Later) else 0.0
    longest = min(FIRST_PAUSE_S * 2 ** (state.attempt_number - 1), LONGEST_PAUSE_S)
    return asked + random.uniform(0.0, longest)


def understood(status: int, headers: httpx.Headers, content: bytes) -> Any:
    """The JSON of a good answer.

    Raises:
        Later: worth another try.
        Refused: a mistake of the caller.
        Unreachable: anything else.
    """
    if status in AGAIN:
        raise Later(f"the service answered {status}", _asked_s(headers))
    if 400 <= status < 500:
        raise _refused(status, content)
    if not 200 <= status < 300:
        raise Unreachable(f"the service answered {status}")
    try:
        return json.loads(content)
    except ValueError:
        raise Unreachable(f"what answered {status} speaks no JSON: is the address right?") from None


def _asked_s(headers: httpx.Headers) -> float:
    """Seconds of Retry-After; a date depends on two clocks and is not read."""
    text = headers.get("retry-after", "").strip()
    return float(text) if text.isdecimal() else 0.0


def _refused(status: int, content: bytes) -> Refused:
    try:
        error = json.loads(content)["error"]
        return Refused(status, str(error["code"]), str(error["message"]), error.get("field"))
    except (ValueError, LookupError, TypeError, AttributeError):
        return Refused(status, f"http_{status}", f"something on the way answered {status}")


def asking(ask: Ask) -> Call:
    """A question."""
    return Call.posting("/v1/offers", ask.body())


def decided(ask: Ask, told: Any) -> Decision:
    """Its answer.

    Raises:
        Unreachable: what came is none.
    """
    try:
        return Decision.read(ask.request_id, told)
    except (LookupError, TypeError, ValueError) as error:
        raise _strange(error) from None


def asking_all(asks: Sequence[Ask]) -> Call:
    """Many questions."""
    return Call.posting("/v1/offers:batch", {"offers": [ask.body() for ask in asks]})


def decided_all(asks: Sequence[Ask], told: Any) -> list[Decision]:
    """Their answers.

    Raises:
        Unreachable: what came are none.
    """
    try:
        pairs = zip(asks, told["decisions"], strict=True)
        return [Decision.read(ask.request_id, answer) for ask, answer in pairs]
    except (LookupError, TypeError, ValueError) as error:
        raise _strange(error) from None


def telling(events: Sequence[Happening]) -> Call:
    """What happened."""
    return Call.posting("/v1/events", {"events": [event.body() for event in events]})


def kept(answer: Any) -> Told:
    """What was done with it.

    Raises:
        Unreachable: what came does not say.
    """
    try:
        return Told(int(answer["accepted"]), int(answer["repeated"]))
    except (LookupError, TypeError, ValueError) as error:
        raise _strange(error) from None


def activating(decision_id: str) -> Call:
    """That a deferred decision was shown."""
    return Call("POST", f"/v1/decisions/{quote(decision_id, safe='')}:activate")


def looking_up(decision_id: str) -> Call:
    """A decision, why, and what came of it."""
    return Call("GET", f"/v1/decisions/{quote(decision_id, safe='')}")


def explained(told: Any) -> Explanation:
    """A decision that was looked up.

    Raises:
        Unreachable: what came is none.
    """
    try:
        return Explanation.read(told)
    except (LookupError, TypeError, ValueError) as error:
        raise _strange(error) from None


def _strange(error: Exception) -> Unreachable:
    return Unreachable(f"the service answered in words of another version: {error!r}")


def starts(count: int) -> range:
    """Where each call's part of many things starts."""
    return range(0, count, MOST_AT_ONCE)
