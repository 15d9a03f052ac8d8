"""One business: its scenes, channels, offers, caps and attributes, read from one YAML file.

The file's validated content is hashed; the hash travels with every policy, decision and log row.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    ValidationError,
    model_validator,
)

from envs.errors import CatalogueError

DEFAULT_CATALOGUE = Path(__file__).with_name("default.yaml")
SILENCE = "silence"

Name = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$", strict=True)]
Cents = Annotated[StrictInt, Field(ge=0, le=100_000_000)]
Hour = Annotated[StrictInt, Field(ge=0, le=23)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Scene(_Part):
    """Where a user is, as the business names it."""

    name: Name
    title: str = ""


class Channel(_Part):
    """A way to reach a user."""

    name: Name
    cost_cents: Cents
    """Price of one send."""
    scenes: tuple[Name, ...] | None = None
    """The scenes in which the channel exists at all; all when left out."""
    consent: Literal["assumed", "required"] = "assumed"
    """``required``: silent until the user opts in; ``assumed``: open until the user opts out."""
    quiet: tuple[Hour, Hour] | None = None
    """Local hours [from, to) without a contact; from > to runs across midnight."""
    opt_out_cost_cents: Cents = 0
    """Value lost with a user who opts out of this channel, beyond the horizon played out."""


class Offer(_Part):
    """What is offered: plain content, a discount or a gift."""

    name: Name
    kind: Literal["content", "discount", "gift"]
    title: str = ""
    discount: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of the basket taken off."""
    cost_cents: Cents = 0
    """Cost of one redeemed gift."""
    channels: tuple[Name, ...] | None = None
    """The channels that can carry it; all when left out."""
    scenes: tuple[Name, ...] | None = None
    """The scenes in which it holds; all when left out."""
    category: Name | None = None
    """What it is about; everything when left out."""

    @model_validator(mode="after")
    def _kind_fits(self) -> Self:
        if (self.kind == "discount") != (self.discount > 0):
            raise ValueError(f"a {self.kind} offer with discount {self.discount}")
        if self.kind != "gift" and self.cost_cents:
            raise ValueError(f"a {self.kind} offer with cost_cents {self.cost_cents}")
        return self


class Cap(_Part):
    """At most ``limit`` contacts in a sliding window, counted apart for each of ``per``."""

    name: Name
    limit: Annotated[StrictInt, Field(ge=1, le=100)]
    hours: Annotated[StrictInt, Field(ge=1, le=8784)] | None = None
    """Sliding window, in hours."""
    days: Annotated[StrictInt, Field(ge=1, le=366)] | None = None
    """Calendar days of the user's time zone, today included."""
    per: tuple[Literal["channel", "scene", "offer"], ...] = ()
    """Counted apart for each channel, scene or offer; all together when left out."""
    channel: Name | None = None
    """Only contacts by this channel."""
    offer: Name | None = None
    """Only contacts with this offer."""

    @model_validator(mode="after")
    def _one_window(self) -> Self:
        if (self.hours is None) == (self.days is None):
            raise ValueError("give either hours or days")
        return self


class Attribute(_Part):
    """What the caller knows of a user or a moment and we do not."""

    name: Name
    kind: Literal["number", "choice"]
    low: float = 0.0
    high: float = 1.0
    values: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _kind_fits(self) -> Self:
        if self.kind == "number" and not self.low < self.high:
            raise ValueError(f"low {self.low} is not below high {self.high}")
        if self.kind == "choice" and (not self.values or len(set(self.values)) < len(self.values)):
            raise ValueError(f"a choice needs distinct values, got {list(self.values)}")
        return self

    def number(self, value: float | str) -> float:
        """The value as the user state keeps it: the number, or the index of the choice.

        Raises:
            ValueError: out of range, or not one of the choices.
        """
        if self.kind == "choice":
            if value not in self.values:
                raise ValueError(f"{self.name} is {value!r}, not one of {list(self.values)}")
            return float(self.values.index(str(value)))
        if isinstance(value, str | bool) or not self.low <= value <= self.high:
            raise ValueError(f"{self.name} is {value!r}, not a number {self.low} to {self.high}")
        return float(value)


class _File(_Part):
    name: Name
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "EUR"
    margin: Annotated[float, Field(gt=0, lt=1)]
    margin_floor: Annotated[float, Field(ge=-1, lt=1)] = 0.0
    typical_basket_cents: Cents
    cool_down_days: Annotated[StrictInt, Field(ge=0, le=366)] = 30
    offer_days: Annotated[StrictInt, Field(ge=1, le=366)] = 7
    categories: Annotated[tuple[Name, ...], Field(max_length=16)] = ()
    scenes: Annotated[tuple[Scene, ...], Field(min_length=1, max_length=64)]
    channels: Annotated[tuple[Channel, ...], Field(min_length=1, max_length=16)]
    offers: Annotated[tuple[Offer, ...], Field(min_length=1, max_length=32)]
    caps: Annotated[tuple[Cap, ...], Field(max_length=16)] = ()
    attributes: Annotated[tuple[Attribute, ...], Field(max_length=64)] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """One choice: an offer through a channel, or silence (both -1)."""

    index: int
    name: str
    offer: int
    channel: int


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """A validated catalogue. Action 0 is silence, the others are (offer, channel) pairs."""

    name: str
    currency: str
    margin: float
    """Fraction of a basket that is margin before any discount."""
    margin_floor: float
    """Least fraction of the discounted basket that has to stay as margin."""
    typical_basket_cents: int
    """What a discount is expected to be taken on; used to reserve budget."""
    cool_down_days: int
    """How long an offer rests after "not interested"."""
    offer_days: int
    """How long an offer can be redeemed."""
    categories: tuple[str, ...]
    """What the business sells, by kinds; may be empty."""
    scenes: tuple[Scene, ...]
    channels: tuple[Channel, ...]
    offers: tuple[Offer, ...]
    caps: tuple[Cap, ...]
    attributes: tuple[Attribute, ...]
    actions: tuple[Action, ...]
    action_offer: NDArray[np.int16]
    """Offer of each action, -1 for silence, int16 [A]."""
    action_channel: NDArray[np.int16]
    """Channel of each action, -1 for silence, int16 [A]."""
    hash: str
    """SHA-256 of the validated content; comments and layout do not count."""
    text: str
    """The YAML as read."""

    def scene_index(self, name: str) -> int:
        """Index of the scene; KeyError when there is none of that name."""
        return _index(self.scenes, name)

    def channel_index(self, name: str) -> int:
        """Index of the channel; KeyError when there is none of that name."""
        return _index(self.channels, name)

    def offer_index(self, name: str) -> int:
        """Index of the offer; KeyError when there is none of that name."""
        return _index(self.offers, name)

    def action_index(self, name: str) -> int:
        """Index of the action; KeyError when there is none of that name."""
        return _index(self.actions, name)

    def attribute_index(self, name: str) -> int:
        """Index of the attribute; KeyError when there is none of that name."""
        return _index(self.attributes, name)


def _index(parts: tuple[Scene | Channel | Offer | Action | Attribute, ...], name: str) -> int:
    for index, part in enumerate(parts):
        if part.name == name:
            return index
    raise KeyError(name)


def load_catalogue(path: Path | None = None) -> Catalogue:
    """The catalogue in a file; the default one when no path is given.

    Raises:
        CatalogueError: unreadable or wrong; one line with file, line, field and value.
    """
    path = DEFAULT_CATALOGUE if path is None else path
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    return parse_catalogue(text, str(path))


def parse_catalogue(text: str, source: str = "catalogue") -> Catalogue:
    """The catalogue written in ``text``; ``source`` names it in errors.

    Raises:
        CatalogueError: one line with source, line, field and value.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or "not YAML"
        raise CatalogueError(f"{source}:{line}: {problem}") from None
    except (RecursionError, ValueError) as error:
        raise CatalogueError(f"{source}:1: not usable YAML: {error}") from None
    where = _Places(source, root)
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        raise where.error(first["loc"], message, first.get("input")) from None
    for location, message, value in _contradictions(file):
        raise where.error(location, message, value)
    return _build(file, text)


class _Places:
    """Finds the line of a field, so that an error can name it."""

    def __init__(self, source: str, root: yaml.Node | None) -> None:
        self._source = source
        self._root = root

    def error(self, location: tuple[int | str, ...], message: str, value: object) -> CatalogueError:
        field = ".".join(str(step) for step in location) or "file"
        shown = "" if isinstance(value, dict | list) else f" (got {_short(value)})"
        return CatalogueError(f"{self._source}:{self._line(location)}: {field}: {message}{shown}")

    def _line(self, location: tuple[int | str, ...]) -> int:
        node, line = self._root, 1
        for step in location:
            node = _child(node, step)
            if node is None:
                break
            line = node.start_mark.line + 1
        return line


def _short(value: object) -> str:
    text = repr(value).replace("\n", " ")
    return text if len(text) <= 80 else text[:77] + "..."


def _child(node: yaml.Node | None, step: int | str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        found: list[yaml.Node] = [v for k, v in node.value if k.value == str(step)]
        return found[-1] if found else None
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        child: yaml.Node = node.value[step]
        return child
    return None


Problem = tuple[tuple[int | str, ...], str, object]


def _contradictions(file: _File) -> Iterator[Problem]:
    """What no single field shows: names used twice, names that do not exist, useless channels."""
    for group in ("scenes", "channels", "offers", "caps", "attributes"):
        yield from _twice(group, [part.name for part in getattr(file, group)])
    yield from _twice("categories", list(file.categories), field=None)
    scenes = {scene.name for scene in file.scenes}
    channels = {channel.name for channel in file.channels}
    offers = {offer.name for offer in file.offers}
    for i, channel in enumerate(file.channels):
        yield from _unknown(("channels", i, "scenes"), channel.scenes or (), scenes)
        yield from _unusable(file, i)
    for i, offer in enumerate(file.offers):
        yield from _unknown(("offers", i, "channels"), offer.channels or (), channels)
        yield from _unknown(("offers", i, "scenes"), offer.scenes or (), scenes)
        about = [offer.category] if offer.category else []
        yield from _unknown(("offers", i, "category"), about, set(file.categories))
    for i, cap in enumerate(file.caps):
        yield from _unknown(("caps", i, "channel"), [cap.channel] if cap.channel else [], channels)
        yield from _unknown(("caps", i, "offer"), [cap.offer] if cap.offer else [], offers)
    pairs = sum(len(offer.channels or channels) for offer in file.offers)
    if pairs > 255:
        yield ("offers",), "more than 255 actions: restrict offers to channels", pairs


def _twice(group: str, names: list[str], field: str | None = "name") -> Iterator[Problem]:
    for i, name in enumerate(names):
        if name in names[:i]:
            also = ", so two actions have one name" if group in ("channels", "offers") else ""
            place = (group, i) if field is None else (group, i, field)
            yield place, f"used twice in {group}{also}: rename one", name


def _unknown(
    location: tuple[int | str, ...], names: tuple[str, ...] | list[str], known: set[str]
) -> Iterator[Problem]:
    for name in names:
        if name not in known:
            yield location, f"names something not declared, known are {sorted(known)}", name


def _unusable(file: _File, index: int) -> Iterator[Problem]:
    channel = file.channels[index]
    where = ("channels", index, "name")
    if channel.scenes == ():
        yield ("channels", index, "scenes"), "nobody can use it: no scene", channel.name
    if not any(o.channels is None or channel.name in o.channels for o in file.offers):
        yield where, "nobody can use it: no offer goes through this channel", channel.name
    if channel.quiet is not None and channel.quiet[0] == channel.quiet[1]:
        yield ("channels", index, "quiet"), "quiet from an hour to itself", channel.quiet[0]


def _build(file: _File, text: str) -> Catalogue:
    actions = [Action(0, SILENCE, -1, -1)]
    for o, offer in enumerate(file.offers):
        for c, channel in enumerate(file.channels):
            if offer.channels is None or channel.name in offer.channels:
                actions.append(Action(len(actions), f"{offer.name}/{channel.name}", o, c))
    canonical = json.dumps(file.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return Catalogue(
        name=file.name,
        currency=file.currency,
        margin=file.margin,
        margin_floor=file.margin_floor,
        typical_basket_cents=file.typical_basket_cents,
        cool_down_days=file.cool_down_days,
        offer_days=file.offer_days,
        categories=file.categories,
        scenes=file.scenes,
        channels=file.channels,
        offers=file.offers,
        caps=file.caps,
        attributes=file.attributes,
        actions=tuple(actions),
        action_offer=np.asarray([action.offer for action in actions], np.int16),
        action_channel=np.asarray([action.channel for action in actions], np.int16),
        hash=hashlib.sha256(canonical.encode()).hexdigest(),
        text=text,
    )
