"""What was computed before, kept in files that are named by everything it hangs on.

The name holds a hash of the sources of the rooms that take part, of the versions of what they are
built on, and of a description of the work; so what is found is what would be computed again. Old
files are never read again and may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import platform
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import scipy
from numpy.typing import NDArray

from envs.aside import file_aside
from envs.errors import InputError

Arrays = Mapping[str, NDArray[np.generic]]

ROOT: Final = Path(__file__).resolve().parents[2]
ROOMS: Final = ("envs", "simulators")
SOURCES: Final = ("*.py", "*.yaml")


class Kept:
    """Arrays by the description of the work that they came from."""

    def __init__(self, folder: Path, also: Sequence[Path] = ()) -> None:
        """Look in a folder.

        Args:
            folder: where files are and are put; it is made where there is none.
            also: sources beyond the rooms below that the work hangs on.

        Raises:
            InputError: no folder can be there.
        """
        self._also, self._sources = also, sources_hash(also)
        self._folder = folder / self._sources[:16]
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"cannot keep anything in {folder} ({error.strerror}): give another folder"
            ) from None

    def read(self, work: str) -> dict[str, NDArray[np.generic]] | None:
        """The arrays of a work, None where there are none that can be read."""
        try:
            with self._path(work).open("rb") as file, np.load(file, allow_pickle=False) as found:
                return {name: found[name] for name in found.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return None

    def write(self, work: str, arrays: Arrays) -> None:
        """Keep arrays, written aside and renamed; not where sources have changed underway."""
        if sources_hash(self._also) != self._sources:
            return
        with file_aside(self._path(work)) as aside, aside.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def _path(self, work: str) -> Path:
        return self._folder / f"{hashlib.sha256(work.encode()).hexdigest()[:32]}.npz"


def sources_hash(also: Sequence[Path] = (), root: Path = ROOT) -> str:
    """Hash of the rooms' sources and of the versions of what they are built on.

    Args:
        also: further files.
        root: where the rooms are.
    """
    digest = hashlib.sha256()
    versions = (platform.python_version(), platform.machine(), np.__version__, scipy.__version__)
    digest.update(repr(versions).encode())
    rooms = [path for room in ROOMS for kind in SOURCES for path in (root / room).rglob(kind)]
    for path in sorted({*rooms, *also}):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()
