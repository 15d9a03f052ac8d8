"""Logs of decisions: one row a decision, with the probability it was taken with.

The format is Parquet, described in docs/logs.md. An imported campaign, a rollout's choices and the
service's journal are all such a log; learners train from it and estimators judge with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from envs.aside import file_aside
from envs.catalogue import Catalogue
from envs.encoding import Encoding
from envs.errors import InputError
from simulators.logs.log_columns import (
    EPOCH_MICROSECONDS,
    FORMAT,
    METADATA_KEY,
    Columns,
    Floats,
    Texts,
    log_catalogue,
    open_log,
    reading,
)
from simulators.logs.log_columns import LogError as LogError

GROUP_ROWS: Final = 32_768
"""Decisions in a row group of a file: what a reader of large logs takes at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """N decisions of one catalogue, in columns."""

    catalogue: Catalogue
    decision_ids: Texts
    """[N], each once."""
    user_ids: Texts
    """[N]."""
    times: NDArray[np.int32]
    """Seconds since 2020-01-01T00:00Z, [N]."""
    scenes: NDArray[np.int16]
    """Index into the catalogue's scenes, [N]."""
    actions: NDArray[np.int64]
    """Index into the catalogue's actions, [N]."""
    propensities: Floats
    """Probability with which the action was taken, (0, 1], [N]."""
    observations: NDArray[np.float32]
    """What a policy saw, [N, D]."""
    mask: NDArray[np.bool_]
    """Whether the rules allowed each action, [N, A]."""
    rewards: Floats
    """In ``reward_unit``; NaN where not known yet, [N]."""
    attributes: Floats
    """As the user state keeps them (number, or index of the choice); NaN if not given, [N, J]."""
    degraded: NDArray[np.bool_]
    """Whether a safe answer stood in for the policy, [N]."""
    outcomes: dict[str, Floats] = field(default_factory=dict)
    """What was measured afterwards, by name; NaN where not known, [N] each."""
    reward_unit: str = "cents"
    source: str = ""
    """Where the decisions come from."""
    lineage: dict[str, str | int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.actions)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Log:
        """The log with only these rows, by index or by mask."""
        chosen = {
            item.name: getattr(self, item.name)[rows]
            for item in fields(self)
            if isinstance(getattr(self, item.name), np.ndarray)
        }
        outcomes = {name: values[rows] for name, values in self.outcomes.items()}
        return replace(self, **chosen, outcomes=outcomes)

    @classmethod
    def joined(cls, logs: list[Log]) -> Log:
        """The rows of several logs of one catalogue, one after the other."""
        first = logs[0]
        columns: dict[str, Any] = {
            item.name: np.concatenate([getattr(log, item.name) for log in logs])
            for item in fields(first)
            if isinstance(getattr(first, item.name), np.ndarray)
        }
        outcomes = {
            name: np.concatenate(
                [log.outcomes.get(name, np.full(len(log), np.nan)) for log in logs]
            )
            for name in dict.fromkeys(name for log in logs for name in log.outcomes)
        }
        return replace(first, **columns, outcomes=outcomes)

    def learnable(self) -> Log:
        """Only the decisions that a policy took and whose reward is known."""
        return self.take(~self.degraded & ~np.isnan(self.rewards))


@dataclass(frozen=True, slots=True)
class Reply:
    """What a log can say about chosen actions."""

    known: NDArray[np.bool_]
    """Whether the log took the same action, [M]."""
    rewards: Floats
    """The logged reward where known, else NaN, [M]."""
    weights: Floats
    """``1 / propensity`` where known, else 0: with them the mean is unbiased, [M]."""


class LoggedWorld:
    """A log posed as a world of one-step decisions with known propensities.

    Decisions come in an order drawn from the seed, again and again; an action is answered with its
    logged reward where the log took the same one, and not at all elsewhere: nothing is invented.

    Reference: Li, Chu, Langford and Wang, WSDM 2011 (the replay method).
    """

    def __init__(self, log: Log, seed: int = 0) -> None:
        self._log = log.learnable()
        if not len(self._log):
            raise LogError("the log has no decision with a known reward to pose")
        self._order = np.random.default_rng(seed).permutation(len(self._log))
        self._next = 0
        self._posed = self._order[:0]

    def pose(self, count: int) -> Log:
        """The next ``count`` decisions to take, starting over when the log is used up."""
        positions = (self._next + np.arange(count)) % len(self._order)
        self._next = int((self._next + count) % len(self._order))
        self._posed = self._order[positions]
        return self._log.take(self._posed)

    def step(self, actions: NDArray[np.int64]) -> Reply:
        """Answer actions, [M], for the decisions posed last."""
        if len(actions) != len(self._posed):
            raise InputError(f"{len(actions)} actions for {len(self._posed)} posed decisions")
        known = self._log.actions[self._posed] == actions
        return Reply(
            known=known,
            rewards=np.where(known, self._log.rewards[self._posed], np.nan),
            weights=np.where(known, 1.0 / self._log.propensities[self._posed], 0.0),
        )


def log_schema(catalogue: Catalogue, outcomes: tuple[str, ...] = ()) -> pa.Schema:
    """The Parquet schema of a log of this catalogue, without its metadata."""
    columns = [
        ("decision_id", pa.string()),
        ("user_id", pa.string()),
        ("time", pa.timestamp("us", tz="UTC")),
        ("scene", pa.string()),
        ("action", pa.string()),
        ("propensity", pa.float64()),
        ("observation", pa.list_(pa.float32(), Encoding(catalogue).width)),
        ("mask", pa.list_(pa.bool_(), len(catalogue.actions))),
        ("reward", pa.float64()),
        ("degraded", pa.bool_()),
    ]
    columns += [(f"outcome_{name}", pa.float64()) for name in outcomes]
    for attribute in catalogue.attributes:
        kind = pa.string() if attribute.kind == "choice" else pa.float64()
        columns.append((f"attribute_{attribute.name}", kind))
    return pa.schema(columns)


def write_log(log: Log, path: Path) -> None:
    """Write a log to Parquet, aside first, then renamed into place."""
    catalogue = log.catalogue
    actions = np.asarray([action.name for action in catalogue.actions], object)
    scenes = np.asarray([scene.name for scene in catalogue.scenes], object)
    schema = log_schema(catalogue, tuple(log.outcomes))
    arrays = {
        "decision_id": pa.array(log.decision_ids, pa.string()),
        "user_id": pa.array(log.user_ids, pa.string()),
        "time": pa.array(log.times.astype(np.int64) * 1_000_000 + EPOCH_MICROSECONDS).cast(
            schema.field("time").type
        ),
        "scene": pa.array(scenes[log.scenes], pa.string()),
        "action": pa.array(actions[log.actions], pa.string()),
        "propensity": pa.array(log.propensities),
        "observation": pa.FixedSizeListArray.from_arrays(
            log.observations.ravel(), log.observations.shape[1]
        ),
        "mask": pa.FixedSizeListArray.from_arrays(log.mask.ravel(), log.mask.shape[1]),
        "reward": pa.array(log.rewards, from_pandas=True),
        "degraded": pa.array(log.degraded),
    }
    arrays |= {f"outcome_{n}": pa.array(v, from_pandas=True) for n, v in log.outcomes.items()}
    arrays |= dict(_attribute_columns(log))
    table = pa.table(arrays, schema=schema.with_metadata({METADATA_KEY: _metadata(log)}))
    path.parent.mkdir(parents=True, exist_ok=True)
    with file_aside(path) as aside:
        pq.write_table(table, aside, compression="zstd", row_group_size=GROUP_ROWS)


def _attribute_columns(log: Log) -> Iterator[tuple[str, pa.Array]]:
    for j, attribute in enumerate(log.catalogue.attributes):
        values = log.attributes[:, j]
        if attribute.kind == "choice":
            given = ~np.isnan(values)
            names = np.full(len(values), None, object)
            names[given] = np.asarray(attribute.values, object)[values[given].astype(int)]
            yield f"attribute_{attribute.name}", pa.array(names, pa.string())
        else:
            yield f"attribute_{attribute.name}", pa.array(values, from_pandas=True)


def _metadata(log: Log) -> bytes:
    return json.dumps(
        {
            "format": FORMAT,
            "catalogue_hash": log.catalogue.hash,
            "encoding_hash": Encoding(log.catalogue).hash,
            "catalogue": log.catalogue.text,
            "reward_unit": log.reward_unit,
            "source": log.source,
            "lineage": log.lineage,
        }
    ).encode()


def read_log(path: Path, catalogue: Catalogue | None = None) -> Log:
    """Read and check a log: one Parquet file, or a folder of them, as a journal writes.

    A decision may be written again with a later outcome: the last row of its id counts.

    Args:
        path: file or folder.
        catalogue: the one that the log must belong to; any when left out.

    Raises:
        LogError: naming file, row and column.
    """
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise LogError(f"{path}: the folder holds no .parquet file")
    logs = [_read_file(file, catalogue) for file in files]
    for file, log in zip(files, logs, strict=True):
        if log.catalogue.hash != logs[0].catalogue.hash:
            raise LogError(f"{file}: of another catalogue than {files[0].name}: keep them apart")
        if log.reward_unit != logs[0].reward_unit:
            raise LogError(
                f"{file}: reward in {log.reward_unit}, in {files[0].name} in {logs[0].reward_unit}"
            )
    log = _last_of_each(Log.joined(logs))
    if not len(log):
        raise LogError(f"{path}: the log has no rows")
    return log


def _last_of_each(log: Log) -> Log:
    """Each decision once, as it was written last."""
    last = {decision: row for row, decision in enumerate(log.decision_ids)}
    if len(last) == len(log):
        return log
    return log.take(np.asarray(sorted(last.values()), np.int64))


def _read_file(path: Path, expected: Catalogue | None) -> Log:
    file, metadata = open_log(path)
    with reading(path):
        table = file.read()
    return log_of(path, table, metadata, log_catalogue(path, metadata, expected))


def log_of(
    path: Path, table: pa.Table, metadata: dict[str, Any], catalogue: Catalogue, first_row: int = 0
) -> Log:
    """Check a table of a log's file, or the part of it that begins at a row.

    Raises:
        LogError: naming file, row and column.
    """
    columns = Columns(path, table, catalogue, first_row)
    actions = columns.indices("action", [action.name for action in catalogue.actions])
    outcomes = [name for name in table.column_names if name.startswith("outcome_")]
    return Log(
        catalogue=catalogue,
        decision_ids=columns.texts("decision_id"),
        user_ids=columns.texts("user_id"),
        times=columns.times(),
        scenes=columns.indices("scene", [s.name for s in catalogue.scenes]).astype(np.int16),
        actions=actions,
        propensities=columns.propensities(),
        observations=columns.observations(),
        mask=columns.masks(actions),
        rewards=columns.numbers("reward"),
        attributes=columns.attributes(),
        degraded=columns.degraded(),
        outcomes={name.removeprefix("outcome_"): columns.numbers(name) for name in outcomes},
        reward_unit=str(metadata.get("reward_unit", "cents")),
        source=str(metadata.get("source", "")),
        lineage=dict(metadata.get("lineage") or {}),
    )
