"""Where a result came from, so that it can be made again."""

from __future__ import annotations

import platform
import subprocess
import sys
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def commit() -> str:
    """The commit of the running code, ``+dirty`` when tracked files differ, else ``unknown``."""
    root = Path(__file__).resolve().parent.parent
    try:
        head = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}+dirty" if changed else head


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def lineage(seed: int) -> dict[str, str | int]:
    """Seed, commit, command, Python and time of what runs now."""
    return {
        "seed": seed,
        "commit": commit(),
        "command": " ".join(["python", *_started_as(), *sys.argv[1:]]),
        "python": platform.python_version(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _started_as() -> list[str]:
    """``-m agents`` for a room or module that was started as one, else the script's name."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is None:
        return [Path(sys.argv[0]).name]
    return ["-m", spec.name.removesuffix(".__main__")]
