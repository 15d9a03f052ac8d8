"""The command: its table, its document, what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from simulators.__main__ import main
from simulators.calibration.published import FITTED, HELD_OUT, moments

ROOT = Path(__file__).parents[3]
DATA = ROOT / ".." / "shared" / "data"


@pytest.mark.slow
def test_the_command_tells_each_moment_beside_the_worlds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["calibrate", "--share", "0.02", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [row["moment"] for row in result["moments"]] == [moment.name for moment in moments()]
    for row in result["moments"]:
        published, world = row["published"], row["world"]
        assert row["within"] == (published["low"] <= world["value"] <= published["high"])
        assert ("why" in row) == (row["role"] not in (FITTED, HELD_OUT))
    held = [row for row in result["moments"] if row["role"] in (FITTED, HELD_OUT)]
    assert result["held_to"] == len(held) and result["within"] == sum(r["within"] for r in held)


@pytest.mark.slow
def test_saving_writes_the_tables_and_a_picture_for_each_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs").mkdir()
    document = tmp_path / "docs" / "calibration.md"
    shutil.copy(ROOT / "docs" / "calibration.md", document)
    monkeypatch.chdir(tmp_path)
    assert main(["calibrate", "--share", "0.02", "--save"]) == 0
    assert "held out and missed or not reproduced" in capsys.readouterr().out
    text = document.read_text()
    assert all(f"| {moment.says} |" in text for moment in moments())
    pictures = {f"calibration-{moment.group}.png" for moment in moments()}
    assert {path.name for path in document.parent.iterdir()} == pictures | {document.name}
    assert all(f"]({picture})" in text for picture in pictures)


def test_the_document_shows_every_moment_and_every_picture() -> None:
    text = (ROOT / "docs" / "calibration.md").read_text()
    for moment in moments():
        assert f"| {moment.says} |" in text
        assert (ROOT / "docs" / f"calibration-{moment.group}.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--share", "0"], "share 0.0 has to be above 0"),
        (["--starts", "0"], "starts 0 1 or more"),
        (["--data", "nowhere"], "data nowhere is no folder"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", *arguments]) == 2
    assert message in capsys.readouterr().err
