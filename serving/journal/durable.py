"""Files that are on the disk when we say so: written aside, flushed, renamed, and the name flushed.

Whoever lets go of the only other copy must know that this one outlives a power cut, not only the
end of the process.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from envs.aside import file_aside

GROUP_ROWS: Final = 32_768
"""Rows in a row group of a file: what a reader takes at once."""


@contextmanager
def durable_file(path: Path) -> Iterator[Path]:
    """A file to write instead of the one at the path; it takes its place whole, and stays.

    Raises:
        OSError: it cannot be written; the path is as it was.
    """
    with file_aside(path) as aside:
        yield aside
        if aside.exists():
            _flush(aside)
    _flush(path.parent)


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a table durably."""
    with durable_file(path) as aside:
        pq.write_table(table, aside, compression="zstd", row_group_size=GROUP_ROWS)


def make_folder(path: Path) -> None:
    """Make a folder and those above it; they are there after a power cut too."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    _flush(path.parent)


def remove(path: Path) -> None:
    """Remove a file, and have it gone after a power cut too."""
    path.unlink(missing_ok=True)
    _flush(path.parent)


def sweep(folder: Path) -> None:
    """Remove what somebody who was killed left half-written; nobody may be writing there."""
    for path in folder.rglob(".*.partial"):
        path.unlink(missing_ok=True)


def lock_file(path: Path, wait: bool = False) -> IO[str] | None:
    """The open file, locked until it is closed or this process ends; None while another has it.

    Args:
        path: made when missing.
        wait: until the other lets go of it.

    Raises:
        OSError: it cannot be made.
    """
    make_folder(path.parent)
    file = path.open("a+", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        file.close()
        return None
    except BaseException:
        file.close()
        raise
    return file


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
