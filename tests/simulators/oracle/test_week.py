from __future__ import annotations

import numpy as np
import pytest

from envs.catalogue import load_catalogue
from envs.clock import hour_of_week
from simulators.oracle.week import Week
from simulators.presets import find_preset
from simulators.scenes import ROUTINES, ScenePath
from simulators.world import SyntheticWorld

PRESET = find_preset("default")
CATALOGUE = load_catalogue()
START_HOUR = 1  # Monday 00:00 UTC in Berlin


@pytest.mark.parametrize("routine", range(ROUTINES))
def test_chances_of_stays_and_turns_sum_to_one(routine: int) -> None:
    week = Week.of(ScenePath.of(CATALOGUE, PRESET), routine, START_HOUR)
    for stays in (*week.stays, week.start):
        assert sum(stay.chance for stay in stays) == pytest.approx(1)
        assert all(stay.hours > 0 for stay in stays)
    for hour, turns in enumerate(week.turns):
        assert turns.shape[1] == week.first[hour + 1] - week.first[hour]
        assert np.allclose(turns.sum(axis=1), 1)


@pytest.mark.slow
def test_every_opportunity_of_the_world_is_in_the_week() -> None:
    world = SyntheticWorld(300, seed=4, catalogue=CATALOGUE)
    weeks = [
        Week.of(ScenePath.of(CATALOGUE, PRESET), routine, START_HOUR) for routine in range(ROUTINES)
    ]
    for _ in range(150):
        moment = world.moment()
        for routine, week in enumerate(weeks):
            mine = world.traits.routine == routine
            pair = week.number[hour_of_week(moment.local()[mine]), moment.scene[mine]]
            assert (pair >= 0).all()
            assert (week.scene[pair] == moment.scene[mine]).all()
        world.step(np.zeros(300, np.int64))


def test_the_world_moves_as_often_from_a_pair_as_the_week_says() -> None:
    """Chi-square over the next pairs of one frequent pair; false alarm at 1e-4."""
    from scipy.stats import chisquare

    world = SyntheticWorld(3000, seed=9, catalogue=CATALOGUE)
    week = Week.of(ScenePath.of(CATALOGUE, PRESET), 0, START_HOUR)
    counts: dict[int, int] = {}
    chosen = int(week.number[24 + 18, CATALOGUE.scene_index("home_evening")])
    for _ in range(60):
        moment = world.moment()
        here = week.number[hour_of_week(moment.local()), moment.scene] == chosen
        here &= world.traits.routine == 0
        world.step(np.zeros(3000, np.int64))
        after = world.moment()
        for pair in week.number[hour_of_week(after.local()), after.scene][here]:
            counts[int(pair)] = counts.get(int(pair), 0) + 1
    expected: dict[int, float] = {}
    for stay in week.stays[chosen]:
        then = (int(week.hour[chosen]) + stay.hours) % 168
        for offset, chance in enumerate(week.turns[then][stay.row]):
            pair = int(week.first[then]) + offset
            expected[pair] = expected.get(pair, 0.0) + stay.chance * float(chance)
    total = sum(counts.values())
    likely = [pair for pair, chance in expected.items() if chance * total >= 5]
    assert total > 200 and set(counts) <= {pair for pair, chance in expected.items() if chance > 0}
    seen = [counts.get(pair, 0) for pair in likely]
    due = np.asarray([expected[pair] for pair in likely])
    seen.append(total - sum(seen))
    due = np.append(due, max(1 - due.sum(), 1e-12))
    assert chisquare(seen, due / due.sum() * total).pvalue > 1e-4
