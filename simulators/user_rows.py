"""Users read from a file, row by row checked: what cannot be a user is refused by its place."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from envs.catalogue import Attribute, Catalogue
from envs.clock import EARLIEST, EPOCH, LATEST, NEVER, known_zone, utc_offset_seconds
from envs.decisions import Moment
from envs.errors import InputError
from envs.layout import SPEND
from envs.users import UserState
from simulators.user_columns import EPOCH_S, SECOND, People, UserColumns

OURS: Final = ("sum_", "latest_", "opted_", "not_interested_", "cap_", "told_", "attribute_")
"""Beginnings of names that belong to the state: a column with another ending is a mistake."""
_LOW, _HIGH = (int((edge - EPOCH).total_seconds()) for edge in (EARLIEST, LATEST))


class UsersError(InputError):
    """A file of users breaks its format; the message names file, column and row."""


class UserReader:
    """Reads users from the rows of one file, and refuses what cannot be a user."""

    def __init__(self, path: Path, catalogue: Catalogue) -> None:
        """The path is for messages."""
        self._path, self._columns = path, UserColumns.of(catalogue)
        self._scenes = {scene.name: index for index, scene in enumerate(catalogue.scenes)}
        blank = UserState.empty(catalogue, 1)
        self._unknown = {
            name: int(blank.times[0, place]) for name, place in self._columns.times.items()
        }

    def wanted(self, schema: pa.Schema) -> list[str]:
        """The columns to read of a file with this schema.

        Raises:
            UsersError: a column is missing, of a wrong type, or of no meaning in this catalogue.
        """
        known = self._columns
        for name in ("user_id", "time", "scene"):
            if name not in schema.names:
                self.refuse(name, "is missing")
        for name in schema.names:
            if name.startswith(OURS) and name not in known.names:
                self.refuse(name, f"means nothing in catalogue {known.catalogue.name!r}")
        here = ("user_id", "time", "scene", "time_zone", *known.names)
        wanted = [name for name in here if name in schema.names]
        for name in wanted:
            self._check_type(name, schema.field(name).type)
        return wanted

    def people(self, rows: pa.RecordBatch, first_row: int = 0) -> People:
        """The users of some rows.

        Args:
            rows: with the columns that ``wanted`` named.
            first_row: number in the file of the first of them, from 0, for messages.

        Raises:
            UsersError: a value that cannot be.
        """
        given = _Rows(self, rows, first_row)
        users = UserState.empty(self._columns.catalogue, rows.num_rows)
        for name, slot in self._columns.sums.items():
            if name in rows.schema.names:
                users.sums[:, slot] = given.sums(name, slot)
        for name, place in self._columns.times.items():
            if name in rows.schema.names:
                users.times[:, place] = given.times(name, self._unknown[name])
        for j, (name, attribute) in enumerate(self._columns.attributes.items()):
            if name in rows.schema.names:
                users.attributes[:, j] = given.attribute(name, attribute)
        given.require_latest(users)
        now = given.times("time", None)
        moment = Moment(given.scenes(self._scenes), now, given.utc_offsets(now))
        return People(given.ids(), users, moment)

    def refuse(self, name: str, message: str, row: int | None = None) -> NoReturn:
        """Raise the error of one column, and of one row (from 0) if given."""
        where = f"{self._path}: " + (f"row {row + 1}, " if row is not None else "")
        raise UsersError(f"{where}column {name!r}: {message}")

    def _check_type(self, name: str, kind: pa.DataType) -> None:
        attribute = self._columns.attributes.get(name)
        if name == "user_id":
            fits, wanted = _is_text(kind) or pa.types.is_integer(kind), "string or integer"
        elif name == "time" or name in self._columns.times:
            fits = pa.types.is_timestamp(kind) and kind.tz is not None
            wanted = "timestamp with time zone"
        elif name in self._columns.sums or (attribute is not None and attribute.kind == "number"):
            fits, wanted = pa.types.is_floating(kind) or pa.types.is_integer(kind), "number"
        else:
            fits, wanted = _is_text(kind), "string"
        if not fits:
            self.refuse(name, f"has type {kind}, expected {wanted}")


def _is_text(kind: pa.DataType) -> bool:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(plain) or pa.types.is_large_string(plain))


class _Rows:
    """Some rows of a file, column by column."""

    def __init__(self, reader: UserReader, rows: pa.RecordBatch, first_row: int) -> None:
        self._reader, self._rows, self._first = reader, rows, first_row

    def ids(self) -> pa.Array:
        """Whom the rows are about, strings [N]; none null or empty."""
        ids = self._rows.column("user_id").cast(pa.string())
        self._refuse_any("user_id", ids.is_null(), "is null")
        self._refuse_any("user_id", pc.equal(ids, ""), "is empty")
        return ids

    def scenes(self, known: dict[str, int]) -> NDArray[np.int16]:
        """Indices of the scenes, int16 [N]."""
        return self._codes("scene", known, "is not in the catalogue", None).astype(np.int16)

    def utc_offsets(self, now: NDArray[np.int32]) -> NDArray[np.int32]:
        """How far local time is ahead of UTC, seconds, int32 [N]; 0 where no zone is given."""
        offsets = np.zeros(len(now), np.int32)
        if "time_zone" not in self._rows.schema.names:
            return offsets
        column = self._rows.column("time_zone")
        zones = [zone for zone in pc.unique(column).to_pylist() if zone is not None]
        known = {zone: number for number, zone in enumerate(zones) if known_zone(zone)}
        codes = self._codes("time_zone", known, "is no IANA time zone", -1)
        for zone, number in known.items():
            here = np.flatnonzero(codes == number)
            offsets[here] = utc_offset_seconds(zone, now[here])
        return offsets

    def sums(self, name: str, slot: int) -> NDArray[np.float32]:
        """A decayed sum, 0 where null, float32 [N]."""
        values = self._floats(name, 0.0)
        low, high = values.min(initial=0.0), values.max(initial=0.0)
        if np.isfinite(low) and np.isfinite(high) and (low >= 0 or slot == SPEND):
            return values
        self._refuse_any(name, ~np.isfinite(values), "is not a finite number")
        if slot != SPEND:  # more may be paid back than is remembered
            self._refuse_any(name, values < 0, "is below 0")
        return values

    def times(self, name: str, unknown: int | None) -> NDArray[np.int32]:
        """Seconds since the epoch, ``unknown`` where null, int32 [N]; no nulls if None."""
        column = self._rows.column(name)
        if unknown is None:
            self._refuse_any(name, column.is_null(), "is null")
        elif column.null_count == len(column):
            return np.full(len(column), unknown, np.int32)
        moments = column.cast(pa.timestamp("us", column.type.tz), safe=False)
        held = np.frombuffer(moments.buffers()[1], np.int64, len(moments), moments.offset * 8)
        seconds = held // SECOND
        seconds -= EPOCH_S
        null = column.is_null().to_numpy(zero_copy_only=False) if column.null_count else None
        if null is not None:
            np.copyto(seconds, 0, where=null)  # what lies there means nothing
        if seconds.min(initial=0) < _LOW or seconds.max(initial=0) >= _HIGH:
            outside = (seconds < _LOW) | (seconds >= _HIGH)
            self._refuse_any(name, outside, "lies outside 2000 to 2050")
        whole = seconds.astype(np.int32)
        if null is not None and unknown is not None:
            np.copyto(whole, unknown, where=null)
        return whole

    def attribute(self, name: str, attribute: Attribute) -> NDArray[np.float32]:
        """An attribute as the state keeps it, NaN where null, float32 [N]."""
        if attribute.kind == "number":
            values = self._floats(name, np.nan)
            outside = (values < attribute.low) | (values > attribute.high)
            say = f"lies outside {attribute.low:g} to {attribute.high:g}"
            self._refuse_any(name, outside, say)
            return values
        known = {value: number for number, value in enumerate(attribute.values)}
        codes = self._codes(name, known, f"is not one of {list(known)}", -1)
        return np.where(codes < 0, np.nan, codes).astype(np.float32)

    def require_latest(self, users: UserState) -> None:
        """See that sums come with the time as of which they are."""
        without = users.latest[:, 0] == NEVER
        if without.any():
            counted = without & (users.sums != 0).any(axis=1)
            self._refuse_any("latest_event", counted, "is null, but there are sums of events")

    def _floats(self, name: str, null: float) -> NDArray[np.float32]:
        column = self._rows.column(name).cast(pa.float32(), safe=False)
        values = column.fill_null(null) if column.null_count else column
        return np.asarray(values.to_numpy(), np.float32)

    def _codes(
        self, name: str, known: dict[str, int], wrong: str, null: int | None
    ) -> NDArray[np.int64]:
        """Texts as their numbers, int64 [N]; ``null`` where null, which is refused if None."""
        column = self._rows.column(name)
        if null is None:
            self._refuse_any(name, column.is_null(), "is null")
        coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        words = coded.dictionary.to_pylist()
        table = np.asarray([*(known.get(word, -2) for word in words), null or 0], np.int64)
        codes: NDArray[np.int64] = table.take(coded.indices.fill_null(len(words)).to_numpy())
        for row in np.flatnonzero(codes == -2)[:1].tolist():
            self._reader.refuse(name, f"{column[row].as_py()!r} {wrong}", self._first + row)
        return codes

    def _refuse_any(self, name: str, wrong: pa.Array | NDArray[np.bool_], message: str) -> None:
        """Refuse the first row that is wrong, if any is."""
        flags = np.asarray(wrong) if isinstance(wrong, np.ndarray) else wrong.to_numpy(False)
        for row in np.flatnonzero(flags)[:1].tolist():
            self._reader.refuse(name, message, self._first + row)
