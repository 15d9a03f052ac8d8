from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agents.shipping.decision_files import (
    METADATA_KEY,
    DecisionFolder,
    ScoreInfo,
    check_folder,
    part_file,
)
from envs.errors import InputError

INFO = ScoreInfo("silence", "silence", "", "c", "e", "users.parquet", 3, 0.0, {"seed": 3})
ROWS = pa.table({"user_id": ["anna", "ben"]})


def write(folder: DecisionFolder, number: int) -> None:
    with part_file(folder.aside, number, folder.metadata) as part:
        part.add(ROWS)
        part.add(ROWS)


def test_a_folder_is_there_when_all_parts_are(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with DecisionFolder(out, INFO) as folder:
        write(folder, 1)
        write(folder, 0)
        assert not out.exists()
        folder.finish(2)
    assert pq.read_table(out).num_rows == 8
    names = ["_common_metadata", "part-000000.parquet", "part-000001.parquet"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert all(METADATA_KEY in pq.read_schema(out / name).metadata for name in names)


def test_a_part_that_this_machine_does_not_see_is_missed(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"1 of 2 parts .* an --out that all machines share"),
        DecisionFolder(tmp_path / "out", INFO) as folder,
    ):
        write(folder, 1)
        folder.finish(2)
    assert not list(tmp_path.iterdir())


def test_a_part_written_again_counts_once(tmp_path: Path) -> None:
    with DecisionFolder(tmp_path / "out", INFO) as folder:
        write(folder, 0)
        write(folder, 0)
        folder.finish(1)
    assert pq.read_table(tmp_path / "out").num_rows == 4


def test_of_a_part_that_fails_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), part_file(tmp_path, 0, b"{}") as part:
        part.add(ROWS)
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_decisions_may_be_written_where_nothing_is_or_older_ones(tmp_path: Path) -> None:
    check_folder(tmp_path / "new")
    check_folder(tmp_path)  # empty
    with DecisionFolder(tmp_path / "out", INFO) as folder:
        write(folder, 0)
        folder.finish(1)
    check_folder(tmp_path / "out")
    with pytest.raises(InputError, match="holds no decisions"):
        check_folder(tmp_path)
    with pytest.raises(InputError, match="holds no decisions"):
        check_folder(tmp_path / "out" / "part-000000.parquet")
