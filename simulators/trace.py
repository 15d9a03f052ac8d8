"""Traces: everything that happened in a rollout, one row an opportunity, in Parquet.

A trace says how it was made, so that it can be made again, and nothing of the machine that made
it: its bytes are the same for any batch size and any number of workers. Its users come in parts of
a fixed number, each a row group of one file or a file of a folder, with a hash of its content.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from envs.aside import aside_of
from envs.errors import InputError
from simulators.content import content_hash, parts_of

FORMAT: Final = 2
METADATA_KEY: Final = b"scenelift_trace"
METADATA_FILE: Final = "_common_metadata"
"""Of a folder: Parquet's name for a schema with metadata; readers of the parts pass it over."""
COMPRESSION: Final = "zstd"


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
    stress: tuple[str, ...]
    """What the world was under, the first innermost."""
    signals: bool
    """Whether it keeps what an app had of the users."""
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


def packed(part: pa.Table) -> bytes:
    """A part as the bytes of a Parquet file with one row group."""
    sink = pa.BufferOutputStream()
    pq.write_table(part, sink, compression=COMPRESSION, row_group_size=part.num_rows)
    return bytes(sink.getvalue())


class TraceFile:
    """A trace as one Parquet file, a row group a part."""

    def __init__(self, path: Path) -> None:
        """Parts are written aside until the trace is finished."""
        self._path, self._aside = path, aside_of(path)
        self._aside.touch()
        self._writer: pq.ParquetWriter | None = None

    def add(self, part: bytes) -> None:
        """Write the next part, packed."""
        table = pq.read_table(pa.BufferReader(part))
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._aside, table.schema, compression=COMPRESSION)
        self._writer.write_table(table, row_group_size=table.num_rows)

    def finish(self, info: TraceInfo) -> None:
        """Put the trace in place, with how it was made."""
        assert self._writer is not None, "a trace has a part at least"
        self._writer.add_key_value_metadata(_metadata(info))
        self._writer.close()
        os.replace(self._aside, self._path)

    def discard(self) -> None:
        """Leave nothing of an unfinished trace."""
        if self._writer is not None:
            self._writer.close()
        self._aside.unlink(missing_ok=True)


class TraceFolder:
    """A trace as a folder of Parquet files, one a part."""

    def __init__(self, path: Path) -> None:
        """Parts are written aside until the trace is finished.

        Raises:
            InputError: there is something in the folder.
        """
        if path.is_dir() and any(path.iterdir()):
            raise InputError(f"{path}: there is something in it: give a new or an empty folder")
        self._path, self._aside, self._parts = path, aside_of(path), 0
        self._aside.mkdir()

    def add(self, part: bytes) -> None:
        """Write the next part, packed."""
        (self._aside / f"part-{self._parts:06d}.parquet").write_bytes(part)
        self._parts += 1

    def finish(self, info: TraceInfo) -> None:
        """Put the trace in place, with how it was made."""
        schema = pq.read_schema(self._aside / f"part-{0:06d}.parquet")
        pq.write_metadata(schema.with_metadata(_metadata(info)), self._aside / METADATA_FILE)
        os.replace(self._aside, self._path)

    def discard(self) -> None:
        """Leave nothing of an unfinished trace."""
        shutil.rmtree(self._aside, ignore_errors=True)


@contextmanager
def keeping(path: Path, folder: bool = False) -> Iterator[TraceFile | TraceFolder]:
    """A place for a trace that stays as it was unless the trace is finished.

    Raises:
        InputError: nothing can be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = TraceFolder(path) if folder else TraceFile(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        yield kept
    finally:
        kept.discard()


def _metadata(info: TraceInfo) -> dict[bytes, bytes]:
    return {METADATA_KEY: json.dumps(asdict(info)).encode()}


def write_trace(trace: Trace, path: Path) -> None:
    """Write a trace as one file."""
    with keeping(path) as kept:
        for part in parts_of(trace.table):
            kept.add(packed(part))
        kept.finish(trace.info)


def read_trace(path: Path) -> Trace:
    """Read a trace, a file or a folder.

    Raises:
        TraceError: missing, not Parquet, not a trace of this format, or changed since.
    """
    try:
        stored = (pq.read_metadata(path / METADATA_FILE if path.is_dir() else path)).metadata
        info = _info(path, (stored or {}).get(METADATA_KEY))
        files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        table = pa.concat_tables([pq.read_table(file) for file in files])
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise TraceError(f"{path}: cannot be read as Parquet: {reason}") from None
    if not table.num_rows or content_hash(table) != info.content_hash:
        raise TraceError(f"{path}: content and hash disagree: the file was changed, make it anew")
    table = table.replace_schema_metadata(None).unify_dictionaries().combine_chunks()
    return Trace(table, info)


def _info(path: Path, stored: bytes | None) -> TraceInfo:
    if stored is None:
        raise TraceError(f"{path}: not a trace: make one with python -m simulators run --out")
    try:
        found = dict(json.loads(stored))
    except (TypeError, ValueError) as error:
        raise TraceError(f"{path}: unreadable trace metadata: {error}") from None
    if found.get("format") != FORMAT:
        raise TraceError(f"{path}: trace format {found.get('format')}, this version reads {FORMAT}")
    try:
        return TraceInfo(**{**found, "stress": tuple(found["stress"])})
    except (KeyError, TypeError) as error:
        raise TraceError(f"{path}: unreadable trace metadata: {error}") from None
