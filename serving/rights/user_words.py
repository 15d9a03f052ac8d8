"""A user state in the words of the catalogue: what is told to somebody who asks what is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from envs.caps import CapSlots
from envs.catalogue import Attribute, Catalogue
from envs.clock import NEVER, to_datetime, utc_offset_seconds
from envs.decisions import Moment
from envs.users import UserState


class ConsentWords(BaseModel):
    """Whether a channel may be used."""

    allowed: bool
    opted_in_at: str | None
    opted_out_at: str | None


class CapWords(BaseModel):
    """Contacts that a cap counts."""

    cap: str
    scene: str | None
    channel: str | None
    offer: str | None
    limit: int
    used: int = Field(description="Of the limit, now")
    contacts: list[str] = Field(description="The latest, latest first")


class AttributeWords(BaseModel):
    """What a caller told of the user."""

    value: float | str
    told_at: str


class StateWords(BaseModel):
    """What is known of a user; what never happened is left out."""

    as_of: str
    sums: dict[str, float] = Field(
        description="How often or how much lately, older events counting less and less; "
        "spend in typical baskets"
    )
    latest: dict[str, str] = Field(description="When each last happened")
    consents: dict[str, ConsentWords]
    not_interested: dict[str, str] = Field(description="Offers, and when they were not wanted")
    caps: list[CapWords]
    attributes: dict[str, AttributeWords]
    remembered_events: int = Field(description="Keys kept so that no event counts twice")


def in_words(catalogue: Catalogue, user: UserState, zone: str, now: int) -> StateWords:
    """One user's state.

    Args:
        catalogue: whose words.
        user: the one user.
        zone: IANA name.
        now: seconds since the epoch of ``envs.clock``.
    """
    layout, nows = user.layout, np.asarray([now], np.int32)
    moment = Moment(np.zeros(1, np.int16), nows, utc_offset_seconds(zone, nows))
    sums = dict(zip(layout.slots, user.decayed(nows)[0].tolist(), strict=True))
    offers = [offer.name for offer in catalogue.offers]
    return StateWords(
        as_of=iso(now),
        sums={name: value for name, value in sums.items() if value},
        latest=_happened(("event", *layout.recent), user.latest[0]),
        consents=_consents(catalogue, user),
        not_interested=_happened(offers, user.not_interested_at[0]),
        caps=[words for slots in layout.caps for words in _cap(catalogue, slots, user, moment)],
        attributes=_attributes(catalogue, user),
        remembered_events=int(np.count_nonzero(user.seen)),
    )


def iso(seconds: int) -> str:
    """An instant as text."""
    return f"{to_datetime(seconds):%Y-%m-%dT%H:%M:%SZ}"


def _iso_or_none(seconds: int) -> str | None:
    """None for what never happened, and for a consent that was only assumed."""
    return iso(seconds) if seconds > NEVER + 1 else None


def _happened(names: Sequence[str], times: NDArray[np.int32]) -> dict[str, str]:
    return {
        name: iso(time) for name, time in zip(names, times.tolist(), strict=True) if time > NEVER
    }


def _consents(catalogue: Catalogue, user: UserState) -> dict[str, ConsentWords]:
    given = user.consents()[0].tolist()
    opted_in, opted_out = user.opted_in_at[0].tolist(), user.opted_out_at[0].tolist()
    return {
        channel.name: ConsentWords(
            allowed=given[k],
            opted_in_at=_iso_or_none(opted_in[k]),
            opted_out_at=_iso_or_none(opted_out[k]),
        )
        for k, channel in enumerate(catalogue.channels)
    }


def _cap(
    catalogue: Catalogue, slots: CapSlots, user: UserState, moment: Moment
) -> Iterator[CapWords]:
    """Each group of a cap that has counted something."""
    cap, start = slots.cap, int(slots.window_start(moment)[0])
    shape = slots.scenes, slots.groups, cap.limit
    times = user.cap_times[0, slots.offset : slots.offset + slots.width].reshape(shape)
    for scene, group in np.argwhere(times[:, :, 0] > NEVER).tolist():
        contacts = [time for time in times[scene, group].tolist() if time > NEVER]
        channel, offer = (int(index) for index in np.argwhere(slots.group == group)[0])
        by_channel, by_offer = cap.channel or "channel" in cap.per, cap.offer or "offer" in cap.per
        yield CapWords(
            cap=cap.name,
            scene=catalogue.scenes[scene].name if "scene" in cap.per else None,
            channel=catalogue.channels[channel].name if by_channel else None,
            offer=catalogue.offers[offer].name if by_offer else None,
            limit=cap.limit,
            used=sum(time > start for time in contacts),
            contacts=[iso(time) for time in contacts],
        )


def _attributes(catalogue: Catalogue, user: UserState) -> dict[str, AttributeWords]:
    return {
        attribute.name: AttributeWords(value=_value(attribute, value), told_at=iso(time))
        for attribute, value, time in zip(
            catalogue.attributes,
            user.attributes[0].tolist(),
            user.attributes_at[0].tolist(),
            strict=True,
        )
        if time > NEVER
    }


def _value(attribute: Attribute, value: float) -> float | str:
    return attribute.values[int(value)] if attribute.kind == "choice" else value
