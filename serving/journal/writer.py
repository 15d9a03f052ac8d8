"""The command that keeps the journal: from Redis to Parquet until it is told to end."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import redis
import tyro
from redis.exceptions import RedisClusterException

from envs.catalogue import Catalogue, load_catalogue
from envs.errors import InputError
from serving.journal.draining import JournalWriter
from serving.journal.durable import lock_file
from serving.journal.files import JournalFiles
from serving.store.connect import GONE
from serving.watching import logs

logger = logging.getLogger(__name__)

GATHER_S: Final = 2.0
"""Pause between parts, so that they do not become many and small."""
FULL: Final = 5_000
"""Entries after which there is no pause: more are waiting."""
PAUSES_S: Final = (0.5, 1.0, 2.0, 5.0)
"""Between one try and the next while Redis or the disk is of no use."""
ROUND_S: Final = 60.0
"""How often hours that are over and entries that were lost on the way are looked for."""
FINISH_S: Final = 20.0
"""How long a writer that is to end goes on with what still comes."""


@dataclass(frozen=True, slots=True)
class WriterConfig:
    """Keep the journal of a service: from Redis to Parquet, until Ctrl-C."""

    run_dir: Path = Path("runs/serving")
    """Where the journal is kept; one writer each."""
    redis: Annotated[str, tyro.conf.arg(metavar="URL")] = ""
    """Redis of the service; REDIS_URL, which no list of processes shows, if left out."""
    catalogue: Path | None = None
    """Catalogue of the service; the default one when left out."""
    parent: int = 0
    """Process with which this one ends; 0 for none."""
    json: bool = False
    """Print the result as one JSON object."""


def run_writer(config: WriterConfig) -> None:
    """Keep the journal until SIGINT or SIGTERM, then write what still waits.

    Raises:
        InputError: something that the caller can mend keeps it from starting.
    """
    logs.start(logs.style_of(os.environ), "writer")
    url = config.redis or os.environ.get("REDIS_URL", "")
    if not url:
        raise InputError("no Redis is named: set REDIS_URL or give --redis redis://HOST:PORT/0")
    catalogue = load_catalogue(config.catalogue)
    with only_writer(config.run_dir):
        files = begun(config.run_dir, catalogue)
        stopped = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        keeper = Keeper(lambda: opened(url, catalogue, files), files)
        folder = files.described.parent
        if not config.json:
            print(f"The journal of {catalogue.name} is kept in {folder} until Ctrl-C", flush=True)
        keeper.run(stopped, config.parent)
        emptied = keeper.finish()
    if config.json:
        result = {"entries": keeper.entries, "emptied": emptied, "folder": str(folder)}
        print(json.dumps(result))


@contextmanager
def only_writer(run_dir: Path) -> Iterator[None]:
    """Be the one writer of a run folder.

    Raises:
        InputError: there is another, or the folder cannot be written.
    """
    path = run_dir / "journal" / "writer.lock"
    try:
        lock = lock_file(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error}: choose another --run-dir") from None
    if lock is None:
        other = path.read_text(encoding="ascii").strip() or "unknown"
        raise InputError(
            f"a writer (process {other}) already keeps the journal in {run_dir}: end it, or choose "
            "another --run-dir"
        )
    with lock:
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def begun(run_dir: Path, catalogue: Catalogue) -> JournalFiles:
    """The journal of a run folder, ready to be written.

    Raises:
        InputError: the folder cannot be written.
    """
    files = JournalFiles(run_dir, catalogue)
    try:
        files.begin()
    except OSError as error:
        raise InputError(f"{run_dir} cannot be written: {error}") from None
    return files


def opened(url: str, catalogue: Catalogue, files: JournalFiles) -> JournalWriter:
    """A writer that reads from the Redis at a URL.

    Raises:
        InputError: no such URL; it is not shown, for it may hold a password.
        RedisClusterException: a cluster of which no node answers.
    """
    try:
        return JournalWriter(url, catalogue, files)
    except ValueError:
        raise InputError(
            "the URL of Redis cannot be read: give redis://HOST:PORT/0, rediss:// for TLS, "
            "redis+cluster:// for a cluster"
        ) from None


class Keeper:
    """Keeps a journal writer going, whatever Redis and the disk do."""

    def __init__(self, open_writer: Callable[[], JournalWriter], files: JournalFiles) -> None:
        """Nothing is connected yet.

        Args:
            open_writer: makes the writer; tried again while Redis does not answer.
            files: where it writes.
        """
        self.entries = 0
        """Entries written so far."""
        self._open_writer = open_writer
        self._files = files
        self._writer: JournalWriter | None = None
        self._failures = 0
        self._round_at = time.monotonic() + ROUND_S

    def run(self, stopped: threading.Event, parent: int = 0) -> None:
        """Write until the event is set, or the parent process has ended."""
        while not stopped.is_set() and parent in (0, os.getppid()):
            stopped.wait(self.turn())

    def turn(self) -> float:
        """Write what waits; for how many seconds to pause then."""
        try:
            written = self._drain()
            self._go_round()
        except GONE as error:
            if not self._failures:
                logger.warning("the journal waits, nothing is lost: %s", told(error))
            pause_s = PAUSES_S[min(self._failures, len(PAUSES_S) - 1)]
            self._failures += 1
            return pause_s
        if self._failures:
            logger.warning("the journal goes on")
            self._failures = 0
        return 0.0 if written >= FULL else GATHER_S

    def finish(self) -> bool:
        """Write what still waits, close, and say whether that was all."""
        deadline = time.monotonic() + FINISH_S
        try:
            if self._writer is not None:
                self._writer.look_again()
            while self._drain():
                if time.monotonic() > deadline:
                    return False
        except GONE as error:
            logger.error(
                "the journal could not be emptied, the rest stays in Redis: %s", told(error)
            )
            return False
        finally:
            if self._writer is not None:
                self._writer.close()
        return True

    def _drain(self) -> int:
        if self._writer is None:
            self._writer = self._open_writer()
        written = self._writer.drain()
        self.entries += written
        return written

    def _go_round(self) -> None:
        """Now and then, see to what does not come with the stream."""
        if time.monotonic() >= self._round_at:
            self._round_at = time.monotonic() + ROUND_S
            if self._writer is not None:
                self._writer.look_again()
            self._files.compact()


def told(error: BaseException) -> str:
    """What went wrong, in one line."""
    first = (str(error).splitlines() or ["no reason given"])[0]
    if isinstance(error, redis.RedisError | RedisClusterException):
        return f"Redis: {type(error).__name__}: {first}"
    return first
