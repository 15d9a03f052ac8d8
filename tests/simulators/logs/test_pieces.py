from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from envs.catalogue import load_catalogue
from envs.encoding import Encoding
from simulators.logs import logged
from simulators.logs.logged import Log, LogError, read_log, write_log
from simulators.logs.pieces import read_piece, survey

CATALOGUE = load_catalogue(Path("simulators/logs/campaigns/hillstrom.yaml"))


def numbered(n: int) -> Log:
    width = Encoding(CATALOGUE).width
    return Log(
        catalogue=CATALOGUE,
        decision_ids=np.asarray([f"d{i}" for i in range(n)], object),
        user_ids=np.asarray([f"u{i}" for i in range(n)], object),
        times=np.arange(n, dtype=np.int32),
        scenes=np.zeros(n, np.int16),
        actions=np.arange(n) % 3,
        propensities=np.full(n, 1 / 3),
        observations=np.zeros((n, width), np.float32),
        mask=np.ones((n, 3), np.bool_),
        rewards=np.arange(n, dtype=np.float64),
        attributes=np.full((n, len(CATALOGUE.attributes)), np.nan),
        degraded=np.zeros(n, np.bool_),
    )


def test_the_pieces_of_a_log_are_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logged, "GROUP_ROWS", 40)
    write_log(numbered(100), tmp_path / "a.parquet")
    write_log(numbered(50), tmp_path / "b.parquet")
    shape = survey(tmp_path)
    assert [(piece.file, piece.first_row, piece.rows) for piece in shape.pieces] == [
        (0, 0, 40), (0, 40, 40), (0, 80, 20), (1, 0, 40), (1, 40, 10),
    ]  # fmt: skip
    assert shape.rows == 150 and shape.catalogue.hash == CATALOGUE.hash
    rewards = np.concatenate([read_piece(piece).rewards for piece in shape.pieces[:3]])
    np.testing.assert_array_equal(rewards, read_log(tmp_path / "a.parquet").rewards)


def test_a_bad_row_of_a_later_piece_is_counted_from_the_top_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logged, "GROUP_ROWS", 40)
    log = numbered(100)
    log.propensities[62] = 0.0
    write_log(log, tmp_path / "a.parquet")
    with pytest.raises(LogError, match=r"a\.parquet: row 63, column 'propensity': 0\.0"):
        read_piece(survey(tmp_path / "a.parquet").pieces[1])


@pytest.mark.parametrize("other", ["unit", "catalogue", "nothing", "empty"])
def test_files_that_do_not_belong_together_are_refused(tmp_path: Path, other: str) -> None:
    write_log(numbered(3), tmp_path / "a.parquet")
    if other == "unit":
        write_log(replace(numbered(3), reward_unit="visits"), tmp_path / "b.parquet")
        expected = "rewards in cents and visits"
    elif other == "catalogue":
        with pytest.raises(LogError, match="made with catalogue hillstrom"):
            survey(tmp_path, load_catalogue())
        return
    elif other == "nothing":
        tmp_path, expected = tmp_path / "none", "no such file"
    else:
        tmp_path, expected = tmp_path / "folder", "no .parquet file"
        tmp_path.mkdir()
    with pytest.raises(LogError, match=expected):
        survey(tmp_path)
