from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from envs.decisions import EventKind
from envs.encoding import Encoding
from envs.errors import InputError
from envs.rules import Rules
from envs.users import UserState, advance
from simulators.hidden import stage
from simulators.presets import find_preset
from simulators.stress.failures import MissingSignals
from simulators.world import SyntheticWorld

TABULAR = find_preset("tabular")
STEPS = 120


def played(world: SyntheticWorld, seed: int = 0) -> Iterator[SyntheticWorld]:
    """The world at each of its opportunities, where any allowed action is taken."""
    rng, rules = np.random.default_rng(seed), Rules(world.catalogue)
    for step in range(STEPS):
        yield world
        mask = rules.refusals(world.users, world.moment(), world.budget_left()) == 0
        world.step(np.where(mask, rng.random(mask.shape), -1.0).argmax(axis=1))
        if step % 40 == 39:
            world.restart(np.arange(0, 30), np.arange(step, step + 30))


def test_what_is_told_is_the_stage_of_the_need_at_every_opportunity() -> None:
    stages = set()
    for world in played(SyntheticWorld(100, seed=1, preset=TABULAR)):
        assert np.array_equal(world.users.attributes[:, 0], stage(world.hidden))
        stages |= set(stage(world.hidden).tolist())
    assert stages == {0, 1, 2, 3}


def test_the_features_say_the_stage_and_the_contacts_since_midnight() -> None:
    """Fatigue counts the contacts of the calendar day in this preset."""
    world = SyntheticWorld(100, seed=2, preset=TABULAR)
    encoding = Encoding(world.catalogue)
    told = [f"attribute=need:{word}" for word in world.catalogue.attributes[0].values]
    columns = [encoding.names.index(name) for name in told]
    used = encoding.names.index("cap_used:two_a_day")
    for _ in played(world):
        observations = encoding.encode(world.users, world.moment())
        assert np.array_equal(observations[:, columns].argmax(axis=1), stage(world.hidden))
        assert np.array_equal(observations[:, used] * 2, world.hidden.fatigue)


def test_a_service_that_hears_the_events_sees_the_same_users() -> None:
    world = SyntheticWorld(50, seed=3, preset=TABULAR)
    heard = UserState.empty(world.catalogue, 50)
    advance(heard, world.introduction())
    told = 0
    for _ in range(STEPS):
        events = world.step(np.zeros(50, np.int64)).events
        told += int((events.kind == EventKind.DESCRIBED).sum())
        advance(heard, events)
        assert np.array_equal(heard.attributes, world.users.attributes)
    assert told > 0


def test_whoever_keeps_the_need_to_himself_lives_the_same_life() -> None:
    open_world = SyntheticWorld(50, seed=4, preset=TABULAR)
    silent_world = SyntheticWorld(50, seed=4, preset=replace(TABULAR, need_told=None))
    for _ in range(STEPS):
        actions = np.where(open_world.hidden.fatigue < 2, 5, 0)
        one, other = open_world.step(actions), silent_world.step(actions)
        assert np.array_equal(one.parts.net_cents(), other.parts.net_cents())
        assert (other.events.kind != EventKind.DESCRIBED).all()
    assert np.isnan(silent_world.users.attributes).all()


def test_what_is_missing_stays_missing_when_it_is_told_anew() -> None:
    world = MissingSignals(SyntheticWorld(60, seed=5, preset=TABULAR), 0.5)
    blank = np.isnan(world.users.attributes[:, 0])
    assert 0 < blank.sum() < 60
    for _ in range(STEPS):
        events = world.step(np.zeros(60, np.int64)).events
        assert np.array_equal(np.isnan(world.users.attributes[:, 0]), blank)
        described = events.row[events.kind == EventKind.DESCRIBED]
        values = events.attributes
        assert values is None or np.isnan(values[blank[events.row]]).all()
        assert values is not None or not len(described)


def test_a_catalogue_that_cannot_say_it_is_refused() -> None:
    other = find_preset("default").load_catalogue()
    with pytest.raises(InputError, match="attribute need, a choice of idle, idle_served"):
        SyntheticWorld(1, preset=replace(find_preset("default"), need_told="need"), catalogue=other)
