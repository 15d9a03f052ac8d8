"""Checkpoints: all that a training has learnt, left in a folder now and then, to go on from.

A folder holds numbered checkpoints, ``000001``, ``000002`` and so on, the last ``KEPT`` of them.
Each is written aside and renamed, so one that has its number is whole, and at any moment there is
one. It holds RLlib's state of the algorithm: weights, optimisers, sums, counts; and what it is of.
The memory of experience is left out: it can be a thousand times the rest, and it is filled anew,
up to ``first_rows``, before anything more is learnt. So a training that goes on is not the same to
the last bit as one that never stopped; what it starts from is.

RLlib's checkpoints are pickles, which run code when they are loaded: go on from your own only.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from envs.aside import folder_aside
from envs.errors import InputError

KEPT: Final = 2
"""How many checkpoints a folder keeps."""
ORIGIN: Final = "origin.json"
RLLIB: Final = "rllib_checkpoint.json"


@dataclass(frozen=True, slots=True)
class Origin:
    """What a checkpoint is of: nothing else can go on from it."""

    learner: str
    catalogue_hash: str

    def __str__(self) -> str:
        return f"learner {self.learner} with catalogue {self.catalogue_hash[:12]}"


class Checkpoints:
    """A folder of checkpoints that a training leaves behind; none without a folder."""

    def __init__(
        self,
        folder: Path | None,
        origin: Origin,
        every_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = None if folder is None else folder.resolve()
        self._origin = origin
        self._every_s = every_s
        self._clock = clock
        self._due = clock() + every_s

    def keep_when_due(self, algorithm: Any) -> None:
        """Leave a checkpoint when the last one is old enough."""
        if self._clock() >= self._due:
            self.keep(algorithm)

    def keep(self, algorithm: Any) -> None:
        """Leave a checkpoint now; the oldest beyond ``KEPT`` give way."""
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        known = _numbered(self._folder)
        number = int(known[-1].name) + 1 if known else 1
        with folder_aside(self._folder / f"{number:06d}") as aside:
            algorithm.save_to_path(aside.as_posix())
            (aside / ORIGIN).write_text(json.dumps(asdict(self._origin)) + "\n", encoding="utf-8")
        for old in known[: 1 - KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        self._due = self._clock() + self._every_s


def check_folder(folder: Path | None) -> None:
    """See to it that files may be left in a folder: before the work, not after it.

    Raises:
        InputError: a file is in the way.
    """
    if folder is not None and folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: give a folder")


def has_checkpoint(folder: Path | None) -> bool:
    """Whether one was left in the folder."""
    return folder is not None and bool(_numbered(folder))


def find_checkpoint(path: Path, origin: Origin | None = None) -> Path:
    """One checkpoint: the path itself, or the last one in the folder.

    Args:
        path: a checkpoint, or a folder of them.
        origin: what it has to be of; anything when left out.

    Raises:
        InputError: there is none, or it is of something else.
    """
    place = path.resolve()
    if not (place / RLLIB).is_file():
        known = _numbered(place)
        if not known:
            raise InputError(f"no checkpoint at {path}: give a folder left by --checkpoint")
        place = known[-1]
    note = place / ORIGIN
    found = Origin(**json.loads(note.read_text(encoding="utf-8"))) if note.is_file() else origin
    if found != origin and origin is not None:
        raise InputError(
            f"{path} is a checkpoint of {found}, not of {origin}: go on with the same, or begin "
            "anew without --resume"
        )
    return place


def _numbered(folder: Path) -> list[Path]:
    """Whole checkpoints in a folder, in the order in which they were left."""
    if not folder.is_dir():
        return []
    places = [place for place in folder.iterdir() if place.name.isdecimal()]
    return sorted(
        (place for place in places if (place / RLLIB).is_file()), key=lambda place: int(place.name)
    )
