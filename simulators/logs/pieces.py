"""Logs too large to hold: read piece by piece, on any machine that sees the files.

A piece is a row group of a file. What a piece holds is checked as ``read_log`` checks it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from envs.catalogue import Catalogue
from simulators.logs.log_columns import LogError, log_catalogue, open_log, reading
from simulators.logs.logged import Log, log_of


@dataclass(frozen=True, slots=True)
class Piece:
    """A row group of a log's file."""

    path: Path
    group: int
    file: int
    """Number of the file: what a later one says of a decision counts."""
    first_row: int
    """Row of the file with which it begins, from 0."""
    rows: int


@dataclass(frozen=True, slots=True)
class LogShape:
    """What can be known of a log without reading its rows."""

    catalogue: Catalogue
    reward_unit: str
    pieces: tuple[Piece, ...]

    @property
    def rows(self) -> int:
        """Rows of all files; a decision written again counts again."""
        return sum(piece.rows for piece in self.pieces)


def survey(path: Path, catalogue: Catalogue | None = None) -> LogShape:
    """The pieces of a log, one Parquet file or a folder of them, whose files belong together.

    Args:
        path: file or folder.
        catalogue: the one that the log must belong to; any when left out.

    Raises:
        LogError: naming the file.
    """
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise LogError(f"{path}: the folder holds no .parquet file")
    pieces: list[Piece] = []
    units: dict[str, Path] = {}
    for number, name in enumerate(files):
        file, metadata = open_log(name)
        catalogue = log_catalogue(name, metadata, catalogue)
        units.setdefault(str(metadata.get("reward_unit", "cents")), name)
        if len(units) > 1:
            raise LogError(f"{name}: rewards in {' and '.join(units)}: keep them apart")
        first_row = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            pieces.append(Piece(name, group, number, first_row, rows))
            first_row += rows
    shape = LogShape(_known(catalogue), next(iter(units)), tuple(pieces))
    if not shape.rows:
        raise LogError(f"{path}: the log has no rows")
    return shape


def _known(catalogue: Catalogue | None) -> Catalogue:
    assert catalogue is not None, "a log has a file at least"
    return catalogue


def read_piece(piece: Piece) -> Log:
    """Read and check one piece.

    Raises:
        LogError: naming file, row and column.
    """
    file, metadata = open_log(piece.path)
    with reading(piece.path):
        table = file.read_row_group(piece.group)
    catalogue = log_catalogue(piece.path, metadata, None)
    return log_of(piece.path, table, metadata, catalogue, piece.first_row)
