from __future__ import annotations

import numpy as np
import pytest

from envs.catalogue import load_catalogue, parse_catalogue
from envs.errors import InputError
from simulators.scenes import DWELL_STEPS, HOURS, ROUTINES, SCENE_STEPS, ScenePath
from simulators.world import SyntheticWorld


def test_users_have_sixty_to_seventy_opportunities_a_week() -> None:
    for a_week in ScenePath.of(load_catalogue()).opportunities_per_week:
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
    table = ScenePath.of(world.catalogue).opportunities_per_week
    for kind in range(ROUTINES):
        assert abs(lived[routine == kind].mean() - table[kind]) < 1.5


def test_every_stay_ends_and_every_turn_leads_to_a_scene() -> None:
    path = ScenePath.of(load_catalogue())
    assert len(path.stays) == ROUTINES * HOURS * path.scenes * DWELL_STEPS
    assert len(path.turns) == ROUTINES * HOURS * path.scenes * SCENE_STEPS
    assert path.stays.min() >= 1 and path.stays.max() <= 15
    assert path.turns.min() >= 0 and path.turns.max() < path.scenes


def test_working_days_differ_from_weekends() -> None:
    catalogue = load_catalogue()
    path = ScenePath.of(catalogue)
    turns = path.turns.reshape(ROUTINES, HOURS, path.scenes, SCENE_STEPS)
    work = catalogue.scene_index("work")
    home = catalogue.scene_index("home_morning")
    monday, sunday = (turns[0, day * 24 + 9, home] == work for day in (0, 6))
    assert monday.mean() > 5 * sunday.mean()


def test_a_scene_without_a_rhythm_is_refused_by_name() -> None:
    text = load_catalogue().text.replace("name: gym", "name: moon_base").replace("gym,", "")
    with pytest.raises(InputError, match="moon_base"):
        ScenePath.of(parse_catalogue(text))
