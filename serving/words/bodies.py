"""What the HTTP calls take and give.

Bodies are checked here against their shape; the names of scenes, offers, channels and attributes
are checked against the catalogue where they are understood, in ``vocabulary``.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Annotated, Final, TypeVar

from fastapi import Request
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
)
from starlette.requests import ClientDisconnect

from envs.decisions import EventKind
from serving.words.failures import Failure, misfit

MOST_OFFERS: Final = 1_000
MOST_EVENTS: Final = 1_000
MOST_CENTS: Final = 100_000_000
CLOSING: Final = {"Connection": "close"}
"""What is left of the body is not read."""
BODY_WITHIN_S: float = 10.0
"""How long a body may take to arrive; a slow one holds a place that others could have."""

Id = Annotated[str, Field(min_length=1, max_length=128, examples=["u1"])]
Word = Annotated[str, Field(min_length=1, max_length=40)]
Zone = Annotated[str, Field(min_length=1, max_length=64, examples=["Europe/Berlin"])]
Time = Annotated[
    str,
    Field(
        max_length=40,
        description="ISO 8601 with its time zone, from 2000 to a day ahead of now",
        examples=["2025-01-06T08:30:00Z"],
    ),
]
Attributes = dict[Word, StrictInt | StrictFloat | StrictStr]


class _Body(BaseModel):
    # Texts are not looked up among those of earlier bodies: most are names that never come again.
    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, cache_strings="keys"
    )


class Location(_Body):
    """A point on the earth, in degrees."""

    latitude: Annotated[float, Field(ge=-90, le=90, examples=[52.52])]
    longitude: Annotated[float, Field(ge=-180, le=180, examples=[13.4])]


class OfferRequest(_Body):
    """Ask what to offer to one user now."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"request_id": "r1", "user_id": "u1", "scene": "commute"},
        },
    )

    request_id: Id = Field(
        description="Your name for this request; repeat it to get the same answer"
    )
    user_id: Id = Field(description="Your name for the user; only a keyed hash of it is kept")
    scene: Word | None = Field(
        None, description="Where the user is: a scene of the catalogue; or tell signals"
    )
    signals: Annotated[dict[Word, Word], Field(max_length=32)] | None = Field(
        None,
        description="In place of the scene: what the app has that tells it, such as "
        '{"motion": "walking"}; what is not there is left out',
        examples=[{"motion": "vehicle", "network": "cellular"}],
    )
    attributes: Annotated[Attributes, Field(max_length=64)] | None = Field(
        None, description="What you know of the user, as the catalogue declares it"
    )
    now: Time | None = Field(None, description="When; the clock of the service if left out")
    time_zone: Zone | None = Field(None, description="The user's time zone; kept from then on")
    exclude_offers: Annotated[list[Word], Field(max_length=64)] | None = None
    exclude_channels: Annotated[list[Word], Field(max_length=64)] | None = None
    location: Location | None = Field(
        None, description="Where the user is; kept only as coarse as the service is told to"
    )
    defer: bool = Field(
        False, description="Decide, but count nothing as shown until the decision is activated"
    )


class BatchRequest(_Body):
    """Ask what to offer to many users now."""

    offers: Annotated[list[OfferRequest], Field(min_length=1, max_length=MOST_OFFERS)]


class Content(BaseModel):
    """What the offer is, to be shown."""

    kind: str
    """content, discount or gift."""
    title: str
    discount: float
    """Fraction of the price taken off."""


class OfferAnswer(BaseModel):
    """The decision. Silence has no offer and no channel."""

    decision_id: str
    scene: str | None = Field(description="Where the user was taken to be; null if degraded")
    scene_chance: float | None = Field(
        description="How likely that is by the signals; null for a scene that was told"
    )
    action: str = Field(description='"silence", or offer and channel such as "off10/push"')
    offer: str | None
    channel: str | None
    title: str | None
    content: Content | None
    expires_at: str | None
    propensity: float = Field(description="Probability with which the action was drawn")
    policy: str
    arm: str = Field(description="serving, or canary for the share that tries another policy")
    deferred: bool = Field(description="Whether it counts only once it is activated")
    degraded: bool = Field(description="Whether a safe answer stood in for the policy")
    refused: dict[str, int] = Field(description="How many actions each rule refused")


class BatchAnswer(BaseModel):
    """The decisions, in the order of the requests."""

    decisions: list[OfferAnswer]


class ActivateRequest(_Body):
    """Tell that a deferred decision is shown."""

    time: Time | None = Field(None, description="When; the clock of the service if left out")


class ActivateAnswer(BaseModel):
    """The decision counts as shown from now on."""

    decision_id: str
    state: str = Field(description="activated")


class ReportedKind(StrEnum):
    """What can be told; that an offer was shown follows from the decision."""

    SCENE_ENTERED = "scene_entered"
    VIEWED = "viewed"
    DWELT = "dwelt"
    FAVOURITED = "favourited"
    CARTED = "carted"
    BOUGHT = "bought"
    REFUNDED = "refunded"
    OPENED = "opened"
    CLICKED = "clicked"
    DISMISSED = "dismissed"
    SERVICE_CONTACT = "service_contact"
    NOT_INTERESTED = "not_interested"
    OPTED_OUT = "opted_out"
    OPTED_IN = "opted_in"
    DESCRIBED = "described"


KIND_NUMBER: Final = {kind.value: int(EventKind[kind.name]) for kind in ReportedKind}


class EventBody(_Body):
    """Something that happened to a user."""

    event_id: Id = Field(description="Your name for the event; told again, it counts once")
    user_id: Id
    kind: Annotated[ReportedKind, Field(strict=False)]
    time: Time
    scene: Word | None = None
    channel: Word | None = None
    offer: Word | None = None
    amount_cents: Annotated[int, Field(ge=0, le=MOST_CENTS)] | None = None
    discount: Annotated[float, Field(ge=0, lt=1)] | None = None
    attributes: Annotated[Attributes, Field(max_length=64)] | None = None
    decision_id: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="The decision that it came of, if known"
    )
    time_zone: Zone | None = Field(None, description="The user's time zone; kept from then on")


class EventsRequest(_Body):
    """Tell what happened, in any order; what is told again does no harm."""

    events: Annotated[list[EventBody], Field(min_length=1, max_length=MOST_EVENTS)]


class EventsAnswer(BaseModel):
    """What was done with the events."""

    accepted: int
    repeated: int = Field(description="Known already, or too old to tell")


class LinkedEvent(BaseModel):
    """What came of a decision."""

    kind: str
    time: str
    scene: str | None = None
    channel: str | None = None
    offer: str | None = None
    amount_cents: int | None = None
    discount: float | None = None


class Why(BaseModel):
    """What a decision was drawn from."""

    refusals: dict[str, list[str]] = Field(description="For each refused action, the rules")
    probabilities: dict[str, float] = Field(description="For each possible action, its chance")
    observation: dict[str, float] = Field(description="What the policy saw, without the zeros")


class DecisionAnswer(BaseModel):
    """A decision, why it was taken, and what came of it."""

    decision: OfferAnswer
    state: str = Field(description="decided, deferred, activated or lapsed")
    scene: str
    time: str
    time_zone: str
    budget_price: float = Field(description="Of a cent of the budget when it was taken")
    reserved_cents: int = Field(description="What it set aside of the budget")
    why: Why
    events: list[LinkedEvent]


Body = TypeVar("Body", bound=BaseModel)


async def read_body(request: Request, kind: type[Body], most_bytes: int) -> Body:
    """The body of a call.

    Raises:
        Failure: not JSON by its content type or by its text, compressed, too long, never ending,
            or of another shape.
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise Failure(
            415,
            "unsupported_media_type",
            "send JSON with the header content-type: application/json",
        )
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        message = "send the body as it is, without content-encoding: nothing here unpacks it"
        raise Failure(415, "unsupported_encoding", message)
    content = await _whole(request, most_bytes)
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise misfit(error) from None


async def _whole(request: Request, most_bytes: int) -> bytes:
    """All bytes of a body, which has to come within its time."""
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            return await _bounded(request, most_bytes)
    except TimeoutError:
        message = f"the body did not come within {BODY_WITHIN_S:g} s: send it again"
        raise Failure(408, "body_too_slow", message, headers=CLOSING) from None
    except ClientDisconnect:  # nobody is there to read this
        raise Failure(400, "incomplete_body", "the connection ended within the body") from None


async def _bounded(request: Request, most_bytes: int) -> bytes:
    declared = request.headers.get("content-length", "0")
    too_large = Failure(
        413,
        "body_too_large",
        f"the body has more than {most_bytes} bytes: split it",
        headers=CLOSING,
    )
    if not declared.isdecimal() or int(declared) > most_bytes:
        raise too_large
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most_bytes:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)
