"""What the client is given and gives: plain values, and the two ways in which a call ends badly."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypedDict

SILENCE: Final = "silence"


def fresh_id() -> str:
    """A name that nothing else has."""
    return uuid.uuid4().hex


class Details(TypedDict, total=False):
    """What a question may say besides user and scene; ``Ask`` explains each."""

    signals: Mapping[str, str] | None
    attributes: Mapping[str, int | float | str] | None
    now: datetime | None
    time_zone: str | None
    exclude_offers: Sequence[str]
    exclude_channels: Sequence[str]
    location: tuple[float, float] | None
    defer: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """A question: what to offer to one user now?"""

    user_id: str
    """Your name for the user; the service keeps a keyed hash of it only."""
    scene: str | None = None
    """Where the user is: a scene of the catalogue; or say ``signals``."""
    request_id: str = field(default_factory=fresh_id)
    """The same request gets the same decision; made once, so that a retry is no second question."""
    attributes: Mapping[str, int | float | str] | None = None
    """What you know of the user, as the catalogue declares it."""
    signals: Mapping[str, str] | None = None
    """What the app has that tells the scene, such as ``{"motion": "walking"}``; leave out what is
    not there."""
    now: datetime | None = None
    """When, with its time zone; the clock of the service if left out."""
    time_zone: str | None = None
    """The user's time zone, such as Europe/Berlin; kept from then on."""
    exclude_offers: Sequence[str] = ()
    exclude_channels: Sequence[str] = ()
    location: tuple[float, float] | None = None
    """Latitude and longitude in degrees; kept only as coarse as the service is told to."""
    defer: bool = False
    """Decide without counting it as shown, until it is activated."""

    @classmethod
    def of(cls, user_id: str, scene: str | None, request_id: str | None, details: Details) -> Ask:
        """A question, with a name of its own where none is given."""
        return cls(user_id, scene, request_id or fresh_id(), **details)

    def body(self) -> dict[str, Any]:
        """As the service takes it."""
        given = {
            "request_id": self.request_id,
            "user_id": self.user_id,
            "scene": self.scene,
            "signals": None if self.signals is None else dict(self.signals),
            "attributes": dict(self.attributes) if self.attributes else None,
            "now": iso(self.now),
            "time_zone": self.time_zone,
            "exclude_offers": list(self.exclude_offers) or None,
            "exclude_channels": list(self.exclude_channels) or None,
            "location": self.location
            and {"latitude": float(self.location[0]), "longitude": float(self.location[1])},
            "defer": self.defer or None,
        }
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Content:
    """What the offer is, to be shown."""

    kind: str
    """content, discount or gift."""
    title: str
    discount: float
    """Fraction of the price taken off."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do: make an offer through a channel, or stay silent."""

    request_id: str
    """Of the question; ask again with it to get the same decision."""
    decision_id: str
    """To link events with, and to activate; empty when the service could not be asked."""
    action: str
    """``silence``, or offer and channel such as ``off10/push``."""
    offer: str | None = None
    channel: str | None = None
    title: str | None = None
    content: Content | None = None
    expires_at: datetime | None = None
    propensity: float = 1.0
    """Probability with which the action was drawn."""
    policy: str = ""
    arm: str = ""
    """serving, or canary for the share that tries another policy."""
    deferred: bool = False
    """Whether it counts only once it is activated."""
    degraded: bool = False
    """Whether a safe answer stood in for the policy; never learnt from."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """How many actions each rule refused."""
    scene: str | None = None
    """Where the user was taken to be; None where nobody could tell."""
    scene_chance: float | None = None
    """How likely that is by the signals; None for a scene that was told."""
    why: str = ""
    """Why the client answered in place of the service; empty when the service answered."""

    @property
    def silent(self) -> bool:
        """Whether to show nothing."""
        return self.offer is None

    @classmethod
    def safe(cls, request_id: str, why: str) -> Decision:
        """Silence, because the service could not be asked."""
        return cls(request_id, "", SILENCE, degraded=True, why=why)

    @classmethod
    def read(cls, request_id: str, told: Mapping[str, Any]) -> Decision:
        """From an answer of the service.

        Raises:
            LookupError, TypeError, ValueError: it is none.
        """
        content, expires = told["content"], told["expires_at"]
        return cls(
            request_id=request_id,
            decision_id=str(told["decision_id"]),
            action=str(told["action"]),
            offer=told["offer"],
            channel=told["channel"],
            title=told["title"],
            content=content and Content(content["kind"], content["title"], content["discount"]),
            expires_at=datetime.fromisoformat(expires) if expires else None,
            propensity=float(told["propensity"]),
            policy=str(told["policy"]),
            arm=str(told.get("arm", "")),
            deferred=bool(told.get("deferred", False)),
            degraded=bool(told["degraded"]),
            refused=dict(told["refused"]),
            scene=told.get("scene"),
            scene_chance=told.get("scene_chance"),
        )


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision, why it was taken, and what came of it."""

    decision: Decision
    state: str
    """decided, deferred, activated or lapsed."""
    scene: str
    time: datetime
    refusals: Mapping[str, Sequence[str]]
    """For each refused action, the rules."""
    probabilities: Mapping[str, float]
    """For each possible action, its chance."""
    observation: Mapping[str, float]
    """What the policy saw, without the zeros."""
    events: Sequence[Mapping[str, Any]]
    """What came of it, as the service tells it."""

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Explanation:
        """From an answer of the service.

        Raises:
            LookupError, TypeError, ValueError: it is none.
        """
        why = told["why"]
        return cls(
            decision=Decision.read("", told["decision"]),
            state=str(told.get("state", "")),
            scene=str(told["scene"]),
            time=datetime.fromisoformat(told["time"]),
            refusals=dict(why["refusals"]),
            probabilities=dict(why["probabilities"]),
            observation=dict(why["observation"]),
            events=tuple(told["events"]),
        )


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened to a user."""

    user_id: str
    kind: str
    """A word of the HTTP API, such as ``bought`` or ``clicked``."""
    time: datetime
    """When, with its time zone."""
    event_id: str = field(default_factory=fresh_id)
    """Told again, it counts once; made once, so that a retry is no second event."""
    decision_id: str | None = None
    """The decision that it came of, if known."""
    scene: str | None = None
    channel: str | None = None
    offer: str | None = None
    amount_cents: int | None = None
    discount: float | None = None
    attributes: Mapping[str, int | float | str] | None = None
    time_zone: str | None = None

    def body(self) -> dict[str, Any]:
        """As the service takes it."""
        given = {
            "event_id": self.event_id,
            "user_id": self.user_id,
            "kind": self.kind,
            "time": iso(self.time),
            "decision_id": self.decision_id or None,
            "scene": self.scene,
            "channel": self.channel,
            "offer": self.offer,
            "amount_cents": self.amount_cents,
            "discount": self.discount,
            "attributes": dict(self.attributes) if self.attributes else None,
            "time_zone": self.time_zone,
        }
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Told:
    """What the service did with events."""

    accepted: int
    repeated: int
    """Known already, or too old to tell."""


class Refused(Exception):
    """The service understood and said no: a mistake of the caller, the same however often sent."""

    def __init__(self, status: int, code: str, message: str, field: str | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message, self.field = status, code, message, field


class Unreachable(Exception):
    """The service gave no usable answer in the time that there was."""


class NotKept(Unreachable):
    """Events that are not known to be kept: tell them again, nothing counts twice."""

    def __init__(self, message: str, events: Sequence[Happening]) -> None:
        super().__init__(message)
        self.events = tuple(events)
        """The ones to tell again."""


def iso(time: datetime | None) -> str | None:
    """A time as the service takes it.

    Raises:
        ValueError: a time without its time zone, which would be another one on another machine.
    """
    if time is None:
        return None
    if time.tzinfo is None:
        raise ValueError(f"{time.isoformat()} has no time zone: use datetime.now(UTC) or another")
    return time.isoformat(timespec="seconds")
