import json
from pathlib import Path

import numpy as np
import pytest

from envs.decisions import draw_actions
from simulators.__main__ import main
from simulators.draws import Purpose
from simulators.logs.logged import read_log
from simulators.make import world_factory

GIVEN = ["log", "--preset", "small", "--users", "30", "--days", "2", "--seed", "3", "--json"]


def test_a_log_of_the_world_holds_what_a_service_could_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*GIVEN, "--out", str(tmp_path / "log")]) == 0
    log = read_log(tmp_path / "log")  # which checks hashes, masks and propensities
    assert len(log) == json.loads(capsys.readouterr().out)["decisions"]
    assert len(np.unique(log.user_ids.astype(str))) == 30
    assert (log.propensities == 1.0 / log.mask.sum(axis=1)).all()
    world = world_factory("small")(30, 3)
    first = {name: row for row, name in reversed(list(enumerate(log.user_ids)))}
    rows = np.asarray([first[f"user-{user}"] for user in range(30)])
    np.testing.assert_array_equal(log.times[rows], world.moment().now)
    uniform = log.mask[rows] / log.mask[rows].sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(
        log.actions[rows], draw_actions(uniform, world.uniform(Purpose.ACTION))
    )


def test_the_same_seed_writes_the_same_decisions(tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert main([*GIVEN, "--out", str(tmp_path / name)]) == 0
    one, two = (read_log(tmp_path / name) for name in ("one", "two"))
    np.testing.assert_array_equal(one.rewards, two.rewards)
    np.testing.assert_array_equal(one.observations, two.observations)


def test_a_folder_with_something_in_it_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    assert main([*GIVEN, "--out", str(tmp_path)]) == 2
    assert "give a new or an empty folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
