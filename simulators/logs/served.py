"""What a service decided for the customers of a log: written by traffic, judged by estimators.

Parquet, one row a customer: user_id, time (that was sent as ``now``), action, propensity,
decision_id, policy, degraded. docs/logs.md describes it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from envs.aside import file_aside
from simulators.logs.log_columns import EPOCH_MICROSECONDS, METADATA_KEY, LogError, Texts
from simulators.logs.logged import Log

SCHEMA = pa.schema(
    [
        ("user_id", pa.string()),
        ("time", pa.timestamp("us", tz="UTC")),
        ("action", pa.string()),
        ("propensity", pa.float64()),
        ("decision_id", pa.string()),
        ("policy", pa.string()),
        ("degraded", pa.bool_()),
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """N served decisions, in columns."""

    user_ids: Texts
    times: NDArray[np.int32]
    """Seconds since 2020-01-01T00:00Z, [N]."""
    actions: Texts
    """Names as in the catalogue, [N]."""
    propensities: NDArray[np.float64]
    decision_ids: Texts
    policies: Texts
    degraded: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.user_ids)

    def matched(self, log: Log) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Pair these decisions with the log's, by user and time.

        Returns:
            Rows of the log, rows of these decisions, and the served action's index, [M] each.

        Raises:
            LogError: unknown action, one user served twice at one time, or nobody in common.
        """
        index = {action.name: action.index for action in log.catalogue.actions}
        rows: dict[tuple[str, int], int] = {}
        for row, key in enumerate(zip(self.user_ids, self.times.tolist(), strict=True)):
            if self.actions[row] not in index:
                action = self.actions[row]
                raise LogError(f"served decision {row + 1}: action {action!r} is not in the log")
            if rows.setdefault(key, row) != row:
                raise LogError(f"served decision {row + 1}: user {key[0]!r} was served twice")
        keys = zip(log.user_ids, log.times.tolist(), strict=True)
        found = np.asarray([rows.get(key, -1) for key in keys], np.int64)
        logged = np.flatnonzero(found >= 0)
        if not len(logged):
            raise LogError("none of the served users is in the log: give the log that was sent")
        names = self.actions[found[logged]]
        return logged, found[logged], np.asarray([index[name] for name in names], np.int64)


def write_served(served: Served, path: Path, lineage: dict[str, str | int]) -> None:
    """Write served decisions, aside first, then renamed into place."""
    moments = served.times.astype(np.int64) * 1_000_000 + EPOCH_MICROSECONDS
    columns = [
        pa.array(served.user_ids, pa.string()),
        pa.array(moments).cast(SCHEMA.field("time").type),
        pa.array(served.actions, pa.string()),
        pa.array(served.propensities),
        pa.array(served.decision_ids, pa.string()),
        pa.array(served.policies, pa.string()),
        pa.array(served.degraded),
    ]
    metadata = {METADATA_KEY: json.dumps({"lineage": lineage}).encode()}
    table = pa.Table.from_arrays(columns, schema=SCHEMA.with_metadata(metadata))
    path.parent.mkdir(parents=True, exist_ok=True)
    with file_aside(path) as aside:
        pq.write_table(table, aside, compression="zstd")


def read_served(path: Path) -> Served:
    """Read served decisions.

    Raises:
        LogError: no such file, not Parquet, or other columns.
    """
    if not path.is_file():
        raise LogError(f"{path}: no such file: make it with `python -m simulators traffic --log`")
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise LogError(f"{path}: not a readable Parquet file: {reason}") from None
    for field in SCHEMA:
        if field.name not in table.column_names:
            raise LogError(f"{path}: column {field.name!r} is missing: no served decisions")
        column = table[field.name]
        if column.type != field.type or column.null_count:
            found = "nulls" if column.type == field.type else column.type
            raise LogError(f"{path}: column {field.name!r} holds {found}, expected {field.type}")
    moments = table["time"].cast(pa.int64()).to_numpy()
    return Served(
        user_ids=np.asarray(table["user_id"].to_pylist(), object),
        times=((moments - EPOCH_MICROSECONDS) // 1_000_000).astype(np.int32),
        actions=np.asarray(table["action"].to_pylist(), object),
        propensities=table["propensity"].to_numpy(),
        decision_ids=np.asarray(table["decision_id"].to_pylist(), object),
        policies=np.asarray(table["policy"].to_pylist(), object),
        degraded=np.asarray(table["degraded"].to_pylist(), bool),
    )
