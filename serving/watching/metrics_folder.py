"""The folder in which the replicas of one machine add their counts up.

The client library keeps a file there for each replica and kind of metric. What a replica has
counted still counts after its end; so that files do not pile up with each new replica, those of the
dead are added up in one.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

DEAD: Final = "dead"
"""Stands in the name of a file where the number of its process would stand."""
LASTING: Final = ("counter", "histogram")
"""Kinds whose values outlive the replica; a gauge says how things are now, and ends with it."""
TRIES: Final = 20
BETWEEN_TRIES_S: Final = 0.005


class MetricsFolder:
    """Files of many replicas, read as one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def text(self) -> bytes:
        """What all replicas have counted, dead ones too, in Prometheus' text format.

        May wait a little for another replica: not to be called where requests are answered.
        """
        if self._dead() or any(self._path.glob("*.moved")):
            with self._lock(fcntl.LOCK_EX, tries=1) as alone:
                if alone:  # else another replica is at it
                    self._bury()
        # A replica that was stopped while it held the lock must not end the metrics of the others:
        # after a while they are read without it, at the risk of a count read twice.
        with self._lock(fcntl.LOCK_SH, TRIES):
            counts = CollectorRegistry()
            MultiProcessCollector(counts, str(self._path))  # type: ignore[no-untyped-call]
            return generate_latest(counts)

    def _dead(self) -> list[Path]:
        """Files of processes that have ended."""
        numbered = ((path, path.stem.rpartition("_")[2]) for path in self._path.glob("*_*.db"))
        return [path for path, number in numbered if number.isdecimal() and _ended(int(number))]

    def _bury(self) -> None:
        """Add up what the dead have counted, and remove their files."""
        for kind in LASTING:
            self._replace(kind)
        for path in self._dead():
            kind = path.name.partition("_")[0]
            if kind in LASTING:
                _write_sums(self._path / f"{kind}.sums", [self._total(kind), path])
                path.rename(self._path / f"{kind}.moved")
                self._replace(kind)
            else:
                path.unlink()

    def _replace(self, kind: str) -> None:
        """Put new sums in the place of the old ones; also those of a replica that was killed here.

        They count from the moment on in which the file that they were made of is moved: whenever
        this is cut short, nothing counts twice or not at all once it has been begun anew.
        """
        sums, moved = self._path / f"{kind}.sums", self._path / f"{kind}.moved"
        if moved.exists() and sums.exists():
            sums.rename(self._total(kind))
        sums.unlink(missing_ok=True)
        moved.unlink(missing_ok=True)

    def _total(self, kind: str) -> Path:
        return self._path / f"{kind}_{DEAD}.db"

    @contextmanager
    def _lock(self, how: int, tries: int) -> Iterator[bool]:
        """Whether the folder could be locked."""
        with (self._path / "lock").open("ab") as file:
            yield _locked(file.fileno(), how, tries)


def _locked(descriptor: int, how: int, tries: int) -> bool:
    for attempt in range(tries):
        if attempt:
            time.sleep(BETWEEN_TRIES_S)
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            continue
    return False


def _write_sums(path: Path, sources: list[Path]) -> None:
    """One file with the sums of several; those that are missing or empty count for nothing."""
    sums: dict[str, float] = {}
    for source in sources:
        if not source.exists() or not source.stat().st_size:
            continue
        values = MmapedDict.read_all_values_from_file(str(source))  # type: ignore[no-untyped-call]
        for key, value, _, _ in values:
            sums[key] = sums.get(key, 0.0) + value
    file = MmapedDict(str(path))  # type: ignore[no-untyped-call]
    for key, value in sums.items():
        file.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    file.close()  # type: ignore[no-untyped-call]


def _ended(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False  # its number is somebody else's now
    return False
