"""Entries of the journal streams, read into rows; what cannot be read is named and put aside.

Whatever gets past here is in the log for good, and one impossible row would make the whole log
unreadable: so every value is held to what a reader of the log will demand.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Final

import numpy as np
import pyarrow as pa

from envs.catalogue import Attribute, Catalogue
from envs.clock import EARLIEST, EPOCH, LATEST, to_seconds
from envs.encoding import Encoding
from serving.journal.rows import (
    DECISIONS,
    MARKS,
    OUTCOMES,
    RANKS,
    REFUSED,
    Kind,
    Row,
    table_of,
)
from serving.security import user_of
from serving.store.records import (
    ENTRY_ACTIVATION,
    ENTRY_DECISION,
    ENTRY_ERASURE,
    ENTRY_EVENT,
    ENTRY_LINK,
    ENTRY_RANK,
    DecisionRecord,
)

FIRST: Final = to_seconds(EARLIEST)
AFTER_LAST: Final = int((LATEST - EPOCH).total_seconds())
MOST: Final = 2**53
UNREADABLE: Final = (ValueError, TypeError, KeyError, OverflowError, RecursionError)
"""What reading something that is no entry of ours may raise."""

STATES: Final = ("activated", "lapsed")

RECORD_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bytes": (bytes,),
    "bool": (bool,),
    "str | None": (str, type(None)),
    "float | None": (float, int, type(None)),
}
_TYPES = {item.name: RECORD_TYPES[str(item.type)] for item in fields(DecisionRecord)}
RECORD: Final = [(name, _TYPES[name]) for name in DECISIONS.schema.names if name != "arrived"]

_values = attrgetter(*(name for name, _ in RECORD))


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a stream."""

    stream: bytes
    entry_id: bytes
    fields: dict[bytes, bytes]
    """Empty of an entry that is gone from the stream already."""

    @property
    def arrived_ms(self) -> int:
        """When it was added, by the clock of Redis."""
        return int(self.entry_id.partition(b"-")[0])


@dataclass(frozen=True, slots=True)
class Erasure:
    """Users of whom nothing may stay that arrived until then."""

    users: tuple[str, ...]
    until_ms: int


@dataclass(slots=True)
class Readings:
    """What a number of entries say."""

    tables: dict[Kind, pa.Table]
    erasures: list[tuple[Entry, Erasure]]
    refused: int


@dataclass(slots=True)
class _Rows:
    rows: dict[Kind, list[Row]] = field(default_factory=dict)
    erasures: list[tuple[Entry, Erasure]] = field(default_factory=list)

    def add(self, kind: Kind, row: Row) -> None:
        self.rows.setdefault(kind, []).append(row)


class EntryReader:
    """Reads the entries of one catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        actions = len(catalogue.actions)
        self._scenes = len(catalogue.scenes)
        self._actions = actions
        self._attributes = catalogue.attributes
        self._sizes = {
            "observation": 4 * Encoding(catalogue).width,
            "mask": (actions + 7) // 8,
            "refusals": 4 * actions,
            "probabilities": 8 * actions,
            "attributes": 4 * len(catalogue.attributes),
        }
        self._read: dict[bytes, Callable[[bytes, int], tuple[Kind, Row]]] = {
            ENTRY_DECISION: self._decision,
            ENTRY_EVENT: _event,
            ENTRY_ACTIVATION: _activation,
            ENTRY_LINK: _link,
            ENTRY_RANK: _rank,
        }

    def read(self, entries: Sequence[Entry]) -> Readings:
        """The entries as tables by kind, those that cannot be read among them as ``REFUSED``."""
        found = _Rows()
        for entry in entries:
            if entry.fields:  # else it was written before, and only its name was left
                try:
                    self._add(found, entry)
                except UNREADABLE as error:
                    found.add(REFUSED, _refused(entry, error))
        tables = {kind: table_of(kind, rows) for kind, rows in found.rows.items()}
        return Readings(tables, found.erasures, len(found.rows.get(REFUSED, ())))

    def _add(self, found: _Rows, entry: Entry) -> None:
        if len(entry.fields) != 1:
            raise ValueError(f"{len(entry.fields)} fields, not one")
        ((name, value),) = entry.fields.items()
        if name == ENTRY_ERASURE:
            found.erasures.append((entry, _erasure(value, entry.arrived_ms)))
            return
        kind, row = self._read[name](value, entry.arrived_ms)
        found.add(kind, row)

    def _decision(self, packed: bytes, arrived_ms: int) -> tuple[Kind, Row]:
        record = DecisionRecord.read(packed)
        values = _values(record)
        for (name, types), value in zip(RECORD, values, strict=True):
            if type(value) not in types:
                raise ValueError(f"{name} is a {type(value).__name__}")
            if type(value) is float and not math.isfinite(value):
                raise ValueError(f"{name} is {value}")
        for name, size in self._sizes.items():
            if len(getattr(record, name)) != size:
                raise ValueError(f"{name} has {len(getattr(record, name))} bytes, not {size}")
        if not user_of(record.decision_id) or "-" not in record.decision_id:
            raise ValueError("decision_id names no user")
        self._check_numbers(record)
        for attribute, told in zip(
            self._attributes, np.frombuffer(record.attributes, np.float32).tolist(), strict=True
        ):
            _check_attribute(attribute, told)
        return DECISIONS, (*values, arrived_ms)

    def _check_numbers(self, record: DecisionRecord) -> None:
        mask = np.unpackbits(np.frombuffer(record.mask, np.uint8), count=self._actions)
        fine = {
            "time": FIRST <= record.time < AFTER_LAST,
            "scene": 0 <= record.scene < self._scenes,
            "action": 0 <= record.action < self._actions,
            "propensity": 0 < record.propensity <= 1,
            "observation": np.isfinite(np.frombuffer(record.observation, np.float32)).all(),
            "mask": 0 <= record.action < self._actions and mask[0] and mask[record.action],
            "reserved_cents": abs(record.reserved_cents) <= MOST,
            "period": abs(record.period) <= MOST,
        }
        wrong = [name for name, good in fine.items() if not good]
        if wrong:
            raise ValueError(f"{' and '.join(wrong)} cannot be")


def _check_attribute(attribute: Attribute, told: float) -> None:
    if math.isnan(told):
        return
    if attribute.kind == "choice":
        good = told.is_integer() and 0 <= told < len(attribute.values)
    else:
        # What was in range as a double may be just beyond it as a float.
        low, high = np.float32(attribute.low), np.float32(attribute.high)
        good = bool(low <= told <= high)
    if not good:
        raise ValueError(f"attribute {attribute.name} is {told}")


def _refused(entry: Entry, error: Exception) -> Row:
    flat = [part for pair in entry.fields.items() for part in pair]
    reason = f"{type(error).__name__}: {error}"[:200].encode("utf-8", "replace").decode()
    stream = entry.stream.decode("utf-8", "replace")
    return stream, entry.entry_id.decode(), reason, flat, entry.arrived_ms


def _event(text: bytes, arrived_ms: int) -> tuple[Kind, Row]:
    told = _Told(text)
    return OUTCOMES, (
        told.text("user"),
        told.text("key"),
        told.text("kind"),
        told.whole("time", FIRST, AFTER_LAST - 1),
        told.text_or_none("decision"),
        told.text_or_none("channel"),
        told.text_or_none("offer"),
        told.whole("amount_cents", 0, MOST, 0),
        told.discount(),
        arrived_ms,
    )


def _activation(text: bytes, arrived_ms: int) -> tuple[Kind, Row]:
    told = _Told(text)
    decision, state = told.text("decision"), told.text("state")
    if state not in STATES:
        raise ValueError(f"state is {state!r:.40}")
    return MARKS, (state, decision, user_of(decision), None, told.time(), arrived_ms)


def _link(text: bytes, arrived_ms: int) -> tuple[Kind, Row]:
    told = _Told(text)
    return MARKS, ("linked", None, told.text("from"), told.text("to"), told.time(), arrived_ms)


def _rank(text: bytes, arrived_ms: int) -> tuple[Kind, Row]:
    told = _Told(text)
    return RANKS, (
        told.text("event_id"),
        told.time(),
        text.decode(),
        told.text_or_none("user"),
        arrived_ms,
    )


def _erasure(text: bytes, until_ms: int) -> Erasure:
    users = _Told(text).fields["users"]
    if not isinstance(users, list) or not all(isinstance(user, str) for user in users):
        raise ValueError("users are no list of names")
    for user in users:
        user.encode()
    return Erasure(tuple(users), until_ms)


class _Told:
    """The fields of a JSON object, each held to its type."""

    def __init__(self, text: bytes) -> None:
        fields = json.loads(text)
        if not isinstance(fields, dict):
            raise ValueError("no JSON object")
        self.fields: dict[str, Any] = fields

    def text(self, name: str) -> str:
        """A text that says something."""
        value = self.fields[name]
        if not isinstance(value, str) or not value:
            raise ValueError(f"{name} is no text")
        value.encode()  # JSON may hold halves of characters, which no file takes
        return value

    def text_or_none(self, name: str) -> str | None:
        return None if self.fields.get(name) is None else self.text(name)

    def whole(self, name: str, low: int, high: int, default: int | None = None) -> int:
        value = self.fields.get(name, default)
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"{name} is {value!r:.40}")
        return value

    def time(self) -> int | None:
        """A time of any clock, whole seconds; None when it is told in another way."""
        value = self.fields.get("time")
        if isinstance(value, int | float) and abs(value) <= MOST:
            return int(value)
        return None

    def discount(self) -> float:
        value = self.fields.get("discount", 0.0)
        if type(value) not in (int, float) or not 0 <= value < 1:
            raise ValueError(f"discount is {value!r:.40}")
        return float(value)
