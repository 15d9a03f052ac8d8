"""The parts of a journal, in a folder for each hour (UTC) in which they arrived.

``2026-11-26T14/decisions-STAMP.parquet`` and so on. A part appears whole or not at all. When its
hour is over, the parts of a kind become one: the new one takes its place, then the old ones go; a
crash in between leaves rows twice, and those who read take each once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from serving.journal.durable import GROUP_ROWS, durable_file, make_folder, write_parquet
from serving.journal.rows import KINDS, REFUSED, Kind, Tables, last_of_each, read_part

HOUR_MS: Final = 3_600_000
HOUR_FORMAT: Final = "%Y-%m-%dT%H"
REFUSED_FOLDER: Final = "refused"


class Hours:
    """The hours of one catalogue's journal, under a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._open: set[Path] | None = None

    def add(self, tables: Tables) -> None:
        """Keep rows, in the hours in which they arrived.

        Raises:
            OSError: no room, or no right to write; what was written of them is removed again.
        """
        written: list[Path] = []
        try:
            for kind, table in tables.items():
                for hour, rows in _by_hour(table):
                    path = self._new_part(kind, hour)
                    make_folder(path.parent)
                    written.append(path)
                    write_parquet(rows, path)
                    if self._open is not None and kind is not REFUSED:
                        self._open.add(path.parent)
        except BaseException:
            # They come again: a disk that stays full must not fill up with copies.
            for path in written:
                path.unlink(missing_ok=True)
            raise

    def parts(self, kind: Kind) -> list[Path]:
        """The files of a kind, as they were written."""
        folder = REFUSED_FOLDER if kind is REFUSED else "????-??-??T??"
        return sorted(self._folder.glob(f"{folder}/{kind.name}-*.parquet"))

    def compact(self, now_s: float) -> int:
        """Make one part of the parts of each hour that is over; how many have gone.

        Raises:
            OSError: no room. Nothing is lost, and it can be tried again.
        """
        current = hour_name(int(now_s * 1000))
        if self._open is None:  # whatever an earlier writer left
            self._open = set(self._folder.glob("????-??-??T??"))
        gone = 0
        for folder in sorted(self._open):
            if folder.name < current:
                gone += sum(self._compact(kind, folder) for kind in KINDS)
                self._open.discard(folder)
        return gone

    def _compact(self, kind: Kind, folder: Path) -> int:
        parts = sorted(folder.glob(f"{kind.name}-*.parquet"))
        if len(parts) < 2:
            return 0
        whole = self._new_part(kind, folder.name)
        with durable_file(whole) as aside:
            _join(kind, parts, aside)
        for part in parts:
            part.unlink()
        return len(parts) - 1

    def _new_part(self, kind: Kind, hour: str) -> Path:
        self._number += 1
        stamp = f"{time.time_ns():020}-{os.getpid()}-{self._number}"
        folder = REFUSED_FOLDER if kind is REFUSED else hour
        return self._folder / folder / f"{kind.name}-{stamp}.parquet"


def hour_name(milliseconds: int) -> str:
    """The hour of a time since 1970, as its folder is called."""
    return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime(HOUR_FORMAT)


def _by_hour(table: pa.Table) -> Iterable[tuple[str, pa.Table]]:
    hours = table["arrived"].to_numpy() // HOUR_MS
    for hour in np.unique(hours).tolist():
        yield hour_name(hour * HOUR_MS), table.filter(pa.array(hours == hour))


def _join(kind: Kind, parts: Sequence[Path], path: Path) -> None:
    """Write the rows of the parts, each once, with few of them in memory at a time."""
    empty = kind.schema.empty_table()
    named = [read_part(part, kind.identity) for part in parts]
    identities = pa.concat_tables([empty.select(kind.identity), *named])
    keep = np.zeros(identities.num_rows, np.bool_)
    keep[last_of_each(identities)] = True
    waiting, first = empty, 0
    with pq.ParquetWriter(path, kind.schema, compression="zstd") as writer:
        for rows in _batches(parts):
            chosen = pa.array(keep[first : first + rows.num_rows])
            first += rows.num_rows
            waiting = pa.concat_tables([waiting, rows.filter(chosen)])
            if waiting.num_rows >= GROUP_ROWS:
                writer.write_table(waiting)
                waiting = empty
        if waiting.num_rows:
            writer.write_table(waiting)


def _batches(parts: Iterable[Path]) -> Iterator[pa.Table]:
    for part in parts:
        with pq.ParquetFile(part) as file:
            for batch in file.iter_batches(GROUP_ROWS):
                yield pa.Table.from_batches([batch])
