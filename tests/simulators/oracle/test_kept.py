from pathlib import Path

import numpy as np
import pytest

from envs.errors import InputError
from simulators.oracle.kept import Kept, sources_hash

ARRAYS = {"a": np.arange(3.0), "b": np.asarray(7)}


def rooms(root: Path) -> Path:
    for room in ("envs", "simulators"):
        (root / room).mkdir()
        (root / room / "part.py").write_text("x = 1\n")
    (root / "simulators" / "story.yaml").write_text("number: 1\n")
    return root


def test_what_was_kept_is_found_by_its_description(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    assert kept.read("work") is None
    kept.write("work", ARRAYS)
    found = Kept(tmp_path).read("work")
    assert found is not None and set(found) == set(ARRAYS)
    assert all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)
    assert kept.read("other work") is None


def test_a_file_cut_short_counts_as_none(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.write("work", ARRAYS)
    [path] = tmp_path.rglob("*.npz")
    path.write_bytes(path.read_bytes()[:40])
    assert kept.read("work") is None


def test_nothing_is_left_aside(tmp_path: Path) -> None:
    Kept(tmp_path).write("work", ARRAYS)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize("changed", ["envs/part.py", "simulators/story.yaml", "own.py"])
def test_what_other_sources_computed_is_not_found(tmp_path: Path, changed: str) -> None:
    root = rooms(tmp_path)
    (root / "own.py").write_text("y = 1\n")
    before = sources_hash([root / "own.py"], root)
    assert sources_hash([root / "own.py"], root) == before
    (root / changed).write_text("x = 2\n")
    assert sources_hash([root / "own.py"], root) != before


def test_nothing_is_kept_once_sources_have_changed(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text("y = 1\n")
    kept = Kept(tmp_path / "kept", [own])
    own.write_text("y = 2\n")
    kept.write("work", ARRAYS)
    assert kept.read("work") is None


def test_a_place_where_no_folder_can_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot keep anything"):
        Kept(tmp_path / "file")
