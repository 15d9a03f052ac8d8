"""Presets: every number of the synthetic world, with its source or the word "assumed".

No public data randomises the depth of a discount together with the channel, so their joint effect
is assumed throughout; single moments are held to published ones (see the comments).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from envs.errors import InputError

INTERRUPTING, WAITING = 0, 1
"""Groups of channels that tire a user apart: those that interrupt, those that wait to be found."""


@dataclass(frozen=True, slots=True)
class Archetype:
    """A kind of person; individuals spread around it. All values are assumed."""

    name: str
    weight: float
    """Share of the population."""
    needs_per_week: float
    """Needs this business could meet, whoever meets them."""
    basket_cents: float
    """Mean basket at list price."""
    loyalty: float
    """Share of the needs met here with no contact at all."""
    deal_liking: float
    """Gain of response to a very deep discount, as a fraction."""
    gift_liking: float
    """Gain of response to a gift, as a fraction."""
    reach: tuple[float, float]
    """How readily contacts are seen, interrupting and waiting; 1 is usual."""
    tiring: float
    """How fast contacts tire, a unit of fatigue."""
    temper: float
    """Chance that a seen contact costs the channel, when rested."""
    flexible: bool
    """Whether the days have no fixed working hours."""


@dataclass(frozen=True, slots=True)
class ChannelNature:
    """How a channel works on people."""

    group: int
    """INTERRUPTING or WAITING."""
    seen: float
    """Chance that a contact is seen by a usual, rested user in a usual scene."""
    clicked: float
    """Chance that plain content is clicked once seen, with a need open."""
    weight: float
    """Fatigue that one contact adds."""
    nuisance: float
    """Multiplies the temper."""
    consenting: float
    """Share who consent at the start where consent is required."""


@dataclass(frozen=True, slots=True)
class SceneNature:
    """How a scene works on people. All values are assumed, 1 is usual."""

    intent: float
    """How readily needs ripen and are met in it."""
    interrupting: float
    """Attention for channels that interrupt."""
    waiting: float
    """Attention for channels that wait."""
    nuisance: float
    """How annoying a contact is."""
    browsing: float
    """Chance to look around in the app, with a need open."""


CHANNELS: Final = {
    # Push: Drink Less found 9.0 points more openings within the hour at .6 messages a day, 18 in
    # the first days and 6 in the last; here 9.6, 14 and 8 in the evening.
    "push": ChannelNature(INTERRUPTING, 0.13, 0.30, 1.0, 1.0, 0.8),
    # SMS: seen by most, clicked by few; assumed.
    "sms": ChannelNature(INTERRUPTING, 0.55, 0.12, 1.5, 1.5, 0.35),
    # E-mail: Hillstrom, visits +.045 and +.077 a message in two weeks, purchases +.0031 and +.0068;
    # here .068 and .0063.
    "email": ChannelNature(WAITING, 0.24, 0.30, 0.6, 0.5, 0.8),
    # In-app: in front of the user already; assumed.
    "in_app": ChannelNature(WAITING, 0.40, 0.20, 0.6, 0.4, 0.9),
    # Mini-program: in front of a user who scans or pays. O2O coupons are redeemed at .072 overall
    # and .135 at distance 0, by users who fetched them: an upper bound. Here .044 for gifts.
    "mini_program": ChannelNature(WAITING, 0.50, 0.30, 0.6, 0.3, 0.9),
}

# Odds of taking an offer in the in-vehicle survey: 14:00 .66, 10:00 .61, 18:00 .58, 22:00 .51,
# 07:00 .50; they order the scenes of the day, the strengths are assumed.
SCENES: Final = {
    "home_morning": SceneNature(0.6, 0.85, 1.0, 1.1, 0.20),
    "commute": SceneNature(0.5, 1.10, 1.1, 1.0, 0.20),
    "work": SceneNature(0.6, 0.80, 0.8, 1.3, 0.08),
    "lunch": SceneNature(1.0, 1.20, 1.1, 0.9, 0.20),
    "dining": SceneNature(0.8, 0.90, 0.7, 1.4, 0.05),
    "mall": SceneNature(3.5, 1.20, 1.0, 0.8, 0.20),
    "supermarket": SceneNature(4.0, 1.10, 0.8, 0.8, 0.15),
    "gym": SceneNature(0.3, 0.50, 0.4, 1.4, 0.03),
    "travel_planning": SceneNature(1.2, 1.00, 1.2, 1.0, 0.25),
    "travel": SceneNature(0.5, 0.80, 0.9, 1.1, 0.15),
    "home_evening": SceneNature(1.2, 1.10, 1.2, 1.0, 0.30),
    "night": SceneNature(0.1, 0.40, 0.4, 2.0, 0.02),
}

POPULATION: Final = (
    #         name         share needs basket loyal deals gift  reach      tiring temper flexible
    Archetype("regular", 0.22, 1.10, 2750, 0.70, 0.30, 0.25, (1.0, 1.1), 0.12, 0.006, False),
    Archetype("deal_seeker", 0.18, 1.00, 2200, 0.35, 1.50, 0.40, (1.1, 1.2), 0.08, 0.005, True),
    Archetype("commuter", 0.15, 0.90, 2400, 0.50, 0.40, 0.35, (1.3, 0.7), 0.16, 0.010, False),
    Archetype("family", 0.12, 1.60, 4000, 0.55, 0.70, 0.45, (0.8, 1.2), 0.12, 0.006, True),
    Archetype("occasional", 0.15, 0.35, 3300, 0.40, 0.50, 0.50, (0.8, 0.9), 0.15, 0.008, False),
    Archetype("private", 0.10, 0.80, 2600, 0.60, 0.30, 0.20, (0.4, 0.6), 0.25, 0.030, False),
    Archetype("app_fan", 0.08, 0.90, 2000, 0.55, 0.50, 0.60, (1.4, 1.6), 0.07, 0.003, True),
)


@dataclass(frozen=True, slots=True)
class Preset:
    """One setting of the world. Every default is assumed unless it names its source."""

    name: str
    story: str
    archetypes: tuple[Archetype, ...] = POPULATION
    spread: float = 0.30
    """Standard deviation of the logarithm of a trait among the individuals of an archetype."""
    basket_spread: float = 0.85
    """The same among the baskets of one user; Hillstrom's buyers .84, and with the spread between
    users the mean over the median comes near Complete Journey's 29.5 / 17.5."""
    contact_effect: float = 1.0
    """Multiplies the chance that a click becomes a purchase; 0: contacts sell nothing."""
    click_to_buy: float = 0.30
    """Chance that a click sells when a need is open; about half of it is sales that would not
    have come. Hillstrom: .07 to .09 more purchases a further visit, over all customers."""
    stock_up: float = 0.10
    """The same chance, relative, when no need is open yet: the next need is met early."""
    idle_clicks: float = 0.6
    """Clicks without an open need, relative to those with one."""
    later_share: float = 0.35
    """Share of the purchases after a click that follow later."""
    later_days: float = 3.0
    """Up to which they follow, uniformly."""
    discount_scale: float = 0.12
    """Depth at which 63 % of the gain is had. Karlan and List: .0179 with none, .0207, .0226 and
    .0227 with rising depth, so the gain saturates; slope near 0 about elasticity 2.5 (Dominick's
    orange juice, -2.53) for a deal liking of a third."""
    habit_loss: float = 2.0
    """Loss of response by unit of discount below the one the user is used to."""
    loyalty_loss: float = 1.5
    """Loss of unprompted purchases by unit of discount the user is used to."""
    fatigue_kept: float = 0.90
    """Share of the fatigue that is left after a midnight; with the archetypes' tiring the seventh
    contact in a few days is seen .60 times as often as the first. UCI Bank, observational and so
    an upper bound of the slope: .46."""
    annoyance: float = 0.08
    """Growth of the chance of an opt-out by unit of fatigue."""
    reference_kept: float = 0.95
    """Share of the reference discount that is left after a midnight."""
    dismissed: float = 0.30
    """Chance that a seen, unclicked contact is swiped away."""
    not_interested: float = 0.01
    """Chance that it is refused for good."""
    leaving_per_day: float = 0.0005
    """Rested users who leave for good."""
    leaving_growth: float = 0.10
    """Growth of it by unit of fatigue."""
    return_per_week: float = 0.01
    """Users who left a channel and come back to it."""
    idle_browsing: float = 0.30
    """Looking around without an open need, relative to that with one."""
    carting: float = 0.25
    """Chance that a user with an open need who looks around puts something into the basket."""
    idle_carting: float = 0.03
    """The same without an open need."""
    time_zone: str = "Europe/Berlin"
    """Where the users live."""


PRESETS: Final = {
    preset.name: preset
    for preset in (
        Preset(
            "default",
            "Seven kinds of people with individual spread shop at a neighbourhood retailer.",
        ),
        Preset(
            "small",
            "Two kinds of people, all alike within a kind: regulars and deal seekers. For tests "
            "and first steps: differences show with few users.",
            archetypes=POPULATION[:2],
            spread=0.0,
        ),
    )
}


def find_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        InputError: there is none.
    """
    if name not in PRESETS:
        raise InputError(f"preset {name!r} is not known: use one of {', '.join(PRESETS)}")
    return PRESETS[name]
