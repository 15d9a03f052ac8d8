"""Columns of a file of users: what is known of each at a moment, as the service keeps it.

One row is a user who stands somewhere. The state is held column by column, so a column of the file
is a column of ``envs.users.UserState``: decayed sums ``sum_SLOT``, times ``latest_event``,
``latest_SLOT``, ``opted_in_CHANNEL``, ``opted_out_CHANNEL``, ``not_interested_OFFER``,
``cap_NAME_K`` (the k-th latest counted contact) and ``told_ATTRIBUTE``, and ``attribute_NAME``.
All of them may be left out or null: then of this nothing is known.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from envs.catalogue import Attribute, Catalogue
from envs.clock import EPOCH
from envs.decisions import Moment
from envs.layout import Layout
from envs.users import UserState
from simulators.growing_file import GrowingFile

FORMAT: Final = 1
METADATA_KEY: Final = b"scenelift_users"
TIME: Final = pa.timestamp("us", tz="UTC")
SECOND: Final = 1_000_000
EPOCH_S: Final = int(EPOCH.timestamp())


@dataclass(frozen=True, slots=True)
class People:
    """N users who stand somewhere."""

    ids: pa.Array
    """What the application calls them, strings [N]."""
    users: UserState
    moment: Moment

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class UserColumns:
    """Where each column of a file lies in the state of one catalogue's users."""

    catalogue: Catalogue
    sums: dict[str, int]
    """Column of ``UserState.sums``, by name."""
    times: dict[str, int]
    """Column of ``UserState.times``, by name."""
    attributes: dict[str, Attribute]
    """In the order of ``UserState.attributes``."""

    @classmethod
    def of(cls, catalogue: Catalogue) -> UserColumns:
        """The columns of a catalogue."""
        layout = Layout.of(catalogue)
        names = ["latest_event", *(f"latest_{name}" for name in layout.recent)]
        names += [f"opted_in_{channel.name}" for channel in catalogue.channels]
        names += [f"opted_out_{channel.name}" for channel in catalogue.channels]
        names += [f"not_interested_{offer.name}" for offer in catalogue.offers]
        names += [f"cap_{slots.cap.name}_{k}" for slots in layout.caps for k in range(slots.width)]
        names += [f"told_{attribute.name}" for attribute in catalogue.attributes]
        return cls(
            catalogue,
            {f"sum_{name}": slot for slot, name in enumerate(layout.slots)},
            {name: place for place, name in enumerate(names)},
            {f"attribute_{attribute.name}": attribute for attribute in catalogue.attributes},
        )

    @property
    def names(self) -> list[str]:
        """All columns of the state."""
        return [*self.sums, *self.times, *self.attributes]

    def table(self, people: People, time_zones: list[str]) -> pa.Table:
        """Users as rows of a file; ``time_zones`` are IANA names, [N]."""
        users, moment = people.users, people.moment
        scenes = [scene.name for scene in self.catalogue.scenes]
        columns: dict[str, pa.Array] = {
            "user_id": people.ids,
            "time": timestamps(moment.now),
            "scene": pa.DictionaryArray.from_arrays(moment.scene, scenes),
            "time_zone": pa.array(time_zones).dictionary_encode(),
        }
        blank = UserState.empty(self.catalogue, 1)
        for name, slot in self.sums.items():
            columns[name] = pa.array(users.sums[:, slot])
        for name, place in self.times.items():
            columns[name] = timestamps(users.times[:, place], int(blank.times[0, place]))
        for values, (name, attribute) in zip(
            users.attributes.T, self.attributes.items(), strict=True
        ):
            columns[name] = _attribute(values, attribute)
        return pa.table(columns)


def timestamps(seconds: NDArray[np.int32], unknown: int | None = None) -> pa.Array:
    """Times as Parquet has them, null where they are as of somebody unknown."""
    moments = (seconds.astype(np.int64) + EPOCH_S) * SECOND
    return pa.array(moments, TIME, mask=None if unknown is None else seconds == unknown)


def _attribute(values: NDArray[np.float32], attribute: Attribute) -> pa.Array:
    unknown = np.isnan(values)
    if attribute.kind == "number":
        return pa.array(values, mask=unknown)
    codes = pa.array(np.where(unknown, 0, values).astype(np.int16), mask=unknown)
    return pa.DictionaryArray.from_arrays(codes, list(attribute.values))


@dataclass(frozen=True, slots=True)
class UsersInfo:
    """How a file of users was made."""

    preset: str
    catalogue: str
    """YAML text."""
    catalogue_hash: str
    lineage: dict[str, str | int]
    format: int = FORMAT


def user_file(path: Path, info: UsersInfo) -> GrowingFile:
    """A file of users to write, group by group."""
    said = {METADATA_KEY: json.dumps(asdict(info)).encode()}
    return GrowingFile(path, said, compression="lz4")


def catalogue_hash_of(schema: pa.Schema) -> str | None:
    """The catalogue that a file of users was made for; None for one that does not say."""
    try:
        return str(json.loads((schema.metadata or {})[METADATA_KEY])["catalogue_hash"])
    except (KeyError, TypeError, ValueError):
        return None
