"""Nothing half-written stays: what is new comes into being beside its place, then takes it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


def aside_of(path: Path) -> Path:
    """A place beside the path that nobody else writes to, on this machine or another."""
    return path.with_name(f".{path.name}.{uuid4().hex}.partial")


@contextmanager
def file_aside(path: Path) -> Iterator[Path]:
    """A file to write instead of the one at the path, whose place it takes if all goes well.

    Yields:
        Where to write. If nothing is written there, the path stays as it was.
    """
    aside = aside_of(path)
    try:
        yield aside
        if aside.exists():
            os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def folder_aside(path: Path, replace: bool = False) -> Iterator[Path]:
    """A new folder to fill, which takes its place at the path if all goes well.

    Args:
        path: where nothing or an empty folder is.
        replace: whether it also takes the place of a full one.

    Yields:
        The folder to fill; those above it are made as well.

    Raises:
        OSError: something is at the path that is not to be replaced; it stays.
    """
    aside = aside_of(path)
    aside.mkdir(parents=True)
    try:
        yield aside
        if replace:
            put_folder(aside, path)
        else:
            aside.rename(path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def put_folder(new: Path, path: Path) -> None:
    """Put a folder in the place of another: it cannot be renamed onto a full one."""
    old = new.with_name(f"{new.name}.old")
    if path.exists():
        path.rename(old)
    new.rename(path)
    shutil.rmtree(old, ignore_errors=True)
