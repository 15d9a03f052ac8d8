"""Files of a journal without the rows about users of whom nothing may stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from serving.journal.durable import durable_file, remove, write_parquet
from serving.journal.rows import KINDS, REFUSED, Kind, read_part

LOG_COLUMNS: Final = ("decision_id", "user_id")

Until = Mapping[str, int]
"""Hashed users, and the time (milliseconds since 1970) until which everything of them goes."""


def erase_from_journal(folder: Path, until: Until) -> int:
    """Rewrite the parts of all catalogues under a folder; how many rows have gone.

    A user who comes back afterwards is somebody new: rows that arrived later stay. A crash leaves
    each file as it was or as it will be.
    """
    gone = 0
    for kind in (*KINDS, REFUSED):
        for file in sorted(folder.glob(f"*/*/{kind.name}-*.parquet")):
            gone += _erase_from_part(file, kind, until)
    return gone


def erase_from_log(log: Path, until: Until) -> int:
    """Rewrite the log that was made of the parts; how many decisions have gone.

    It does not say when a row arrived, so all of these users go; what came later comes back when
    the log is made again.
    """
    if not log.exists():
        return 0
    always = dict.fromkeys(until, 0)
    gone = _about(read_part(log, LOG_COLUMNS), LOG_COLUMNS, always)
    count = _count(gone)
    if count:
        with durable_file(log) as aside:
            _copy(log, aside, pc.invert(gone))
    return count


def _copy(log: Path, to: Path, kept: pa.Array) -> None:
    """Copy the rows of a log that are kept."""
    first = 0
    with (
        pq.ParquetFile(log) as file,
        pq.ParquetWriter(to, file.schema_arrow, compression="zstd") as writer,
    ):
        for group in range(file.num_row_groups):
            rows = file.read_row_group(group)
            writer.write_table(rows.filter(kept.slice(first, rows.num_rows)))
            first += rows.num_rows


def _erase_from_part(file: Path, kind: Kind, until: Until) -> int:
    if kind is REFUSED:
        gone = _naming(read_part(file), until)
    else:
        gone = _about(read_part(file, (*kind.of_users, "arrived")), kind.of_users, until)
    count = _count(gone)
    if count == len(gone):
        remove(file)
    elif count:
        write_parquet(read_part(file).filter(pc.invert(gone)), file)
    return count


def _about(table: pa.Table, columns: Sequence[str], until: Until) -> pa.Array:
    """Whether each row is about one of the users and arrived until then, [N].

    Args:
        table: without ``arrived``, everything arrived in time.
        columns: what holds a hashed user, or begins with one and ``-``.
        until: users and times.
    """
    users = pa.array(list(until), pa.string())
    times = pa.array(list(until.values()), pa.int64())
    arrived = (
        table["arrived"].combine_chunks()
        if "arrived" in table.column_names
        else pa.array([0] * table.num_rows, pa.int64())
    )
    gone = pa.array([False] * table.num_rows, pa.bool_())
    for name in columns:
        user = pc.list_element(pc.split_pattern(table[name].combine_chunks(), "-"), 0)
        limit = times.take(pc.index_in(user, users))
        gone = pc.or_(gone, pc.fill_null(pc.less_equal(arrived, limit), False))
    return gone


def _naming(table: pa.Table, until: Until) -> pa.Array:
    """Whether an entry that could not be read holds the name of one of the users, [N]."""
    rows = zip(table["fields"].to_pylist(), table["arrived"].to_pylist(), strict=True)
    return pa.array(
        [
            any(
                arrived <= limit and any(user.encode() in part for part in fields)
                for user, limit in until.items()
            )
            for fields, arrived in rows
        ],
        pa.bool_(),
    )


def _count(gone: pa.Array) -> int:
    return int(pc.sum(gone).as_py() or 0)
