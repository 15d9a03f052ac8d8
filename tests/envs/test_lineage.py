"""Where a result came from."""

import re
import subprocess
import sys
from pathlib import Path

from envs.lineage import commit, lineage

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "from envs.lineage import lineage; print(lineage(7)['command'])"


def test_the_commit_is_that_of_the_checkout() -> None:
    assert re.fullmatch(r"[0-9a-f]{40}(\+dirty)?|unknown", commit())
    assert lineage(7)["seed"] == 7


def test_the_command_can_be_typed_again(tmp_path: Path) -> None:
    room = tmp_path / "room"
    room.mkdir()
    (room / "__main__.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "room", "run", "--seed", "7"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "python -m room run --seed 7"
