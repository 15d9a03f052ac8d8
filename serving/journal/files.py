"""The journal on disk: parts by hour as they come, and the log that is made of them.

``journal/SHAPE/2026-11-26T14/`` in the run folder holds the parts of an hour, those of each
catalogue apart; ``journal.parquet`` beside ``journal`` is the log: one row a decision, in the
format that learners and estimators read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import pyarrow as pa

from envs.catalogue import Catalogue, parse_catalogue
from envs.clock import DAY
from envs.encoding import Encoding
from envs.errors import InputError
from serving.journal.durable import durable_file, lock_file, make_folder, sweep, write_parquet
from serving.journal.erasing import erase_from_journal, erase_from_log
from serving.journal.hours import REFUSED_FOLDER, Hours
from serving.journal.rows import DECISIONS, MARKS, OUTCOMES, Kind, Tables, read_parts
from serving.journal.table import LogTable, shown

CATALOGUE: Final = "catalogue.yaml"
Tracked = Callable[[list[Path]], Iterable[Path]]


@dataclass(frozen=True, slots=True)
class Merged:
    """A log that was made."""

    decisions: int
    left_out: int
    """Deferred decisions that were never shown."""
    outcomes: int
    """Events, whether they belong to a decision or not."""


class JournalFiles:
    """The journal of one catalogue in a run folder."""

    def __init__(
        self, run_dir: Path, catalogue: Catalogue, clock: Callable[[], float] = time.time
    ) -> None:
        """The journal of one catalogue.

        Args:
            run_dir: the run folder.
            catalogue: whose decisions.
            clock: seconds since 1970; an hour is over when it says so.
        """
        self.catalogue = catalogue
        self.log = run_dir / "journal.parquet"
        self._journal = run_dir / "journal"
        self._folder = self._journal / Encoding(catalogue).hash[:12]
        self.described = self._folder / CATALOGUE
        self.refused = self._folder / REFUSED_FOLDER
        self._hours = Hours(self._folder)
        self._clock = clock

    @classmethod
    def latest(cls, run_dir: Path) -> Self:
        """The journal that was written last in a run folder.

        Raises:
            InputError: there is none.
        """
        kept = sorted((run_dir / "journal").glob(f"*/{CATALOGUE}"), key=_changed)
        if not kept:
            raise InputError(f"{run_dir} holds no journal: give the --run-dir of a service")
        text = kept[-1].read_text(encoding="utf-8")
        return cls(run_dir, parse_catalogue(text, str(kept[-1])))

    def describe(self) -> Path:
        """Put the catalogue beside its journal; its file."""
        if not self.described.exists():
            make_folder(self._folder)
            with durable_file(self.described) as aside:
                aside.write_text(self.catalogue.text, encoding="utf-8")
        return self.described

    def begin(self) -> None:
        """Put away what a writer that was killed left half-written; for the only writer there is.

        Raises:
            OSError: the folder cannot be written.
        """
        self.describe()
        sweep(self._folder)

    def add(self, tables: Tables) -> None:
        """Keep rows; each part appears whole or not at all, and is on the disk on return.

        Raises:
            OSError: no room, or no right to write.
        """
        if tables:
            self.describe()
            self._hours.add(tables)

    @contextmanager
    def alone(self, wait: bool = True) -> Iterator[bool]:
        """Keep others from replacing files meanwhile; False when one does so and is not awaited.

        Raises:
            OSError: the folder cannot be written.
        """
        lock = lock_file(self._journal / "files.lock", wait)
        try:
            yield lock is not None
        finally:
            if lock is not None:
                lock.close()

    def compact(self) -> int:
        """Make one part of the parts of each hour that is over; how many files have gone.

        Raises:
            OSError: no room. Nothing is lost, and it can be tried again.
        """
        with self.alone(wait=False) as alone:
            return self._hours.compact(self._clock()) if alone else 0

    def erase(self, until: Mapping[str, int]) -> int:
        """Keep nothing of users that arrived until a time; how many rows have gone.

        Call it ``alone``.

        Args:
            until: hashed users, and milliseconds since 1970 by the clock of Redis.

        Raises:
            OSError: no room. Some files may know nothing of them any more; begin again.
        """
        for left in self.log.parent.glob(f".{self.log.name}.*.partial"):
            left.unlink(missing_ok=True)
        return erase_from_journal(self._journal, until) + erase_from_log(self.log, until)

    def rows(self, kind: Kind, tracked: Tracked = iter) -> pa.Table:
        """All rows of a kind, each once."""
        return read_parts(kind, tracked(self._hours.parts(kind)))

    def parts(self, kind: Kind) -> list[Path]:
        """The files of a kind, as they were written."""
        return self._hours.parts(kind)

    def merge(self, outcome_days: float = 0.0) -> int:
        """Make the log of all parts; the number of decisions in it. See ``merged``."""
        return self.merged(outcome_days).decisions

    def merged(self, outcome_days: float = 0.0, tracked: Tracked = iter) -> Merged:
        """Make the log of all parts.

        Args:
            outcome_days: how long outcomes are awaited before a reward is known; 0 means as long
                as an offer of the catalogue can be redeemed.
            tracked: passes on the files that are read, to show how far that is.

        Raises:
            OSError: the folder cannot be written.
        """
        if not self.described.exists():
            return Merged(0, 0, 0)
        window_s = round((outcome_days or self.catalogue.offer_days) * DAY)
        with self.alone():
            decided = self.rows(DECISIONS, tracked)
            outcomes, marks = self.rows(OUTCOMES, tracked), self.rows(MARKS)
            decisions = shown(decided, marks)
            if decisions.num_rows:
                table = LogTable(self.catalogue, decisions, marks).table(outcomes, window_s)
                write_parquet(table, self.log)
        left_out = decided.num_rows - decisions.num_rows
        return Merged(decisions.num_rows, left_out, outcomes.num_rows)


def _changed(described: Path) -> int:
    """When something was written beside a catalogue last."""
    folders = [described.parent, *described.parent.glob("????-??-??T??")]
    return max(folder.stat().st_mtime_ns for folder in folders)
