"""The columns of a log's Parquet file, checked one by one.

Every refusal names the file, the row (counted from 1) and the column.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from envs.catalogue import Catalogue, parse_catalogue
from envs.clock import EARLIEST, EPOCH, LATEST
from envs.encoding import Encoding
from envs.errors import CatalogueError, InputError

FORMAT: Final = 1
METADATA_KEY: Final = b"scenelift"
EPOCH_MICROSECONDS: Final = int(EPOCH.timestamp()) * 1_000_000

Texts = NDArray[np.object_]
Floats = NDArray[np.float64]


class LogError(InputError):
    """A log or a campaign file breaks its format; the message names file, row and column."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Parquet's own errors become ours.

    Raises:
        LogError: the file cannot be read.
    """
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise LogError(f"{path}: not a readable Parquet file: {reason}") from None


def open_log(path: Path) -> tuple[pq.ParquetFile, dict[str, Any]]:
    """A log file and its metadata, whose version is checked; no row is read yet.

    Raises:
        LogError: missing, not Parquet, or not a log.
    """
    if not path.is_file():
        raise LogError(f"{path}: no such file: give a log made by `python -m simulators import`")
    with reading(path):
        file = pq.ParquetFile(path)
    try:
        metadata = json.loads((file.schema_arrow.metadata or {})[METADATA_KEY])
    except KeyError:
        raise LogError(f"{path}: the file has no metadata 'scenelift': it is not a log") from None
    except ValueError:
        raise LogError(f"{path}: the metadata 'scenelift' is not JSON") from None
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        found = metadata.get("format") if isinstance(metadata, dict) else metadata
        raise LogError(f"{path}: log format {found!r}, this version reads {FORMAT}")
    return file, metadata


def log_catalogue(path: Path, metadata: dict[str, Any], expected: Catalogue | None) -> Catalogue:
    """The catalogue that the log carries, held to its hashes and to the expected one.

    Raises:
        LogError: hashes that do not fit.
    """
    try:
        catalogue = parse_catalogue(str(metadata.get("catalogue", "")), f"{path}: catalogue")
    except CatalogueError as error:
        raise LogError(str(error)) from None
    if metadata.get("catalogue_hash") != catalogue.hash:
        raise LogError(f"{path}: the catalogue does not fit its hash: the file was altered")
    if expected is not None and expected.hash != catalogue.hash:
        raise LogError(
            f"{path}: made with catalogue {catalogue.name} {catalogue.hash[:12]}, "
            f"not with {expected.name} {expected.hash[:12]}"
        )
    encoding_hash = Encoding(catalogue).hash
    if metadata.get("encoding_hash") != encoding_hash:
        raise LogError(
            f"{path}: observations are encoded as {str(metadata.get('encoding_hash'))[:12]}, "
            f"this version encodes as {encoding_hash[:12]}: import the log again"
        )
    return catalogue


class Columns:
    """Reads columns of one log file into arrays and refuses what breaks the format."""

    def __init__(
        self, path: Path, table: pa.Table, catalogue: Catalogue, first_row: int = 0
    ) -> None:
        self._path = path
        self._first_row = first_row
        self._table = table
        self._catalogue = catalogue

    def refuse(self, name: str, message: str, row: int | None = None) -> NoReturn:
        """Raise the error of one column, and of one row (from 0) if given."""
        where = f"{self._path}: " + (
            f"row {self._first_row + row + 1}, " if row is not None else ""
        )
        raise LogError(f"{where}column {name!r}: {message}")

    def texts(self, name: str) -> Texts:
        """A required column of texts, none empty, [N]."""
        column = self._column(name, _is_text, "string", required=True)
        values: Texts = np.asarray(column.to_pylist(), object).reshape(-1)
        for row in np.flatnonzero(values == ""):
            self.refuse(name, "is empty", int(row))
        return values

    def indices(self, name: str, known: list[str]) -> NDArray[np.int64]:
        """A required column of names, as indices into the known ones, [N]."""
        values = self.texts(name)
        index = {text: position for position, text in enumerate(known)}
        found = np.asarray([index.get(value, -1) for value in values], np.int64)
        for row in np.flatnonzero(found < 0):
            self.refuse(name, f"{values[row]!r} is not in the catalogue", int(row))
        return found

    def times(self) -> NDArray[np.int32]:
        """The time of each decision, whole seconds since 2020-01-01T00:00Z, [N]."""

        def fits(kind: pa.DataType) -> bool:
            return bool(pa.types.is_timestamp(kind)) and kind.tz is not None

        column = self._column("time", fits, "timestamp with time zone", required=True)
        moments = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy()
        seconds = (moments - EPOCH_MICROSECONDS) // 1_000_000
        low, high = (int((edge - EPOCH).total_seconds()) for edge in (EARLIEST, LATEST))
        for row in np.flatnonzero((seconds < low) | (seconds >= high)):
            self.refuse("time", "lies outside 2000 to 2050", int(row))
        return np.asarray(seconds, np.int32)

    def numbers(self, name: str) -> Floats:
        """A column of numbers, NaN where null, [N]."""
        column = self._column(name, _is_number, "double", required=False)
        nulls = column.is_null().to_numpy(zero_copy_only=False)
        values: Floats = column.cast(pa.float64()).fill_null(0.0).to_numpy().copy()
        for row in np.flatnonzero(~np.isfinite(values)):
            self.refuse(name, f"{values[row]} is not a finite number", int(row))
        values[nulls] = np.nan
        return values

    def propensities(self) -> Floats:
        """Probability with which each action was taken, (0, 1], [N]."""
        self._column("propensity", _is_number, "double", required=True)
        values = self.numbers("propensity")
        for row in np.flatnonzero((values <= 0) | (values > 1)):
            self.refuse("propensity", f"{values[row]} is not above 0 and at most 1", int(row))
        return values

    def observations(self) -> NDArray[np.float32]:
        """What the policy saw, float32 [N, D]."""
        values = self._matrix("observation", pa.float32(), Encoding(self._catalogue).width)
        for row in np.flatnonzero(~np.isfinite(values).all(axis=1)):
            self.refuse("observation", "holds a number that is not finite", int(row))
        return np.asarray(values, np.float32)

    def masks(self, actions: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which actions were allowed, [N, A]; silence and the taken action always are."""
        values = self._matrix("mask", pa.bool_(), len(self._catalogue.actions)).astype(bool)
        for row in np.flatnonzero(~values[:, 0]):
            self.refuse("mask", "forbids silence", int(row))
        for row in np.flatnonzero(~values[np.arange(len(actions)), actions]):
            name = self._catalogue.actions[actions[row]].name
            self.refuse("mask", f"forbids {name!r}, the action that was taken", int(row))
        return values

    def attributes(self) -> Floats:
        """Declared attributes as the user state keeps them, NaN where not given, [N, J]."""
        declared = self._catalogue.attributes
        values = np.full((self._table.num_rows, len(declared)), np.nan)
        for j, attribute in enumerate(declared):
            name = f"attribute_{attribute.name}"
            if name not in self._table.column_names:
                continue
            fits = _is_text if attribute.kind == "choice" else _is_number
            given = self._column(name, fits, attribute.kind, required=False).to_pylist()
            for row, value in enumerate(given):
                if value is not None:
                    try:
                        values[row, j] = attribute.number(value)
                    except ValueError as error:
                        self.refuse(name, str(error), row)
        return values

    def degraded(self) -> NDArray[np.bool_]:
        """Whether a safe answer stood in for the policy, [N]; nowhere when left out."""
        if "degraded" not in self._table.column_names:
            return np.zeros(self._table.num_rows, bool)
        column = self._column("degraded", pa.types.is_boolean, "bool", required=True)
        return np.asarray(column.to_numpy(zero_copy_only=False), bool)

    def _matrix(self, name: str, kind: pa.DataType, width: int) -> NDArray[Any]:
        def fits(found: pa.DataType) -> bool:
            fixed = pa.types.is_fixed_size_list(found)
            return bool(fixed and found.list_size == width and found.value_type == kind)

        column = self._column(name, fits, str(pa.list_(kind, width)), required=True)
        flat = column.flatten()
        if flat.null_count:
            self.refuse(name, "holds a null")
        return np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(-1, width)

    def _column(
        self, name: str, fits: Callable[[pa.DataType], bool], kind: str, required: bool
    ) -> pa.Array:
        if name not in self._table.column_names:
            self.refuse(name, "is missing")
        column = self._table.column(name)
        if not fits(column.type):
            self.refuse(name, f"has type {column.type}, expected {kind}")
        if required and column.null_count:
            row = int(np.flatnonzero(column.is_null().to_numpy())[0])
            self.refuse(name, "is null", row)
        return _whole(column)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """One array, whatever the row groups were."""
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
