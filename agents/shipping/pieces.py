"""Pieces of a scoring: a row group of users that becomes a part of decisions, wherever it is done.

What a piece becomes is a function of the piece alone, so a task that is begun anew, or on another
machine, writes the same part again.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from agents.shipping.decision_files import part_file
from agents.shipping.scoring import Scorer
from envs.catalogue import Catalogue
from envs.errors import InputError
from simulators.user_columns import People, catalogue_hash_of
from simulators.user_rows import UserReader, UsersError

BATCH: Final = 16_384
"""Users read at a time: what bounds the memory of a worker, whatever the size of a row group."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A row group of a file of users."""

    number: int
    """Of its part, from 0."""
    path: str
    row_group: int
    first_row: int
    """Number in the file of its first row, from 0."""
    rows: int


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a piece."""

    rows: int
    counts: NDArray[np.int64]
    """How often each action was taken, [A]."""
    cpu_s: float
    """Time that a processor worked on it."""
    peak_mb: float
    """The most memory that the process ever held."""
    refused: str = ""
    """What is wrong with the piece, in one line; empty when it is decided."""


def pieces_of(users: Path, catalogue: Catalogue) -> list[Piece]:
    """The row groups of a file of users, or of all files in a folder, in order.

    Raises:
        InputError: no file, not Parquet, no users, columns that are missing or of a wrong type, or
            users of another catalogue.
    """
    files = sorted(users.rglob("*.parquet")) if users.is_dir() else [users]
    pieces: list[Piece] = []
    for path in files:
        where, first_row = path.resolve().as_posix(), 0
        for group, rows in enumerate(_group_sizes(path, catalogue)):
            if rows:
                pieces.append(Piece(len(pieces), where, group, first_row, rows))
            first_row += rows
    if not pieces:
        raise UsersError(f"{users}: holds no users: give a Parquet file, or a folder of them")
    return pieces


def _group_sizes(path: Path, catalogue: Catalogue) -> list[int]:
    """Rows of each row group of a file whose columns are those of the catalogue's users."""
    if not path.is_file():
        raise UsersError(f"{path}: no such file: make one with python -m simulators snapshot")
    try:
        with pq.ParquetFile(path) as file:
            schema, meta = file.schema_arrow, file.metadata
            sizes = [meta.row_group(group).num_rows for group in range(meta.num_row_groups)]
    except (OSError, pa.ArrowException) as error:
        raise UsersError(f"{path}: not a readable Parquet file: {_reason(error)}") from None
    made_for = catalogue_hash_of(schema)
    if made_for not in (None, catalogue.hash):
        raise UsersError(
            f"{path}: users of catalogue {str(made_for)[:12]}, but the policy decides for "
            f"{catalogue.hash[:12]}: give a policy of the same catalogue"
        )
    UserReader(path, catalogue).wanted(schema)
    return sizes


def score_piece(row: dict[str, Any], scorer: Scorer, folder: Path, said: bytes) -> dict[str, Any]:
    """Decide for the users of a piece and write them as its part.

    Args:
        row: a ``Piece`` as a row of a dataset.
        scorer: decides.
        folder: where the parts go.
        said: metadata of the part.

    Returns:
        A ``Done`` as a row; what is wrong with the input is in it, not raised.
    """
    piece, counts = Piece(**row), np.zeros(len(scorer.catalogue.actions), np.int64)
    began, rows, refused = time.process_time(), 0, ""
    try:
        with part_file(folder, piece.number, said) as part:
            for people in _read(piece, scorer.catalogue):
                decided = scorer.decide(people)
                counts += np.bincount(decided.actions, minlength=len(counts))
                part.add(scorer.table(people, decided))
                rows += len(people)
    except InputError as error:
        refused = str(error)
    except (OSError, pa.ArrowException) as error:
        refused = f"{piece.path}: {_reason(error)}"
    return asdict(Done(rows, counts, time.process_time() - began, peak_mb(), refused))


def _read(piece: Piece, catalogue: Catalogue) -> Iterator[People]:
    """The users of a piece, a batch at a time."""
    reader, first_row = UserReader(Path(piece.path), catalogue), piece.first_row
    with pq.ParquetFile(piece.path) as file:
        columns = reader.wanted(file.schema_arrow)
        for rows in file.iter_batches(
            BATCH, row_groups=[piece.row_group], columns=columns, use_threads=False
        ):
            yield reader.people(rows, first_row)
            first_row += rows.num_rows


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def peak_mb() -> float:
    """The most memory that this process ever held, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
