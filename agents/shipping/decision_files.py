"""Decisions as a folder of Parquet files, one a part, that says how it was made."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from envs.aside import aside_of, put_folder
from envs.errors import InputError
from simulators.growing_file import GrowingFile

FORMAT: Final = 1
METADATA_KEY: Final = b"scenelift_decisions"
METADATA_FILE: Final = "_common_metadata"
"""Parquet's name for a schema with metadata; readers of the parts pass it over."""


@dataclass(frozen=True, slots=True)
class ScoreInfo:
    """How decisions were made."""

    policy: str
    """Name of a baseline or path of a bundle, as given."""
    policy_name: str
    weights_sha256: str
    """Of a bundle; empty for a baseline."""
    catalogue_hash: str
    encoding_hash: str
    users: str
    """Whom they are about: the path, as given."""
    seed: int
    budget_price: float
    lineage: dict[str, str | int]
    format: int = FORMAT

    def metadata(self) -> bytes:
        """As Parquet keeps it, under ``METADATA_KEY``."""
        return json.dumps(asdict(self)).encode()


def check_folder(path: Path) -> None:
    """See to it that decisions may be written there: before the work, not after it.

    Raises:
        InputError: something that is no folder of decisions is in the way.
    """
    free = not path.exists() or (path.is_dir() and not any(path.iterdir()))
    if not free and not _holds_decisions(path):
        raise InputError(f"{path} exists and holds no decisions: give another --out")


def _holds_decisions(path: Path) -> bool:
    try:
        return METADATA_KEY in (pq.read_schema(path / METADATA_FILE).metadata or {})
    except (OSError, pa.ArrowException):
        return False


class DecisionFolder:
    """A folder of decisions that comes into being part by part, aside, and is then renamed."""

    def __init__(self, path: Path, info: ScoreInfo) -> None:
        """Nothing is there until ``finish``."""
        self._path, self.metadata = path.resolve(), info.metadata()
        self.aside = aside_of(self._path)
        """Where the parts are written."""

    def __enter__(self) -> Self:
        try:
            self.aside.mkdir(parents=True)
        except OSError as error:
            raise InputError(f"{self._path}: cannot be written: {error.strerror}") from None
        return self

    def finish(self, parts: int) -> None:
        """Put the folder in place, instead of older decisions.

        Raises:
            InputError: some parts are not here: another machine wrote them elsewhere.
        """
        here = sorted(self.aside.glob("part-*.parquet"))
        if len(here) < parts:
            raise InputError(
                f"{self._path}: {parts - len(here)} of {parts} parts were written where this "
                "machine does not see them: give an --out that all machines share"
            )
        schema = pq.read_schema(here[0])
        pq.write_metadata(schema, self.aside / METADATA_FILE)
        check_folder(self._path)
        put_folder(self.aside, self._path)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.aside, ignore_errors=True)


def part_file(folder: Path, number: int, metadata: bytes) -> GrowingFile:
    """A part to write: it is renamed when it is whole, so a task begun anew does no harm."""
    path = folder / f"part-{number:06d}.parquet"
    return GrowingFile(path, {METADATA_KEY: metadata}, "zstd", each_their_own=("user_id", "time"))
