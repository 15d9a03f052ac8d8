"""What is written aside appears whole or not at all, and leaves nothing behind."""

from pathlib import Path

import pytest

from envs.aside import file_aside, folder_aside


class BrokenOff(Exception):
    pass


def test_a_file_takes_its_place_when_all_went_well(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_text("old")
    with file_aside(path) as aside:
        aside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_breaks_off_leaves_the_old_one_alone(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_text("old")
    with pytest.raises(BrokenOff), file_aside(path) as aside:
        aside.write_text("half")
        raise BrokenOff
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_of_which_nothing_was_written_changes_nothing(tmp_path: Path) -> None:
    with file_aside(tmp_path / "some.json"):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("before", [None, "old"])
def test_a_folder_takes_the_place_of_an_empty_or_a_full_one(
    tmp_path: Path, before: str | None
) -> None:
    path = tmp_path / "above" / "folder"
    if before is not None:
        path.mkdir(parents=True)
        (path / before).touch()
    with folder_aside(path, replace=True) as aside:
        (aside / "new").touch()
    assert [file.name for file in path.iterdir()] == ["new"]
    assert list(path.parent.iterdir()) == [path]


def test_a_full_folder_stays_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    with folder_aside(path) as aside:  # an empty one gives way
        (aside / "old").touch()
    with pytest.raises(OSError, match="not empty"), folder_aside(path) as aside:
        (aside / "new").touch()
    assert [file.name for file in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_breaks_off_leaves_the_old_one_alone(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(BrokenOff), folder_aside(path) as aside:
        (aside / "half").touch()
        raise BrokenOff
    assert [file.name for file in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]
