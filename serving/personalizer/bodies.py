"""What the calls of the Personalizer door take and give, as Azure Personalizer named it.

Fields that are not known here are let pass: callers were written for somebody else.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

MOST_ACTIONS: Final = 50
MOST_SLOTS: Final = 20

Name = Annotated[str, Field(min_length=1, max_length=256)]
EventId = Annotated[str, Field(min_length=1, max_length=256)]
Features = list[Any]
Reward = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]


class _Lenient(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", strict=True
    )


class RankableAction(_Lenient):
    """An action that may be chosen."""

    id: Name = Field(description="off10, off10/push or silence of the catalogue, or any other name")
    features: Features | None = None


class _Event(_Lenient):
    context_features: Features | None = Field(
        None, description="user_id, scene and the catalogue's attributes are understood"
    )
    actions: Annotated[list[RankableAction], Field(min_length=1, max_length=MOST_ACTIONS)]
    event_id: EventId | None = Field(
        None, description="Your name for this event; repeat it to get the same answer"
    )
    defer_activation: bool | None = Field(
        None, description="Count nothing as shown until the event is activated"
    )


class RankRequest(_Event):
    """Ask for the order of actions."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "contextFeatures": [{"user_id": "u1", "scene": "commute"}],
                "actions": [
                    {"id": "off10/push", "features": [{"discount": 0.1}]},
                    {"id": "silence", "features": []},
                ],
                "eventId": "e1",
            }
        }
    )

    excluded_actions: list[str] | None = None


class Slot(_Lenient):
    """A place in which one of the actions is to be shown."""

    id: Name
    features: Features | None = None
    excluded_actions: list[str] | None = None
    baseline_action: Name


class SlotsRequest(_Event):
    """Ask what to show in each of several places."""

    slots: Annotated[list[Slot], Field(min_length=1, max_length=MOST_SLOTS)]


class RankedAction(_Lenient):
    """An action and the chance that it had of coming first."""

    id: str
    probability: float


class RankAnswer(_Lenient):
    """The order; the first is the one to show."""

    ranking: list[RankedAction]
    event_id: str
    reward_action_id: str


class SlotAnswer(_Lenient):
    """What to show in a place."""

    id: str
    reward_action_id: str | None = Field(
        description="null when the rules allow none of the actions: show nothing"
    )


class SlotsAnswer(_Lenient):
    """What to show in each place."""

    slots: list[SlotAnswer]
    event_id: str


class RewardRequest(_Lenient):
    """How good it was to show the first."""

    value: Reward


class SlotReward(_Lenient):
    """How good it was to show what was shown in a place."""

    slot_id: Name
    value: Reward


class SlotsReward(_Lenient):
    """The rewards of several places."""

    reward: Annotated[list[SlotReward], Field(min_length=1, max_length=MOST_SLOTS)]


class RankWords(BaseModel):
    """An event of the door, as it is told to the user whom it is about."""

    answer: dict[str, Any]
    rewards: dict[str, float] = Field(description="By place; a single action has no place's name")
    activated: bool


class PersonalizerError(BaseModel):
    """What went wrong."""

    code: str
    message: str


class PersonalizerFailure(BaseModel):
    """The body of every answer from 400 on."""

    error: PersonalizerError
