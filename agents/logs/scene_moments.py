"""Moments of users whose scene is known, read from Parquet to learn from.

Columns: ``user``, ``time`` (timestamps with a time zone), ``utc_offset_s``, ``scene`` and any
``signal_NAME``; as ``python -m simulators run --signals`` writes them. The word ``missing`` and
null stand for a signal that is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from envs.clock import EPOCH, hour_of_week
from envs.errors import InputError
from simulators.rows import MISSING, SIGNAL

NEEDED: Final = ("user", "time", "utc_offset_s", "scene")
APART: Final = 5
"""One user in so many is kept apart."""
BATCH: Final = 65_536
Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Moments:
    """N moments as codes."""

    scene: Codes
    hour: Codes
    """Of the week in the user's own time."""
    apart: NDArray[np.bool_]
    """Whether the user is one of those who are kept apart."""
    signals: Mapping[str, tuple[list[str], Codes]]
    """Words and the word of each moment, -1 where there is none."""


def moment_files(moments: Path) -> list[Path]:
    """The file, or all files of the folder.

    Raises:
        InputError: there is none.
    """
    files = sorted(moments.rglob("*.parquet")) if moments.is_dir() else [moments]
    if not files or not files[0].is_file():
        raise InputError(
            f"{moments}: no such Parquet file: make one with python -m simulators run --signals"
        )
    return files


def read_moments(files: list[Path], scenes: tuple[str, ...]) -> Iterator[tuple[float, Moments]]:
    """All moments, a batch at a time, and the share of the files that is done.

    Raises:
        InputError: a file that cannot be read, or without the columns; names both.
    """
    for number, path in enumerate(files):
        try:
            with pq.ParquetFile(path) as file:
                names = _columns(path, file.schema_arrow)
                rows, done = max(1, file.metadata.num_rows), 0
                for batch in file.iter_batches(BATCH, columns=names):
                    done += batch.num_rows
                    yield (number + done / rows) / len(files), _understood(path, batch, scenes)
        except (OSError, pa.ArrowException) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise InputError(f"{path}: not a readable Parquet file: {reason}") from None


def _columns(path: Path, schema: pa.Schema) -> list[str]:
    if lacking := [name for name in NEEDED if name not in schema.names]:
        raise InputError(f"{path}: has no column {lacking[0]}; needed are {', '.join(NEEDED)}")
    signals = [name for name in schema.names if name.startswith(SIGNAL)]
    if not signals:
        raise InputError(f"{path}: has no column {SIGNAL}...: run with --signals keeps them")
    return [*NEEDED, *signals]


def _understood(path: Path, batch: pa.RecordBatch, scenes: tuple[str, ...]) -> Moments:
    for name in NEEDED:
        if batch[name].null_count:
            raise InputError(f"{path}: column {name}: a moment without it")
    words, scene = _coded(batch["scene"])
    if (scene < 0).any():
        raise InputError(f"{path}: column scene: a moment without its scene")
    met = {words[code] for code in np.unique(scene).tolist()}
    if strange := sorted(met - {*scenes}):
        raise InputError(f"{path}: scene {strange[0]!r} is not in the catalogue")
    time = batch["time"]
    if not pa.types.is_timestamp(time.type) or time.type.tz is None:
        raise InputError(f"{path}: column time is {time.type}: give timestamps with a time zone")
    seconds = pc.cast(time, pa.timestamp("s", "UTC"), safe=False).cast(pa.int64()).to_numpy()
    local = seconds - int(EPOCH.timestamp()) + batch["utc_offset_s"].to_numpy()
    users = [crc32(str(user).encode()) % APART == 0 for user in batch["user"].to_pylist()]
    places = np.asarray([scenes.index(word) if word in met else -1 for word in words], np.int64)
    return Moments(
        places[scene],
        hour_of_week(local.astype(np.int32)).astype(np.int64),
        np.asarray(users, np.bool_),
        {
            name.removeprefix(SIGNAL): _coded(batch[name])
            for name in batch.schema.names
            if name.startswith(SIGNAL)
        },
    )


def _coded(column: Any) -> tuple[list[str], Codes]:
    """Words and the number of each row's word, -1 for ``missing`` and null."""
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    words = [str(word) for word in coded.dictionary.to_pylist()]
    codes = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    if MISSING in words:
        codes = np.where(codes == words.index(MISSING), -1, codes)
    return words, codes
