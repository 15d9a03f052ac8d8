"""What the journal keeps on disk: four kinds of rows, and what tells two rows of a kind apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

Row = tuple[Any, ...]
"""The values of a row in the order of its kind's schema."""


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One kind of rows, with files of their own."""

    name: str
    """How its files begin."""
    schema: pa.Schema
    identity: tuple[str, ...]
    """Columns in which the copies of a row that was written twice are alike."""
    of_users: tuple[str, ...] = ()
    """Columns that hold a hashed user, or begin with one."""


def _schema(*columns: tuple[str, pa.DataType]) -> pa.Schema:
    return pa.schema([*columns, ("arrived", pa.int64())])


DECISIONS: Final = Kind(
    "decisions",
    _schema(
        ("decision_id", pa.string()),
        ("time", pa.int32()),
        ("zone", pa.string()),
        ("scene", pa.int16()),
        ("scene_chance", pa.float64()),
        ("action", pa.int16()),
        ("propensity", pa.float64()),
        ("observation", pa.binary()),
        ("mask", pa.binary()),
        ("refusals", pa.binary()),
        ("probabilities", pa.binary()),
        ("attributes", pa.binary()),
        ("degraded", pa.bool_()),
        ("policy", pa.string()),
        ("arm", pa.string()),
        ("budget_price", pa.float64()),
        ("reserved_cents", pa.int64()),
        ("lease", pa.string()),
        ("period", pa.int64()),
        ("deferred", pa.bool_()),
        ("shadow", pa.string()),
        ("shadow_propensity", pa.float64()),
        ("latitude", pa.float64()),
        ("longitude", pa.float64()),
    ),
    ("decision_id",),
    ("decision_id",),
)
"""As ``records.DecisionRecord``; ``arrived``, of all kinds, is when Redis took the row, in
milliseconds since 1970 by its clock."""

OUTCOMES: Final = Kind(
    "outcomes",
    _schema(
        ("user", pa.string()),
        ("key", pa.string()),
        ("kind", pa.string()),
        ("time", pa.int32()),
        ("decision", pa.string()),
        ("channel", pa.string()),
        ("offer", pa.string()),
        ("amount_cents", pa.int64()),
        ("discount", pa.float64()),
    ),
    ("user", "key"),
    ("user", "decision"),
)

MARKS: Final = Kind(
    "marks",
    _schema(
        ("kind", pa.string()),
        ("decision", pa.string()),
        ("user", pa.string()),
        ("person", pa.string()),
        ("time", pa.int64()),
    ),
    ("kind", "decision", "user", "person", "time"),
    ("user", "person"),
)
"""``activated`` and ``lapsed`` decisions, and users ``linked`` to a person."""

RANKS: Final = Kind(
    "ranks",
    _schema(
        ("event_id", pa.string()),
        ("time", pa.int64()),
        ("text", pa.string()),
        ("user", pa.string()),
    ),
    ("event_id", "text"),
    ("user",),
)
"""Events of the Personalizer door, as JSON."""

REFUSED: Final = Kind(
    "refused",
    _schema(
        ("stream", pa.string()),
        ("entry", pa.string()),
        ("reason", pa.string()),
        ("fields", pa.list_(pa.binary())),
    ),
    ("stream", "entry"),
)
"""Entries that could not be read: names and values, one after the other."""

KINDS: Final = (DECISIONS, OUTCOMES, MARKS, RANKS)

Tables = Mapping[Kind, pa.Table]


def table_of(kind: Kind, rows: Sequence[Row]) -> pa.Table:
    """The rows as a table.

    Raises:
        ValueError, TypeError, OverflowError: a value that its column cannot hold.
    """
    columns = zip(*rows, strict=True)
    arrays = [
        pa.array(values, field.type) for values, field in zip(columns, kind.schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=kind.schema)


def read_part(file: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of one file.

    Raises:
        OSError: it cannot be read, or is damaged.
    """
    try:
        with pq.ParquetFile(file) as part:
            return part.read(columns)
    except pa.ArrowInvalid as error:
        raise OSError(f"{file} is damaged: {error}") from error


def read_parts(kind: Kind, files: Iterable[Path]) -> pa.Table:
    """All rows of some files, each once: of those that are alike the last."""
    table = pa.concat_tables([kind.schema.empty_table(), *map(read_part, files)])
    kept = last_of_each(table.select(kind.identity))
    return table.take(kept) if len(kept) < table.num_rows else table


def last_of_each(identities: pa.Table) -> NDArray[np.int64]:
    """Numbers of the rows to keep of a table of identities, in order."""
    names = identities.column_names
    numbered = identities.append_column("row", pa.array(np.arange(identities.num_rows)))
    last = numbered.group_by(names, use_threads=False).aggregate([("row", "max")])
    return np.sort(last["row_max"].to_numpy())
