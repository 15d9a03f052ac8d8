"""The journal on disk: parts as they come, and the log that is made of them.

``journal/`` in the run folder holds the parts of each catalogue apart; ``journal.parquet`` beside
it is the log: one row a decision, in the format that learners and estimators read.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from envs.aside import file_aside
from envs.catalogue import Catalogue, parse_catalogue
from envs.clock import DAY, EPOCH
from envs.encoding import Encoding
from envs.errors import InputError
from envs.lineage import lineage
from serving.outcomes import Outcome, Results, Taken, results
from serving.security import user_of

FORMAT: Final = 1
EPOCH_US: Final = int(EPOCH.timestamp()) * 1_000_000

DECISIONS: Final = pa.schema(
    [
        ("decision_id", pa.string()),
        ("time", pa.int32()),
        ("scene", pa.int16()),
        ("action", pa.int16()),
        ("propensity", pa.float64()),
        ("observation", pa.binary()),
        ("mask", pa.binary()),
        ("attributes", pa.binary()),
        ("degraded", pa.bool_()),
        ("policy", pa.string()),
    ]
)
OUTCOMES: Final = pa.schema(
    [
        ("user", pa.string()),
        ("key", pa.string()),
        ("kind", pa.string()),
        ("time", pa.int32()),
        ("decision", pa.string()),
        ("channel", pa.string()),
        ("offer", pa.string()),
        ("amount_cents", pa.int64()),
        ("discount", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A decision as the stream and the parts keep it; arrays as bytes."""

    decision_id: str
    time: int
    scene: int
    action: int
    propensity: float
    observation: bytes
    """float32 [D]."""
    mask: bytes
    """Packed bits [A]."""
    attributes: bytes
    """float32 [J], NaN where unknown."""
    degraded: bool
    policy: str

    @classmethod
    def read(cls, entry: Mapping[bytes, bytes]) -> Self:
        """From the fields of a journal entry."""
        return cls(
            decision_id=entry[b"decision"].decode(),
            time=int(entry[b"time"]),
            scene=int(entry[b"scene"]),
            action=int(entry[b"action"]),
            propensity=float(entry[b"propensity"]),
            observation=entry[b"observation"],
            mask=entry[b"mask"],
            attributes=entry[b"attributes"],
            degraded=entry[b"degraded"] != b"0",
            policy=entry[b"policy"].decode(),
        )


class JournalFiles:
    """The journal of one catalogue in a run folder."""

    def __init__(self, run_dir: Path, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._encoding = Encoding(catalogue)
        self.log = run_dir / "journal.parquet"
        self._parts = run_dir / "journal" / self._encoding.hash[:12]
        self._number = 0

    @classmethod
    def latest(cls, run_dir: Path) -> Self:
        """The journal that was written last in a run folder.

        Raises:
            InputError: there is none.
        """
        kept = sorted((run_dir / "journal").glob("*/catalogue.yaml"), key=_changed)
        if not kept:
            raise InputError(f"{run_dir} holds no journal: give the --run-dir of a service")
        text = kept[-1].read_text(encoding="utf-8")
        return cls(run_dir, parse_catalogue(text, str(kept[-1])))

    def add(self, decisions: Sequence[DecisionRow], outcomes: Sequence[Outcome]) -> None:
        """Keep entries as one part each; a part appears whole or not at all."""
        self._parts.mkdir(parents=True, exist_ok=True)
        described = self._parts / "catalogue.yaml"
        if not described.exists():
            with file_aside(described) as aside:
                aside.write_text(self._catalogue.text, encoding="utf-8")
        self._number += 1
        stamp = f"{time.time_ns():020}-{os.getpid()}-{self._number}"
        for name, rows, schema in (
            ("decisions", [asdict(row) for row in decisions], DECISIONS),
            ("outcomes", [asdict(row) for row in outcomes], OUTCOMES),
        ):
            if rows:
                _write(pa.Table.from_pylist(rows, schema), self._parts / f"{name}-{stamp}.parquet")

    def merge(self, outcome_days: float = 0.0) -> int:
        """Make the log of all parts; the number of decisions in it.

        Args:
            outcome_days: how long outcomes are awaited before a reward is known; 0 means as long
                as an offer of the catalogue can be redeemed.
        """
        rows = self._kept("decisions", ("decision_id",))
        outcomes = self._kept("outcomes", ("user", "key"))
        if not rows.num_rows:
            return 0
        rows = rows.sort_by([("time", "ascending"), ("decision_id", "ascending")])
        identities = rows["decision_id"].to_pylist()
        taken = Taken(
            identities,
            [user_of(decision) for decision in identities],
            rows["time"].to_numpy(),
            rows["action"].to_numpy().astype(np.int64),
        )
        happened = [Outcome(**fields) for fields in outcomes.to_pylist()]
        window_s = round((outcome_days or self._catalogue.offer_days) * DAY)
        came = results(self._catalogue, taken, happened, window_s)
        _write(self._log(rows, taken, came), self.log)
        return len(identities)

    def _kept(self, kind: str, identity: tuple[str, ...]) -> pa.Table:
        """All rows of the parts of a kind, each once; the last one counts."""
        schema = DECISIONS if kind == "decisions" else OUTCOMES
        files = sorted(self._parts.glob(f"{kind}-*.parquet"))
        table = pa.concat_tables([schema.empty_table(), *(pq.read_table(file) for file in files)])
        columns = [table[name].to_pylist() for name in identity]
        last = {key: row for row, key in enumerate(zip(*columns, strict=True))}
        return table.take(list(last.values())) if len(last) < table.num_rows else table

    def _log(self, rows: pa.Table, taken: Taken, came: Results) -> pa.Table:
        catalogue, n = self._catalogue, rows.num_rows
        scenes = np.asarray([scene.name for scene in catalogue.scenes], object)
        actions = np.asarray([action.name for action in catalogue.actions], object)
        observations = np.frombuffer(b"".join(rows["observation"].to_pylist()), np.float32)
        bits = np.frombuffer(b"".join(rows["mask"].to_pylist()), np.uint8).reshape(n, -1)
        mask = np.unpackbits(bits, axis=1, count=len(actions)).astype(bool)
        rewards = np.where(came.known, came.parts.net_cents(), np.nan)
        microseconds = taken.times.astype(np.int64) * 1_000_000 + EPOCH_US
        columns: dict[str, Any] = {
            "decision_id": rows["decision_id"],
            "user_id": pa.array(taken.users, pa.string()),
            "time": pa.array(microseconds).cast(pa.timestamp("us", tz="UTC")),
            "scene": pa.array(scenes[rows["scene"].to_numpy()], pa.string()),
            "action": pa.array(actions[taken.actions], pa.string()),
            "propensity": rows["propensity"],
            "observation": pa.FixedSizeListArray.from_arrays(observations, self._encoding.width),
            "mask": pa.FixedSizeListArray.from_arrays(mask.ravel(), len(actions)),
            "reward": pa.array(rewards, from_pandas=True),
            "degraded": rows["degraded"],
            "policy": rows["policy"],
        }
        for name, counts in came.counts.items():
            counted = np.where(came.known, counts, np.nan)
            columns[f"outcome_{name}"] = pa.array(counted, from_pandas=True)
        columns |= dict(self._attribute_columns(rows))
        return pa.table(columns).replace_schema_metadata({"scenelift": self._metadata()})

    def _attribute_columns(self, rows: pa.Table) -> Iterable[tuple[str, pa.Array]]:
        attributes = self._catalogue.attributes
        if not attributes:
            return
        joined = b"".join(rows["attributes"].to_pylist())
        values: NDArray[np.float32] = np.frombuffer(joined, np.float32)
        values = values.reshape(-1, len(attributes))
        for j, attribute in enumerate(attributes):
            told = values[:, j].astype(np.float64)
            if attribute.kind == "number":
                yield f"attribute_{attribute.name}", pa.array(told, from_pandas=True)
                continue
            names = [None if np.isnan(v) else attribute.values[int(v)] for v in told.tolist()]
            yield f"attribute_{attribute.name}", pa.array(names, pa.string())

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


def _changed(path: Path) -> int:
    return path.parent.stat().st_mtime_ns


def _write(table: pa.Table, path: Path) -> None:
    with file_aside(path) as aside:
        pq.write_table(table, aside, compression="zstd")
