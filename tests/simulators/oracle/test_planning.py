from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulators.oracle.attained import Optimal, Silent, Users, play
from simulators.oracle.grid import Nodes
from simulators.oracle.plan import Plan, Standing, Today, plane_of
from simulators.oracle.planning import Planner
from simulators.population import Traits
from simulators.presets import INTERRUPTING, Preset, find_preset
from simulators.world import START, SyntheticWorld

SMALL = find_preset("small")
CATALOGUE = SMALL.load_catalogue()
COARSE = Nodes(8, 3)


def planned(preset: Preset, gamma: float = 0.97) -> Plan:
    planner = Planner(CATALOGUE, preset, START, gamma=gamma, nodes=COARSE)
    return planner.plan(Traits.centre(preset, 1))


@pytest.fixture(scope="module")
def plan() -> Plan:
    return planned(SMALL)


def copies(plan: Plan, n: int, seed: int = 0, preset: Preset = SMALL) -> SyntheticWorld:
    world = SyntheticWorld(n, seed, preset, CATALOGUE)
    everybody = np.arange(n)
    world.restart(everybody, everybody, plan.traits.take(np.zeros(n, np.int64)))
    return world


@pytest.mark.slow
def test_a_plan_that_does_not_look_ahead_values_contacts_as_the_world_does() -> None:
    kinds = tuple(replace(kind, loyalty=0.0) for kind in SMALL.archetypes)
    blind = replace(SMALL, archetypes=kinds)  # without loyalty nothing hangs on the way onward
    plan = planned(blind, gamma=1e-90)
    world = copies(plan, 500, preset=blind)
    for _ in range(12):
        world.step(np.zeros(500, np.int64))
    worth = plan.advantages(Standing.of(world, np.zeros(500, np.int8)))
    gains = world.action_gains()
    allowed = np.isfinite(worth)
    assert allowed[:, 1:].any()
    assert np.allclose(worth[allowed], gains[allowed], rtol=2e-3, atol=2e-3)


@pytest.mark.slow
def test_the_optimum_is_above_silence_and_below_it_without_channels(plan: Plan) -> None:
    assert plan.value_cents > 1.01 * plan.silence_cents
    nobody = replace(plan.traits, consents=np.zeros(1, np.uint16))
    mute = Planner(CATALOGUE, SMALL, START, nodes=COARSE).plan(nobody)
    assert mute.value_cents == pytest.approx(mute.silence_cents, rel=1e-3)


@pytest.mark.slow
def test_what_the_rules_refuse_has_no_worth(plan: Plan) -> None:
    world = copies(plan, 300)
    for _ in range(20):
        world.step(np.zeros(300, np.int64))
    at = Standing.of(world, np.zeros(300, np.int8))
    full = replace(at, contacts=np.full(300, 2, np.int8))
    lost = replace(at, plane=np.full(300, 3, np.int8))
    for worth in (plan.advantages(full), plan.advantages(lost)):
        assert (worth[:, 0] == 0).all() and np.isneginf(worth[:, 1:]).all()
    assert (plan.actions(full) == 0).all()
    alone = plan.advantages(replace(at, plane=np.full(300, 1 << INTERRUPTING, np.int8)))
    groups = [SMALL.channels[channel.name].group for channel in CATALOGUE.channels]
    for action in CATALOGUE.actions[1:]:
        if groups[action.channel] == INTERRUPTING:
            assert np.isneginf(alone[:, action.index]).all()


def test_the_plane_is_told_by_the_channels_that_were_lost() -> None:
    push, mail = (1 << CATALOGUE.channel_index(name) for name in ("push", "email"))
    lost = np.asarray([0, push, mail, push | mail], np.uint16)
    assert plane_of(lost, CATALOGUE, SMALL).tolist() == [0, 1, 2, 3]


def test_contacts_are_counted_until_midnight() -> None:
    world = SyntheticWorld(50, seed=1, preset=SMALL)
    today, contacted = Today(50), np.ones(50, np.bool_)
    assert not today.contacts(world.moment()).any()
    days = world.moment().local() // 86_400
    counts = np.zeros(50, np.int64)
    for _ in range(30):
        moment = world.moment()
        counts = np.where(moment.local() // 86_400 == days, counts, 0)
        days = moment.local() // 86_400
        assert (today.contacts(moment) == counts).all()
        today.count(moment, contacted)
        counts = counts + 1
        world.step(np.zeros(50, np.int64))


@pytest.mark.slow
def test_simulating_the_plan_attains_what_was_planned() -> None:
    """Within the grid's 2 % of the gap plus 4 standard errors (false alarm in 1 of 15,000)."""
    plan = Planner(CATALOGUE, SMALL, START).plan(Traits.centre(SMALL, 1))
    n = 600
    traits = plan.traits.take(np.zeros(n, np.int64))
    users, days = Users(np.arange(n), traits), 150.0
    player = Optimal([plan], np.zeros(n, np.int64))
    attained = play(SMALL, CATALOGUE, 2, player, users, days)
    silent = play(SMALL, CATALOGUE, 2, Silent(), users, days)
    gain = attained.value_cents - silent.value_cents
    noise = 4 * gain.std() / n**0.5
    due = plan.value_cents - plan.silence_cents
    assert abs(gain.mean() - due) < noise + 0.02 * due
    assert noise < 0.1 * due  # the test can tell
    spread = 4 * silent.value_cents.std() / n**0.5
    assert abs(silent.value_cents.mean() - plan.silence_cents) < spread
    assert 0 < attained.refused["any"] < 1 and attained.contacts.mean() > 0
