from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.clock import hour_of_week
from envs.rules import Rules
from simulators.hidden import OPEN
from simulators.oracle import tuning
from simulators.oracle.attained import Player, Silent, Users, play
from simulators.oracle.grid import Nodes
from simulators.oracle.plan import Plan, Standing, Today
from simulators.oracle.planning import Planner
from simulators.oracle.rivals import (
    Constant,
    Myopic,
    filtered,
    lost_channels,
    myopic,
    no_information,
    people,
)
from simulators.oracle.tuning import best_constant, priced_myopic
from simulators.population import Traits
from simulators.presets import Preset, find_preset
from simulators.world import START, SyntheticWorld


def played(world: SyntheticWorld, player: Player, steps: int) -> list[NDArray[np.int64]]:
    """What a player decides, under all rules."""
    rules = Rules(world.catalogue)
    player.begin(world)
    decided = []
    for _ in range(steps):
        moment = world.moment()
        allowed = rules.refusals(world.users, moment) == 0
        actions = player.decide(world, allowed)
        assert allowed[np.arange(len(allowed)), actions].all()
        step = world.step(actions)
        player.learn(moment, actions, step, world)
        decided.append(actions)
    return decided


class SimplePlan:
    """Contacts are worth more with a need open, for the rested, and by the number of the action."""

    def __init__(self, traits: Traits, slope: float) -> None:
        self.traits, self._slope = traits, slope

    def advantages(self, at: Standing) -> NDArray[np.float32]:
        level = 3.0 * (at.stage >= OPEN) - 1.0 - at.fatigue - 10.0 * at.reference - at.contacts
        worth = level[:, None] + self._slope * np.sin(np.arange(31)) + 0.01 * at.scene[:, None]
        worth[:, 0] = 0.0
        return worth.astype(np.float32)


def simple_plans() -> list[Plan]:
    """One for each of the people of preset small."""
    who = people(find_preset("small"))
    plans = [SimplePlan(who.take(np.asarray([row])), 0.5 + row) for row in range(len(who))]
    return plans  # type: ignore[return-value]


def test_the_myopic_rival_takes_the_best_allowed_gain_of_the_step() -> None:
    world = SyntheticWorld(300, seed=1)
    player, rules = myopic(), Rules(world.catalogue)
    for _ in range(30):
        allowed = rules.refusals(world.users, world.moment()) == 0
        gains = np.where(allowed, world.action_gains(), -np.inf)
        actions = player.decide(world, allowed)
        assert np.allclose(gains[np.arange(300), actions], gains.max(axis=1), atol=1e-9)
        world.step(actions)


def test_prices_are_taken_off_the_gain_of_the_step() -> None:
    world = SyntheticWorld(300, seed=2)
    for _ in range(20):
        world.step(np.zeros(300, np.int64))
    allowed = Rules(world.catalogue).refusals(world.users, world.moment()) == 0
    weight = world.behaviour.weight
    price = np.linspace(0, 40, 300)
    priced = np.where(allowed, world.action_gains() - price[:, None] * weight, -np.inf)
    actions = Myopic("priced", price).decide(world, allowed)
    assert np.allclose(priced[np.arange(300), actions], priced.max(axis=1), atol=1e-6)
    assert 0 < (actions > 0).sum() < 300


def test_a_sale_is_charged_with_the_later_purchase_it_takes_the_place_of() -> None:
    sure = tuple(replace(kind, loyalty=1.0) for kind in find_preset("small").archetypes)
    preset = replace(find_preset("small"), archetypes=sure, loyalty_loss=0.0)
    world = SyntheticWorld(300, seed=3, preset=preset)
    charged = Myopic("charged", 0.0, 1.0)
    contacts = sum(int((actions > 0).sum()) for actions in played(world, charged, 30))
    assert contacts == 0  # everybody buys here anyway, so no contact can win anything
    world = SyntheticWorld(300, seed=3, preset=preset)
    assert sum(int((actions > 0).sum()) for actions in played(world, myopic(), 30)) > 100


@pytest.mark.parametrize("action", [1, 9, 30])
def test_a_constant_is_played_whenever_it_is_allowed_and_never_otherwise(action: int) -> None:
    world, rules = SyntheticWorld(200, seed=4), Rules(find_preset("default").load_catalogue())
    player = Constant("constant", action)
    for _ in range(40):
        allowed = rules.refusals(world.users, world.moment()) == 0
        actions = player.decide(world, allowed)
        assert np.array_equal(actions, np.where(allowed[:, action], action, 0))
        world.step(actions)


def test_filtering_rivals_keep_to_the_rules_and_contact_somebody() -> None:
    for player in (filtered(find_preset("small"), simple_plans()), no_information(simple_plans())):
        decided = played(SyntheticWorld(80, seed=5, preset="small"), player, 30)
        assert sum(int((actions > 0).sum()) for actions in decided) > 20


class Blind:
    """A world whose hidden side cannot be read."""

    def __init__(self, world: SyntheticWorld) -> None:
        self._world = world

    def __getattr__(self, name: str) -> object:
        assert name in {"preset", "catalogue", "users", "departed", "moment"}, name
        return getattr(self._world, name)


@pytest.mark.parametrize("told", [True, False])
def test_filtering_rivals_read_only_what_a_service_knows(told: bool) -> None:
    preset = find_preset("small")
    plans = simple_plans()
    player = filtered(preset, plans) if told else no_information(plans)
    world, rules = SyntheticWorld(50, seed=6, preset=preset), Rules(preset.load_catalogue())
    blind: SyntheticWorld = Blind(world)  # type: ignore[assignment]
    player.begin(blind)
    for _ in range(20):
        moment = world.moment()
        actions = player.decide(blind, rules.refusals(world.users, moment) == 0)
        step = world.step(actions)
        heard = replace(step, parts=None, expected_cents=None, silence_cents=None, departed=None)  # type: ignore[arg-type]
        player.learn(moment, actions, heard, blind)


def test_lost_channels_are_those_opted_out_of_and_not_come_back_to() -> None:
    world = SyntheticWorld(400, seed=7)
    irritable = replace(world.traits, temper=np.full_like(world.traits.temper, 0.5))
    world.restart(np.arange(400), np.arange(400), irritable)
    played(world, Constant("content by e-mail", 3), 60)
    assert world.hidden.withdrawn.any()
    assert np.array_equal(lost_channels(world.users), world.hidden.withdrawn)


def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SEVERAL": 60, "FEW": 30, "MANY": 60, "DAYS": 14.0}.items():
        monkeypatch.setattr(tuning, name, value)


def contactless(preset: Preset) -> tuple[Preset, Catalogue]:
    """A business whose contacts sell nothing."""
    return replace(preset, contact_effect=0.0), preset.load_catalogue()


def test_where_contacts_sell_nothing_the_best_constant_is_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few(monkeypatch)
    preset, catalogue = contactless(find_preset("small"))
    assert best_constant(preset, catalogue, seed=0).tuned() == {"action": "silence"}


@pytest.mark.slow
def test_rivals_that_know_or_learn_more_are_worth_more_than_the_naive_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each difference is paired over 300 users and has to exceed four of its standard errors.

    It is many of them in truth, so it is the other way round less than once in 10,000 times.
    """
    few(monkeypatch)
    preset = find_preset("small")
    catalogue, who = preset.load_catalogue(), people(preset)
    planner = Planner(catalogue, preset, START, nodes=Nodes(3, 2))
    plans = [planner.plan(who.take(np.asarray([row]))) for row in (0, 1)]
    rivals: list[Player] = [
        Silent(),
        myopic(),
        priced_myopic(preset, catalogue, seed=0),
        filtered(preset, plans),
    ]
    users = Users(np.arange(300))
    worth = {
        rival.name: play(preset, catalogue, 0, rival, users, days=40.0).value_cents
        for rival in rivals
    }

    def exceeds(one: str, other: str) -> bool:
        difference = worth[one] - worth[other]
        return bool(difference.mean() > 4 * difference.std(ddof=1) / 300**0.5)

    assert exceeds("myopic_priced", "myopic")
    assert exceeds("myopic_priced", "silence")
    assert exceeds("filtered", "silence")


def test_tuning_users_are_not_those_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch)
    seeds = []

    def noted(
        preset: Preset, catalogue: Catalogue, seed: int, *rest: object, all_rules: bool
    ) -> object:
        seeds.append(seed)
        return play(preset, catalogue, seed, *rest, all_rules=all_rules)  # type: ignore[arg-type]

    monkeypatch.setattr(tuning, "play", noted)
    preset = find_preset("small")
    best_constant(preset, preset.load_catalogue(), seed=11)
    assert seeds and 11 not in seeds


def test_the_filtering_rival_takes_the_best_mean_worth_over_kinds_and_stages() -> None:
    preset, plans = find_preset("small"), simple_plans()[:2]
    world, player = SyntheticWorld(60, seed=8, preset=preset), filtered(preset, plans)
    played(world, player, 25)
    moment, belief = world.moment(), player.belief
    weights, fatigue, reference = belief.weights(), belief.fatigue(), belief.reference()
    worth = np.zeros((60, 31))
    today = np.zeros(60, np.int8)  # as if nobody had been contacted yet
    player._today = Today(60)
    for kind, plan in enumerate(plans):
        for stage in range(weights.shape[2]):
            at = Standing(
                hour_of_week(moment.local()),
                moment.scene,
                np.full(60, stage, np.int8),
                today,
                fatigue[:, kind],
                reference[:, kind],
                np.zeros(60, np.int8),
            )
            worth += weights[:, kind, stage, None] * plan.advantages(at)
    allowed = Rules(world.catalogue).refusals(world.users, moment) == 0
    best = np.where(allowed, worth, -np.inf)
    actions = player.decide(world, allowed)
    # the doubtful that have no say are worth little
    assert (best[np.arange(60), actions] > best.max(axis=1) - 0.2).all()
    assert (best.argmax(axis=1) == actions).mean() > 0.9
