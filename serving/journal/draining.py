"""The journal on its way from Redis to Parquet: at least once there, exactly once in the log.

The writer takes entries out of the streams, writes them as parts, and only when these are on the
disk lets Redis forget them; a writer that dies in between finds them again:

* taken and not written: they are pending with the group, which hands them out first;
* written and not deleted: they are pending and are written again; those who read take each once;
* deleted and not acknowledged: they are pending without content, and are acknowledged. The other
  way round, an entry that is acknowledged and not deleted would stay in the stream for ever. Should
  one be left by whatever means, it is taken again when a writer begins.

An erasure is acknowledged when the files no longer know its users, so it is never half done.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any, Final

from envs.catalogue import Catalogue
from serving.journal.entries import Entry, EntryReader, Erasure
from serving.journal.files import JournalFiles
from serving.store.connect import connect_sync
from serving.store.keys import Space

logger = logging.getLogger(__name__)

GROUP: Final = "parquet"
CONSUMER: Final = "writer"
AT_ONCE: Final = 250
"""Entries taken from each stream at once."""
PATIENCE_S: Final = 10.0
"""How long Redis's answer is waited for."""


class JournalWriter:
    """Moves the journal of one catalogue from Redis into a folder."""

    def __init__(self, redis_url: str, catalogue: Catalogue, files: JournalFiles) -> None:
        # Entries that are asked for twice are handed out once, to the answer that was lost.
        self._redis = connect_sync(redis_url, patience_s=PATIENCE_S, tries=1)
        self._streams = [stream.encode() for stream in Space(catalogue).streams()]
        self._reader = EntryReader(catalogue)
        self._files = files
        self._joined = False
        self._places: dict[bytes, bytes] = {}
        """Of each stream whose pending entries are not all taken yet, the last that was."""
        self._erasures: dict[tuple[bytes, bytes], tuple[Entry, Erasure]] = {}
        """Those that wait for their turn, by stream and entry."""

    def close(self) -> None:
        """Give the connection back."""
        self._redis.close()

    def drain(self) -> int:
        """Write what waits, in one part of each kind; the number of entries, 0 when it is all done.

        An erasure waits while somebody else works on the files.

        Raises:
            RedisError: Redis does not answer. Nothing is lost: call again.
            OSError: the folder cannot be written. Nothing is lost either.
        """
        try:
            entries = self.take()
            self._keep(entries)
            return len(entries) + self._erase()
        except BaseException:
            # What may have been taken is pending, and the group is gone with a Redis that lost its
            # data: the next try joins again and begins with what is pending.
            self._joined = False
            raise

    def look_again(self) -> None:
        """Let the next ``drain`` begin with what is pending.

        Redis may hand entries to a connection after it was given up; they would wait for ever.
        """
        self._joined = False

    def take(self) -> list[Entry]:
        """The next entries; first those that an earlier writer took and never let go of."""
        if not self._joined:
            self._join()
        while self._places:
            entries = self._read(self._places)
            last = {entry.stream: entry.entry_id for entry in entries}
            if not last:
                self._rewind()
            self._places = last
            if entries:
                return entries
        return self._read(dict.fromkeys(self._streams, b">"))

    def _join(self) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for stream in self._streams:
            pipeline.xgroup_create(stream, GROUP, id="0", mkstream=True)
        for result in pipeline.execute(raise_on_error=False):
            if isinstance(result, Exception) and "BUSYGROUP" not in str(result):
                raise result
        self._erasures.clear()
        self._places = dict.fromkeys(self._streams, b"0")
        self._joined = True

    def _rewind(self) -> None:
        """Let the group begin at the first entry there is: what is written is gone from there."""
        waiting = {stream for stream, _ in self._erasures}
        pipeline = self._redis.pipeline(transaction=False)
        for stream in self._streams:
            if stream not in waiting:  # else it would be handed out twice
                pipeline.xgroup_setid(stream, GROUP, "0")
        pipeline.execute()

    def _read(self, places: dict[bytes, bytes]) -> list[Entry]:
        """Entries behind the places. A command for each stream: in a cluster they lie apart."""
        pipeline = self._redis.pipeline(transaction=False)
        for stream, place in places.items():
            pipeline.xreadgroup(GROUP, CONSUMER, {stream: place}, AT_ONCE)
        replies: Sequence[Any] = pipeline.execute()
        return [
            Entry(stream, entry_id, fields)
            for reply in replies
            for stream, found in reply
            for entry_id, fields in found
        ]

    def _keep(self, entries: Sequence[Entry]) -> None:
        """Write entries, then let go of them, but for erasures, which are noted."""
        if not entries:
            return
        readings = self._reader.read(entries)
        self._files.add(readings.tables)
        if readings.refused:
            logger.warning(
                "%d journal entries could not be read: they are kept in %s",
                readings.refused,
                self._files.refused,
            )
        noted = {(entry.stream, entry.entry_id): (entry, x) for entry, x in readings.erasures}
        self._forget(entry for entry in entries if (entry.stream, entry.entry_id) not in noted)
        self._erasures |= noted

    def _erase(self) -> int:
        """Do the erasures that wait, unless somebody else works on the files; how many."""
        if not self._erasures:
            return 0
        with self._files.alone(wait=False) as alone:
            if not alone:
                return 0
            while self._catch_up():
                pass
            done = list(self._erasures.values())
            until: dict[str, int] = {}
            for _, erasure in done:
                for user in erasure.users:
                    until[user] = max(until.get(user, 0), erasure.until_ms)
            rows = self._files.erase(until)
        self._forget(entry for entry, _ in done)
        self._erasures.clear()
        logger.info("%d users erased from the journal, %d rows", len(until), rows)
        return len(done)

    def _catch_up(self) -> int:
        """Write more of what may have arrived before an erasure; how much, 0 when that is all.

        Identities of one person lie in different streams, of which others may be behind.
        """
        until_ms = max(erasure.until_ms for _, erasure in self._erasures.values())
        entries = self.take()
        self._keep(entries)
        return sum(entry.arrived_ms <= until_ms for entry in entries)

    def _forget(self, entries: Iterable[Entry]) -> None:
        """Delete entries, then acknowledge them; see above for why in this order."""
        ids: dict[bytes, list[bytes]] = {}
        for entry in entries:
            ids.setdefault(entry.stream, []).append(entry.entry_id)
        if not ids:
            return
        pipeline = self._redis.pipeline(transaction=False)
        for stream, chosen in ids.items():
            pipeline.xdel(stream, *chosen)
        for stream, chosen in ids.items():
            pipeline.xack(stream, GROUP, *chosen)
        pipeline.execute()
