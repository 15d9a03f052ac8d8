"""Decisions and outcomes, from Redis to Parquet: at least once there, exactly once in the log.

The writer takes entries from the streams, writes them as parts (aside, then renamed) and only then
lets Redis forget them; a writer that dies in between finds them again. ``merge`` makes the log
that learners and estimators read, each decision once, with its reward where it is known.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis

from envs.catalogue import Catalogue
from serving.journal_files import DecisionRow, JournalFiles
from serving.outcomes import Outcome
from serving.state import Space

logger = logging.getLogger(__name__)

GROUP: Final = "parquet"
CONSUMER: Final = "writer"
AT_ONCE: Final = 500
"""Entries taken from each stream at once."""
WAIT_MS: Final = 500
GATHER_S: Final = 2.0
"""Pause between parts, so that they do not become many and small."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Entries that have been taken from the streams and are not yet written."""

    decisions: list[DecisionRow]
    outcomes: list[Outcome]
    ids: dict[bytes, list[bytes]]
    """Entry ids by stream."""

    def __len__(self) -> int:
        return sum(map(len, self.ids.values()))


class JournalWriter:
    """Moves the journal of one catalogue from Redis into a folder."""

    def __init__(self, redis_url: str, catalogue: Catalogue, files: JournalFiles) -> None:
        self._redis = redis.Redis.from_url(redis_url, socket_timeout=10.0, protocol=2)
        self._streams = Space(catalogue).streams()
        self._files = files
        self._recovered = False

    def close(self) -> None:
        """Give the connection back."""
        self._redis.close()

    def drain(self, wait_ms: int | None = None) -> int:
        """Write what waits, in one part; the number of entries, 0 when there is nothing.

        Args:
            wait_ms: how long to wait for the first entry; None does not wait.

        Raises:
            RedisError: Redis does not answer. Nothing is lost: call again.
            OSError: the folder cannot be written. Nothing is lost either.
        """
        try:
            taken = self.take(wait_ms)
            if len(taken):
                self._files.add(taken.decisions, taken.outcomes)
                self._forget(taken)
        except BaseException:
            # What may have been taken is pending, and the group is gone with a Redis that lost its
            # data: the next try joins again and begins with what is pending.
            self._recovered = False
            raise
        return len(taken)

    def take(self, wait_ms: int | None = None) -> Taken:
        """The next entries; first those that an earlier writer took and never wrote."""
        if not self._recovered:
            self._join()
            pending = self._read("0", None)
            if len(pending):
                return pending
            self._recovered = True
        return self._read(">", wait_ms)

    def _join(self) -> None:
        for stream in self._streams:
            try:
                self._redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
            except redis.ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    def _read(self, start: str, wait_ms: int | None) -> Taken:
        streams: dict[Any, Any] = dict.fromkeys(self._streams, start)
        reply: Any = self._redis.xreadgroup(GROUP, CONSUMER, streams, AT_ONCE, wait_ms)
        return _taken(reply or [])

    def _forget(self, taken: Taken) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for stream, ids in taken.ids.items():
            pipeline.xack(stream, GROUP, *ids)
            pipeline.xdel(stream, *ids)
        pipeline.execute()


def _taken(reply: Sequence[tuple[bytes, Sequence[tuple[bytes, dict[bytes, bytes]]]]]) -> Taken:
    taken = Taken([], [], {})
    for stream, entries in reply:
        for entry_id, fields in entries:
            taken.ids.setdefault(stream, []).append(entry_id)
            if b"decision" in fields:
                taken.decisions.append(DecisionRow.read(fields))
            elif b"event" in fields:
                taken.outcomes.append(_outcome(fields[b"event"]))
    return taken


def _outcome(text: bytes) -> Outcome:
    fields = json.loads(text)
    fields.pop("scene", None)
    return Outcome(**fields)


class JournalThread:
    """Keeps a journal writer going beside other work, until it is stopped and all is written."""

    def __init__(self, writer: JournalWriter) -> None:
        self._writer = writer
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._writer.drain(WAIT_MS)
            except (redis.RedisError, OSError) as error:
                logger.warning("the journal waits: %s", error)
            self._stopping.wait(GATHER_S)

    def stop(self) -> None:
        """Write all that is left, then end."""
        self._stopping.set()
        self._thread.join()
        try:
            while self._writer.drain():
                pass
        except (redis.RedisError, OSError) as error:
            logger.error("the journal could not be emptied: %s; it is kept in Redis", error)
        self._writer.close()
