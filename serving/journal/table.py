"""The log as a table: one row a decision that somebody was shown, with what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from envs.catalogue import Attribute, Catalogue
from envs.clock import EPOCH
from envs.encoding import Encoding
from envs.lineage import lineage
from serving.journal.outcomes import Outcome, Results, Taken, results
from serving.security import user_of

FORMAT: Final = 1
EPOCH_US: Final = int(EPOCH.timestamp()) * 1_000_000
ALSO: Final = (
    *("policy", "arm", "budget_price", "reserved_cents", "shadow", "shadow_propensity"),
    *("latitude", "longitude", "scene_chance"),
)
"""Columns of the parts that the log has as they are."""


def shown(decisions: pa.Table, marks: pa.Table) -> pa.Table:
    """The decisions without those that were deferred and never activated.

    Nobody has seen such an offer, so nobody has refused it.
    """
    activated = marks.filter(pc.equal(marks["kind"], "activated"))["decision"].combine_chunks()
    seen = pc.is_in(decisions["decision_id"], activated)
    return decisions.filter(pc.or_(pc.invert(decisions["deferred"]), seen))


def persons(marks: pa.Table) -> dict[str, str]:
    """The person behind each identity that was linked, however long the way there.

    Two that were made to lead to each other are the one of the least name, as in ``people``.
    """
    links = marks.filter(pc.equal(marks["kind"], "linked")).sort_by("arrived")
    to = dict(zip(links["user"].to_pylist(), links["person"].to_pylist(), strict=True))
    return {user: _person(user, to) for user in to}


def _person(user: str, to: Mapping[str, str]) -> str:
    way = [user]
    while (after := to.get(way[-1])) is not None:
        if after in way:
            return min(way[way.index(after) :])
        way.append(after)
    return way[-1]


class LogTable:
    """The log of N decisions of one catalogue."""

    def __init__(self, catalogue: Catalogue, decisions: pa.Table, marks: pa.Table) -> None:
        self._catalogue = catalogue
        self._encoding = Encoding(catalogue)
        self._rows = decisions.sort_by([("time", "ascending"), ("decision_id", "ascending")])
        self._persons = persons(marks)

    def table(self, outcomes: pa.Table, window_s: int) -> pa.Table:
        """The log, with what came of each decision within a number of seconds."""
        identities = self._rows["decision_id"].to_pylist()
        taken = Taken(
            identities,
            [self._person(user_of(decision)) for decision in identities],
            self._rows["time"].to_numpy(),
            self._rows["action"].to_numpy().astype(np.int64),
        )
        names = [name for name in outcomes.column_names if name != "arrived"]
        happened = [
            Outcome(**fields | {"user": self._person(fields["user"])})
            for fields in outcomes.select(names).to_pylist()
        ]
        came = results(self._catalogue, taken, happened, window_s)
        columns = dict(self._decided(taken)) | dict(_what_came(came))
        columns["degraded"] = self._rows["degraded"]
        columns |= {name: self._rows[name] for name in ALSO}
        columns |= {f"outcome_{n}": _known(came, counts) for n, counts in came.counts.items()}
        columns |= dict(self._told())
        return pa.table(columns).replace_schema_metadata({"scenelift": self._metadata()})

    def _person(self, user: str) -> str:
        return self._persons.get(user, user)

    def _decided(self, taken: Taken) -> Iterator[tuple[str, Any]]:
        rows, n = self._rows, self._rows.num_rows
        scenes = np.asarray([scene.name for scene in self._catalogue.scenes], object)
        actions = np.asarray([action.name for action in self._catalogue.actions], object)
        observations = np.frombuffer(b"".join(rows["observation"].to_pylist()), np.float32)
        bits = np.frombuffer(b"".join(rows["mask"].to_pylist()), np.uint8).reshape(n, -1)
        mask = np.unpackbits(bits, axis=1, count=len(actions)).astype(bool)
        microseconds = taken.times.astype(np.int64) * 1_000_000 + EPOCH_US
        yield "decision_id", rows["decision_id"]
        yield "user_id", pa.array(taken.users, pa.string())
        yield "time", pa.array(microseconds).cast(pa.timestamp("us", tz="UTC"))
        yield "scene", pa.array(scenes[rows["scene"].to_numpy()], pa.string())
        yield "action", pa.array(actions[taken.actions], pa.string())
        yield "propensity", rows["propensity"]
        width = self._encoding.width
        yield "observation", pa.FixedSizeListArray.from_arrays(observations, width)
        yield "mask", pa.FixedSizeListArray.from_arrays(mask.ravel(), len(actions))

    def _told(self) -> Iterator[tuple[str, pa.Array]]:
        attributes = self._catalogue.attributes
        if not attributes:
            return
        joined = b"".join(self._rows["attributes"].to_pylist())
        values: NDArray[np.float32] = np.frombuffer(joined, np.float32)
        values = values.reshape(-1, len(attributes))
        for j, attribute in enumerate(attributes):
            yield f"attribute_{attribute.name}", _attribute(attribute, values[:, j])

    def _metadata(self) -> str:
        return json.dumps(
            {
                "format": FORMAT,
                "catalogue_hash": self._catalogue.hash,
                "encoding_hash": self._encoding.hash,
                "catalogue": self._catalogue.text,
                "reward_unit": "cents",
                "source": "journal of the service",
                "lineage": lineage(0),
            }
        )


def _attribute(attribute: Attribute, values: NDArray[np.float32]) -> pa.Array:
    told = values.astype(np.float64)
    if attribute.kind == "number":
        # The nearest float of a bound may lie just beyond it.
        return pa.array(np.clip(told, attribute.low, attribute.high), from_pandas=True)
    names = [None if np.isnan(v) else attribute.values[int(v)] for v in told.tolist()]
    return pa.array(names, pa.string())


def _what_came(came: Results) -> Iterator[tuple[str, pa.Array]]:
    yield "reward", _known(came, came.parts.net_cents())


def _known(came: Results, values: NDArray[Any]) -> pa.Array:
    return pa.array(np.where(came.known, values, np.nan), from_pandas=True)
