from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.policy import load_policy
from benchmarks.bounds import bounds_of
from benchmarks.diary import Diary
from benchmarks.year import YearConfig, follow, main
from simulators.rollout import Player
from simulators.world import SyntheticWorld

MONTH = YearConfig(users=60, days=29.0, seed=2, plots=None)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["silence", "rule_book", "uniform"])
def test_a_year_stays_within_the_bounds_of_the_world(policy: str) -> None:
    # the departures break theirs by chance once in 1.7e6 runs, nothing else ever does
    followed = follow(YearConfig(users=250, seed=5), policy)
    assert followed.broken == []
    year = followed.year
    assert year.weeks == 52 and 0 < year.present[-1] < 1
    assert (np.diff(year.present) <= 0).all()
    assert all(kind["present"] > 0 and kind["purchases"] > 0 for kind in year.kinds.values())


def test_a_bound_that_is_broken_is_named() -> None:
    world = SyntheticWorld(20, seed=1)
    player = Player(world, load_policy("uniform", world.catalogue), 8.0, 0.0)
    diary, bounds = Diary(world, 1), bounds_of(world, 1)
    for tick in player.ticks(np.arange(20)):
        diary.note(tick)
    assert bounds.broken(diary) == []
    nobody_left = replace(bounds, departed=(0.9, 1.0), reference_discount=0.0)
    assert nobody_left.broken(diary) == ["reference discount", "departed"]
    diary.fatigue[0, 3] = np.inf
    assert bounds.broken(diary) == ["fatigue"]


def test_the_weeks_add_up_to_what_happened() -> None:
    world = SyntheticWorld(30, seed=4)
    player = Player(world, load_policy("rule_book", world.catalogue), 15.0, 0.0)
    diary, bought, contacts, cents = Diary(world, 2), 0, 0, 0.0
    for tick in player.ticks(np.arange(30)):
        diary.note(tick)
        bought += int((tick.step.events.kind == 6).sum())
        contacts += int((tick.actions[tick.active] > 0).sum())
        cents += float(tick.step.expected_cents[tick.active].sum())
    assert diary.purchases.sum() == bought == diary.bought.sum()
    assert diary.contacts.sum() == contacts
    assert np.isclose(diary.expected_cents.sum(), cents)
    year = diary.year("rule_book")
    assert year.weeks == 2 and year.contacts[0] == diary.contacts[0] / 30


@pytest.mark.slow
def test_the_command_prints_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--users", "20", "--days", "15", "--policies", "silence", "uniform"]
    assert main([*given, "--plots", str(tmp_path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result["years"]) == {"silence", "uniform"}
    assert result["years"]["uniform"]["broken"] == []
    assert [path.name for path in tmp_path.iterdir()] == ["year.png"]
    assert main([*given, "--plots", str(tmp_path)]) == 0
    assert "bounds broken" in capsys.readouterr().out
    assert main(["--days", "3"]) == 2
    assert "days 3" in capsys.readouterr().err
