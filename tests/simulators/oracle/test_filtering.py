from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from envs.clock import HOUR
from envs.decisions import EventKind, Events
from envs.rules import Rules
from simulators.contacts import SOON_S, delay_seconds
from simulators.draws import Purpose
from simulators.hidden import OPEN, stage
from simulators.oracle.filtering import Belief
from simulators.oracle.impressions import Impressions
from simulators.oracle.outstanding import Outstanding
from simulators.oracle.reactions import Nature
from simulators.oracle.rivals import people
from simulators.population import Traits
from simulators.presets import Preset, find_preset
from simulators.world import SyntheticWorld
from tests.simulators.oracle.counting import MIDNIGHT, Counting, Lived, moment_of

SURPRISE = 4.42
"""Deviation of a standard normal number that one in 100,000 exceeds."""

LOOKED = (EventKind.VIEWED,)
OPENED = (EventKind.OPENED,)
CLICKED = (EventKind.OPENED, EventKind.CLICKED)
SOON = SOON_S / HOUR
EARLY = (
    Lived(10.2, "mall", 13.3, "lunch", told=(*LOOKED, EventKind.CARTED)),
    Lived(13.3, "lunch", 14.1, "work", "content/in_app", (*CLICKED, *LOOKED)),
    Lived(14.1, "work", 18.2, "supermarket", "gift/push", OPENED),
)
HISTORIES = {
    "a purchase follows later": (
        *EARLY,
        Lived(18.2, "supermarket", 19.4, "home_evening", bought=((18.9, "content/in_app", 2400),)),
    ),
    "nothing follows": (*EARLY, Lived(18.2, "supermarket", 19.4, "home_evening")),
    "bought at once": (
        *EARLY[:2],
        Lived(
            14.1,
            "work",
            18.2,
            "supermarket",
            "off20/in_app",
            CLICKED,
            ((14.1 + SOON, "off20/in_app", 2000),),
        ),
        Lived(18.2, "supermarket", 30.5, "home_morning", told=(*LOOKED, EventKind.FAVOURITED)),
    ),
    "a second sale brings the first forward": (
        *EARLY,
        Lived(
            18.2,
            "supermarket",
            19.4,
            "home_evening",
            "content/email",
            CLICKED,
            ((18.2, "content/in_app", 2600),),
        ),
    ),
    "bought with no contact's help after a click": (
        *EARLY,
        Lived(18.2, "supermarket", 19.4, "home_evening", bought=((18.4, "", 5100),)),
    ),
}


def universal(name: str) -> Preset:
    return replace(find_preset(name), time_zone="UTC")


def told_events(nature: Nature, lived: Lived) -> Events:
    """What the application reports of one user's step."""
    catalogue, now = nature.catalogue, MIDNIGHT + round(lived.hours * HOUR)
    parts = [Events.of(0, kind, now + 30) for kind in lived.told]
    for at, action, cents in lived.bought:
        index = catalogue.action_index(action) if action else 0
        offer = int(catalogue.action_offer[index]) if action else -1
        channel = int(catalogue.action_channel[index]) if action else -1
        off = catalogue.offers[offer].discount if action else 0.0
        paid = round(cents * (1 - off))
        time = MIDNIGHT + round(at * HOUR)
        parts.append(Events.of(0, EventKind.BOUGHT, time, -1, channel, offer, paid, off))
    return Events.concatenate(parts)


@pytest.mark.parametrize("name", HISTORIES)
def test_the_filter_agrees_with_counting_every_hidden_path(name: str) -> None:
    preset = universal("default")
    nature = Nature.of(preset, preset.load_catalogue())
    kinds = [Traits.centre(preset, kind) for kind in range(len(preset.archetypes))]
    shares = np.asarray([kind.weight for kind in preset.archetypes])
    belief = Belief(nature, people(preset).take(np.arange(len(kinds))), shares[None])
    counting = [Counting(nature, kind) for kind in kinds]
    for lived in HISTORIES[name]:
        before = moment_of(nature, lived.hours, lived.scene)
        after = moment_of(nature, lived.then, lived.next_scene)
        action = np.asarray([nature.catalogue.action_index(lived.action)])
        belief.learn(before, action, told_events(nature, lived), after)
        for paths in counting:
            paths.live(lived)
    joint = np.asarray(
        [share * paths.by_stage() for share, paths in zip(shares, counting, strict=True)]
    )
    assert np.allclose(belief.weights()[0], joint / joint.sum(), rtol=1e-4, atol=1e-9)
    for kind, paths in enumerate(counting):
        assert np.isclose(belief.fatigue()[0, kind], paths.hidden.fatigue[0])
        assert np.isclose(belief.reference()[0, kind], paths.hidden.reference_discount[0])


def lived_by(preset: Preset, users: int, steps: int, seed: int) -> tuple[SyntheticWorld, Belief]:
    """Users whom a third of the time some allowed action meets, and what their history says."""
    world = SyntheticWorld(users, seed, preset)
    nature, kinds = Nature.of(preset, world.catalogue), len(preset.archetypes)
    impressions, told = Impressions(world.catalogue, preset), world.users.attributes
    shares = np.asarray([kind.weight for kind in preset.archetypes])
    who = people(preset).take(np.tile(np.arange(kinds), users))
    belief = Belief(nature, who, impressions.chances(told) * shares)
    rules, generator = Rules(world.catalogue), np.random.default_rng(seed)
    for _ in range(steps):
        before = world.moment()
        allowed = rules.refusals(world.users, before) == 0
        allowed[generator.random(users) > 1 / 3, 1:] = False
        weights = np.cumsum(allowed, axis=1)
        actions = np.argmax(weights > world.uniform(Purpose.ACTION)[:, None] * weights[:, -1:], 1)
        step = world.step(actions)
        belief.learn(before, actions, step.events, world.moment())
    return world, belief


def surprise(happened: NDArray[np.bool_], chance: NDArray[np.float64]) -> float:
    """How far frequencies are from chances, in standard deviations; users are independent."""
    return float((happened - chance).sum() / np.sqrt((chance * (1 - chance)).sum()))


@pytest.mark.slow
def test_what_is_believed_comes_true_as_often_as_believed() -> None:
    """False alarms: below 1 in 10,000, eight comparisons of 1 in 100,000 each."""
    world, belief = lived_by(find_preset("small"), users=4000, steps=45, seed=3)
    here = ~world.departed
    weights, stages = belief.weights()[here], stage(world.hidden)[here]
    open_need, believed = stages >= OPEN, weights[..., OPEN:].sum(axis=(1, 2))
    assert abs(surprise(open_need, believed)) < SURPRISE
    for low, high in ((0.1, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 0.9)):
        some = (believed >= low) & (believed < high)
        assert some.sum() > 100
        assert abs(surprise(open_need[some], believed[some])) < SURPRISE
    served = (stages > 0) & (stages < OPEN)
    assert abs(surprise(served, weights[..., 1:OPEN].sum(axis=(1, 2)))) < SURPRISE
    assert abs(surprise(stages == OPEN + 1, weights[..., OPEN + 1].sum(axis=1))) < SURPRISE
    kind = world.traits.archetype[here] == 0
    assert abs(surprise(kind, weights[:, 0].sum(axis=1))) < SURPRISE


def test_fatigue_and_usual_discount_follow_the_users_of_a_preset_without_spread() -> None:
    world, belief = lived_by(find_preset("small"), users=100, steps=60, seed=4)
    here = np.flatnonzero(~world.departed)
    kind = world.traits.archetype[here].astype(np.int64)
    assert np.allclose(belief.fatigue()[here, kind], world.hidden.fatigue[here], rtol=1e-5)
    usual = world.hidden.reference_discount[here]
    assert np.allclose(belief.reference()[here, kind], usual, rtol=1e-5) and usual.any()


def test_beliefs_stay_chances_where_individuals_spread() -> None:
    _, belief = lived_by(find_preset("default"), users=60, steps=80, seed=5)
    weights = belief.weights()
    assert (weights >= 0).all() and np.allclose(weights.sum(axis=(1, 2)), 1)


def test_purchases_stay_unheard_as_long_as_the_world_delays_them() -> None:
    preset = replace(find_preset("default"), later_share=1.0)
    draws = (np.arange(100_000) + 0.5) / 100_000
    delays = delay_seconds(preset, draws)
    outstanding, zero = Outstanding(1, preset.later_days), np.zeros(1, np.int32)
    outstanding.clicked(np.zeros(1, np.int64), zero, np.zeros(1, np.int16), np.zeros(1, np.int16))
    for hours in (0.5, 2, 30, 100, 600, 721):
        until = np.asarray([hours * HOUR], np.int32)
        still = float(outstanding.unheard(zero, until)[0, 0])
        assert abs(still - (delays >= hours * HOUR).mean()) < 1e-3
