"""Traces: everything that happened in a rollout, one row an opportunity, in Parquet.

A trace says how it was made, so that it can be made again, and carries a hash of its content that
is the same for any batch size.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from envs.errors import InputError

FORMAT: Final = 1
METADATA_KEY: Final = b"scenelift_trace"
DECIMALS: Final = 6
"""Fractions are hashed to so many decimals: the last bits of exp differ between processors."""


class TraceError(InputError):
    """A file is not a trace that can be read or made again."""


@dataclass(frozen=True, slots=True)
class TraceInfo:
    """How a trace was made."""

    format: int
    preset: str
    preset_hash: str
    """Of the preset's numbers."""
    seed: int
    start: str
    days: float
    budget_price: float
    batch: int
    """Users side by side."""
    policy: str
    """Name of a baseline or path of a bundle, as given."""
    policy_name: str
    catalogue_hash: str
    encoding_hash: str
    catalogue: str
    """YAML text."""
    content_hash: str
    lineage: dict[str, str | int]


@dataclass(frozen=True, slots=True)
class Trace:
    """A rollout's rows, by user and opportunity, and how they came about."""

    table: pa.Table
    info: TraceInfo

    def column(self, name: str) -> NDArray[np.generic]:
        """A column as an array."""
        values: NDArray[np.generic] = self.table.column(name).to_numpy()
        return values

    def users(self) -> NDArray[np.int64]:
        """The users in it, ascending."""
        return np.unique(self.column("user")).astype(np.int64)


def content_hash(table: pa.Table) -> str:
    """SHA-256 over names and values of all columns, in order; storage does not count."""
    whole = hashlib.sha256()
    for name in table.column_names:
        column = table.column(name)
        whole.update(f"{name}:{len(column)};".encode())
        whole.update(hashlib.sha256(_bytes(column)).digest())
    return whole.hexdigest()


def _bytes(column: pa.ChunkedArray) -> bytes:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _named_bytes(column.unify_dictionaries().combine_chunks())
    if pa.types.is_fixed_size_binary(kind):
        return b"".join(column.to_pylist())
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.int64())
    values = column.to_numpy()
    if values.dtype.kind == "f":
        values = np.rint(values * 10.0**DECIMALS)
    return bytes(values.astype("<i8").tobytes())


def _named_bytes(column: pa.DictionaryArray) -> bytes:
    """The names in use, in alphabetical order, and which of them each row has."""
    names, numbers = column.dictionary.to_pylist(), column.indices.to_numpy()
    used = sorted({names[number] for number in np.unique(numbers)})
    place = {name: k for k, name in enumerate(used)}
    codes = np.asarray([place.get(name, -1) for name in names], "<i8")
    return "\n".join(used).encode() + bytes(codes[numbers].tobytes())


def write_trace(trace: Trace, path: Path) -> None:
    """Write a trace aside, then put it in place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {METADATA_KEY: json.dumps(asdict(trace.info)).encode()}
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(trace.table.replace_schema_metadata(metadata), aside, compression="zstd")
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def read_trace(path: Path) -> Trace:
    """Read a trace.

    Raises:
        TraceError: missing, not Parquet, not a trace of this format, or changed since.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise TraceError(f"{path}: cannot be read as Parquet: {reason}") from None
    stored = (table.schema.metadata or {}).get(METADATA_KEY)
    if stored is None:
        raise TraceError(f"{path}: not a trace: make one with python -m simulators run --out")
    try:
        info = TraceInfo(**json.loads(stored))
    except (TypeError, ValueError) as error:
        raise TraceError(f"{path}: unreadable trace metadata: {error}") from None
    if info.format != FORMAT:
        raise TraceError(f"{path}: trace format {info.format}, this version reads {FORMAT}")
    if content_hash(table) != info.content_hash:
        raise TraceError(f"{path}: content and hash disagree: the file was changed, make it anew")
    return Trace(table.replace_schema_metadata(None), info)
