from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from envs.catalogue import load_catalogue, parse_catalogue
from envs.clock import WEEK, hour_of_week
from envs.errors import InputError
from simulators.presets import find_preset
from simulators.scenes import DWELL_STEPS, HOURS, ROUTINES, SCENE_STEPS, ScenePath, around_the_clock
from simulators.world import SyntheticWorld

PRESET = find_preset("default")


def test_users_have_sixty_to_seventy_opportunities_a_week() -> None:
    for a_week in ScenePath.of(load_catalogue(), PRESET).opportunities_per_week:
        assert 60 <= a_week <= 70


def test_the_table_agrees_with_what_users_live() -> None:
    # the mean of 400 users over four weeks has a standard error near .15 opportunities a week
    world = SyntheticWorld(400, seed=1)
    silence = np.zeros(400, np.int64)
    count = np.zeros(400)
    until = world.start_s + 28 * 86_400
    while (active := (world.moment().now < until) & ~world.departed).any():
        world.step(silence, active)
        count += active
    lived = count[~world.departed] / 4
    routine = world.traits.routine[~world.departed]
    table = ScenePath.of(world.catalogue, PRESET).opportunities_per_week
    for kind in range(ROUTINES):
        assert abs(lived[routine == kind].mean() - table[kind]) < 1.5


def test_every_stay_ends_and_every_turn_leads_to_a_scene() -> None:
    path = ScenePath.of(load_catalogue(), PRESET)
    assert len(path.stays) == ROUTINES * HOURS * path.scenes * DWELL_STEPS
    assert len(path.turns) == ROUTINES * HOURS * path.scenes * SCENE_STEPS
    assert path.stays.min() >= 1 and path.stays.max() <= 15
    assert path.turns.min() >= 0 and path.turns.max() < path.scenes


def test_working_days_differ_from_weekends() -> None:
    catalogue = load_catalogue()
    path = ScenePath.of(catalogue, PRESET)
    turns = path.turns.reshape(ROUTINES, HOURS, path.scenes, SCENE_STEPS)
    work = catalogue.scene_index("work")
    home = catalogue.scene_index("home_morning")
    monday, sunday = (turns[0, day * 24 + 9, home] == work for day in (0, 6))
    assert monday.mean() > 5 * sunday.mean()


def test_a_scene_without_a_rhythm_is_refused_by_name() -> None:
    text = load_catalogue().text.replace("name: gym", "name: moon_base").replace("gym,", "")
    with pytest.raises(InputError, match="moon_base"):
        ScenePath.of(parse_catalogue(text), PRESET)


def test_rhythms_run_around_the_clock() -> None:
    assert (around_the_clock({0: 1.0}) == 1.0).all()
    factors = around_the_clock({22: 0.0, 2: 1.0, 12: 2.0})
    assert factors[[22, 23, 0, 1, 2, 7, 12]].tolist() == [0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0]


def test_needs_follow_their_hours_and_stay_as_many() -> None:
    even, evening = (replace(PRESET, needs_by_hour=by) for by in ({0: 1.0}, {0: 0.2, 17: 3.0}))
    usual, late = (ScenePath.of(load_catalogue(), p).exposure for p in (even, evening))
    shape = (ROUTINES, 7, 24, -1)
    ratio = (late / usual).reshape(shape)[0, 2, :, 0]
    assert ratio.argmax() == 17 and ratio.argmin() == 0
    # 300 users for eight weeks: the mean has an error below .02 needs a week
    world = SyntheticWorld(300, seed=2, preset=evening)
    total, silence = np.zeros(300), np.zeros(300, np.int64)
    for _ in range(500):
        before = world.moment()
        path = world.path
        state = path.state(world.traits.routine, hour_of_week(before.local()), before.scene)
        then = world.moment().now
        world.step(silence)
        hours = (world.moment().now - then + then % 3600) // 3600
        total += path.exposure[state] * hours
    weeks = (world.moment().now - world.start_s) / WEEK
    here = ~world.departed
    assert (total / weeks)[here].mean() == pytest.approx(1.0, abs=0.05)
