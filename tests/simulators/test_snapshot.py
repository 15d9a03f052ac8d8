import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from simulators.__main__ import main
from simulators.user_columns import METADATA_KEY


def snapshot(out: Path, *more: str) -> Path:
    assert (
        main(["snapshot", "--out", str(out), "--users", "60", "--days", "1", "--json", *more]) == 0
    )
    return out


def test_a_snapshot_repeats_with_its_seed_and_not_with_another(tmp_path: Path) -> None:
    first, again, other = (
        pq.read_table(snapshot(tmp_path / name, "--seed", seed))
        for name, seed in (("a", "1"), ("b", "1"), ("c", "2"))
    )
    assert first.equals(again)
    assert not first.equals(other)


def test_a_snapshot_says_how_it_was_made_and_leaves_nothing_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = snapshot(tmp_path / "users.parquet", "--seed", "3")
    said = json.loads(pq.read_schema(path).metadata[METADATA_KEY])
    assert said["lineage"]["seed"] == 3
    assert said["preset"] == "default"
    assert json.loads(capsys.readouterr().out)["users"] == pq.read_metadata(path).num_rows
    assert [each.name for each in tmp_path.iterdir()] == ["users.parquet"]


def test_a_person_is_the_same_in_any_snapshot_of_a_seed(tmp_path: Path) -> None:
    whole = pq.read_table(snapshot(tmp_path / "whole"))
    tail = pq.read_table(snapshot(tmp_path / "tail", "--first-user", "40", "--users", "20"))
    assert whole.slice(whole.num_rows - tail.num_rows).equals(tail)


@pytest.mark.parametrize("option", [["--users", "0"], ["--days", "0"], ["--policy", "nobody"]])
def test_what_cannot_be_lived_is_refused_in_one_line(
    option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["snapshot", "--out", str(tmp_path / "u"), *option]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())
