"""Presets: every number of a synthetic world, each with its source or the word "assumed".

The numbers are in ``stories/NAME.yaml``, one file a preset, with its story. No public data
randomises the depth of a discount together with the channel, so their joint effect is assumed
throughout; single moments are held to published ones (``python -m simulators calibrate``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from envs.catalogue import Catalogue, load_catalogue
from envs.clock import known_zone
from envs.errors import InputError
from simulators.preset_files import FITTED, STORIES, Tree, place, read_story, sources, values

INTERRUPTING, WAITING = 0, 1
"""Groups of channels: those that interrupt, those that wait to be found."""
GROUPS: Final = ("interrupting", "waiting")
MOST_CATEGORIES: Final = 4
"""As many as there are draws of taste."""

Chance = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(ge=0, le=1e6)]
Group = Annotated[
    int, BeforeValidator(lambda word: GROUPS.index(word) if word in GROUPS else word), Field(le=1)
]
Rhythm = Mapping[Annotated[int, Field(ge=0, le=23)], Positive]
"""Factors at some hours of the day; linear between them, around the clock."""

_STRICT: Final = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Archetype:
    """A kind of person; individuals spread around it."""

    __pydantic_config__ = _STRICT

    name: str
    weight: Positive
    """Share of the population, relative to the others'."""
    needs_per_week: Positive
    """Needs this business could meet, whoever meets them."""
    basket_cents: Positive
    """Mean basket at list price."""
    loyalty: Chance
    """Share of the needs met here with no contact at all."""
    deal_liking: Positive
    """Gain of response to a very deep discount, as a fraction."""
    gift_liking: Positive
    """Gain of response to a gift, as a fraction."""
    reach_interrupting: Positive
    """How readily contacts that interrupt are seen; 1 is usual."""
    reach_waiting: Positive
    """How readily contacts that wait are seen; 1 is usual."""
    tiring: Positive
    """How fast contacts tire, a unit of fatigue."""
    forgiving: Chance
    """Share of the fatigue that is left after a midnight."""
    temper: Chance
    """Chance that a seen contact costs the channels of its group, when rested."""
    departing: Positive
    """How readily they leave for good; 1 is usual."""
    flexible: bool
    """Whether the days have no fixed working hours."""
    tastes: tuple[Positive, ...]
    """Share of the needs in each category, in the order of the preset's categories."""


@dataclass(frozen=True, slots=True)
class ChannelNature:
    """How a channel works on people."""

    __pydantic_config__ = _STRICT

    group: Group
    """INTERRUPTING or WAITING."""
    delivered: Chance
    """Chance that a contact reaches the device at all."""
    seen: Chance
    """Chance that it is then seen by a usual, rested user in a usual scene."""
    clicked: Chance
    """Chance that plain content is clicked once seen, with a need open."""
    weight: Positive
    """Fatigue that one contact adds."""
    nuisance: Positive
    """Multiplies the temper."""
    consenting: Chance
    """Share who consent at the start where consent is required."""


@dataclass(frozen=True, slots=True)
class SceneNature:
    """How a scene works on people; 1 is usual."""

    __pydantic_config__ = _STRICT

    intent: Positive
    """How readily needs ripen and are met in it."""
    interrupting: Positive
    """Attention for channels that interrupt."""
    waiting: Positive
    """Attention for channels that wait."""
    nuisance: Positive
    """How annoying a contact is."""
    browsing: Chance
    """Chance to look around in the app, with a need open."""


@dataclass(frozen=True, slots=True)
class Preset:
    """One setting of the world."""

    __pydantic_config__ = _STRICT

    name: str
    story: str
    categories: Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST_CATEGORIES)]
    """What people need, by kinds."""
    archetypes: Annotated[tuple[Archetype, ...], Field(min_length=1, max_length=100)]
    channels: Mapping[str, ChannelNature]
    scenes: Mapping[str, SceneNature]
    spread: Positive
    """Standard deviation of the logarithm of a trait among the individuals of an archetype."""
    needs_spread: Positive
    """The same of the need rate."""
    taste_spread: Positive
    """The same of the categories' shares, before they are scaled to 1."""
    basket_spread: Positive
    """The same among the baskets of one user."""
    needs_factor: Positive
    """Multiplies everybody's need rate."""
    basket_factor: Positive
    """Multiplies everybody's mean basket."""
    deal_factor: Positive
    """Multiplies everybody's liking of deals."""
    tiring_factor: Positive
    """Multiplies how fast contacts tire."""
    attention_by_hour: Rhythm
    """Multiplies the attention for contacts."""
    browsing_by_hour: Rhythm
    """Multiplies the chance to look around."""
    needs_by_hour: Rhythm
    """Multiplies how readily needs ripen and are met."""
    contact_effect: Positive
    """Multiplies the chance that a click becomes a purchase; 0: contacts sell nothing."""
    click_to_buy: Chance
    """Chance that a click sells when a need is open, in a usual scene."""
    place_pull: Positive
    """Exponent of the scene's intent in that chance."""
    stock_up: Chance
    """The same chance, relative, when no need is open yet: the next need is met early."""
    idle_clicks: Chance
    """Clicks without an open need, relative to those with one."""
    misfit: Chance
    """Clicks on an offer of another category than that of the need, relative to a fitting one."""
    later_share: Chance
    """Share of the purchases after a click that follow later."""
    later_days: Annotated[float, Field(gt=0, le=30)]
    """After how many days they follow, the mean of an exponential cut off at thirty days."""
    discount_scale: Annotated[float, Field(gt=0, le=1)]
    """Depth at which 63 % of the gain of a discount is had."""
    habit_loss: Positive
    """Loss of response by unit of discount below the one the user is used to."""
    loyalty_loss: Positive
    """Loss of unprompted purchases by unit of discount the user is used to."""
    reference_learning: Chance
    """Share of the way to a deeper discount that the one a user is used to goes when it is seen."""
    reference_kept: Chance
    """Share of the discount a user is used to that is left after a midnight."""
    annoyance: Positive
    """Growth of the chance of an opt-out by unit of fatigue, of its logarithm."""
    dismissed: Chance
    """Chance that a seen, unclicked contact is swiped away."""
    not_interested: Chance
    """Chance that it is refused for good."""
    leaving_per_day: Chance
    """Usual, rested users who leave for good."""
    leaving_growth: Positive
    """Growth of it by unit of fatigue."""
    return_per_week: Chance
    """Users who left channels and come back to them."""
    returned: Chance
    """Share of the purchases that are returned, and so earn nothing."""
    refund_days: Annotated[float, Field(ge=1, le=365)]
    """Within how many days after the purchase, evenly, but for the first."""
    service_contacts: Chance
    """Share of the purchases that lead to a service contact."""
    browsing_factor: Positive
    """Multiplies the chance to look around."""
    idle_browsing: Chance
    """Looking around without an open need, relative to that with one."""
    displaced: Chance
    """What is left of looking around in the day after a seen contact: openings move forward."""
    carting: Chance
    """Chance that a user with an open need who looks around puts something into the basket."""
    idle_carting: Chance
    """The same without an open need."""
    favouring: Chance
    """Chance that one who looks around keeps a favourite, with an open need."""
    idle_favouring: Chance
    """The same without an open need."""
    budget_cents_per_user_week: Positive | None
    """What may be spent on a user in a week, on average since the start; None: no limit."""
    time_zone: str
    """Where the users live."""
    catalogue: str | None
    """File of the business beside the story; the default business when None."""
    need_told: str | None = field(default=None, repr=False)
    """Attribute in which the stage of the need is told, at the start and whenever it has changed;
    nobody tells when None. No number, so not in the hash of the numbers."""
    sources: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """Where each number comes from, by dotted name: "spread", "channels.push.seen"."""

    def __post_init__(self) -> None:
        for kind in self.archetypes:
            if len(kind.tastes) != len(self.categories) or not sum(kind.tastes) > 0:
                raise ValueError(
                    f"archetype {kind.name} has tastes {list(kind.tastes)} for the categories "
                    f"{list(self.categories)}"
                )
        if not sum(kind.weight for kind in self.archetypes) > 0:
            raise ValueError("no archetype has a weight")
        if not known_zone(self.time_zone):
            raise ValueError(f"time zone {self.time_zone!r} does not exist")

    def load_catalogue(self) -> Catalogue:
        """The business of this world."""
        return _catalogue(self.catalogue)


@cache
def _catalogue(file: str | None) -> Catalogue:
    return load_catalogue(None if file is None else STORIES / file)


def preset_names() -> list[str]:
    """The presets there are."""
    apart = {FITTED, "signals.yaml"}
    files = [path for path in STORIES.glob("*.yaml") if path.name not in apart]
    return sorted(path.stem for path in files if not path.stem.endswith("_catalogue"))


@cache
def find_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        InputError: there is none, or its files are wrong.
    """
    if name not in preset_names():
        raise InputError(f"preset {name!r} is not known: use one of {', '.join(preset_names())}")
    tree = read_story(name)
    only = tree["archetypes"].pop("only", None)  # type: ignore[union-attr]
    content = {"budget_cents_per_user_week": None, "catalogue": None} | values(tree)
    kinds = content["archetypes"]
    content["archetypes"] = [
        {"name": kind, **kinds[kind]} for kind in (kinds if only is None else only.value)
    ]
    content |= {"name": name, "sources": sources(tree)}
    return _validated(content, tree)


def catalogue_for(preset: str, path: Path | None) -> Catalogue:
    """The catalogue in a file, or that of the preset when no path is given.

    Raises:
        InputError: no such preset, or the file is wrong.
    """
    return find_preset(preset).load_catalogue() if path is None else load_catalogue(path)


def _validated(content: dict[str, Any], tree: Tree) -> Preset:
    try:
        preset: Preset = TypeAdapter(Preset).validate_python(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        location = first["loc"]
        if location[:1] == ("archetypes",) and len(location) > 1:
            kind = content["archetypes"][location[1]]["name"]
            location = ("archetypes", kind, *location[2:])
        where = ".".join(str(step) for step in location) or "preset"
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{place(tree, location)}: {where}: {message}") from None
    return preset
