"""What is kept of the policies in Redis: the line-up, the bundles, and who follows.

Every change is one script that compares the version. It carries an id: sent again, it changes
nothing and gives what it gave the first time. All keys lie in one slot.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from envs.errors import InputError
from serving.policies.lineup import Lineup, Loaded
from serving.policies.parcel import BUNDLE, Parcel
from serving.store.connect import SyncClient, connect_sync
from serving.store.keys import Space
from serving.words.failures import Failure

FIELDS: Final = ("version", "change", "lineup")
KEPT_S: Final = 86_400
"""How long a change that is sent again is recognised."""
GONE_S: Final = 60
"""How long a replica that says nothing is still named."""

CHANGE: Final = """
local done = redis.call('HMGET', KEYS[2], 'version', 'change', 'lineup')
if done[1] then return done end
if (redis.call('HGET', KEYS[1], 'version') or '0') ~= ARGV[1] then return 0 end
local kept = {'version', ARGV[1] + 1, 'change', ARGV[2], 'lineup', ARGV[3]}
redis.call('HSET', KEYS[1], unpack(kept))
redis.call('HSET', KEYS[2], unpack(kept))
redis.call('EXPIRE', KEYS[2], ARGV[4])
local dropped = 3
if #ARGV > 4 then
  redis.call('DEL', KEYS[3])
  redis.call('HSET', KEYS[3], unpack(ARGV, 5))
  dropped = 4
end
for i = dropped, #KEYS do redis.call('DEL', KEYS[i]) end
return redis.call('HMGET', KEYS[1], 'version', 'change', 'lineup')
"""
"""KEYS line-up, this change, the bundle to write if there is one, bundles to drop. ARGV version,
id of the change, line-up, seconds to recognise the change, then names and contents of the bundle's
files. Returns 0 for a lost race, else version, change and line-up that came of it."""

FOLLOW: Final = """
local now = redis.call('TIME')[1]
redis.call('HSET', KEYS[2], ARGV[1], now .. ' ' .. ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[3])
local all = redis.call('HGETALL', KEYS[2])
for i = 1, #all, 2 do
  if string.match(all[i + 1], '^%d+') + ARGV[3] < now + 0 then
    redis.call('HDEL', KEYS[2], all[i])
  end
end
return redis.call('HGET', KEYS[1], 'change')
"""
"""KEYS line-up, replicas. ARGV replica, what it tells, seconds after which it counts as gone.
Returns the id of the latest change."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A line-up as Redis holds it; version 0 where there is none."""

    version: int
    change: str
    """Id of the change that made it."""
    lineup: Lineup


class Replica(BaseModel):
    """A replica, and what it follows."""

    replica: str
    version: int
    refused_policy: bool
    seen_s: int
    """Seconds since it last told so."""


class Registry:
    """The policies of one business in Redis. Calls wait for it: not for an event loop."""

    def __init__(self, space: Space, redis_url: str) -> None:
        self._space = space
        self._url = redis_url
        self._client: SyncClient | None = None
        self._connecting = threading.Lock()

    def _ask(self, call: Callable[[SyncClient], Any]) -> Any:
        """What Redis answers, over a client that is made with the first call."""
        with self._connecting:
            if self._client is None:  # a cluster is asked for its nodes at once
                self._client = connect_sync(self._url)
        return call(self._client)

    def close(self) -> None:
        """Give the connections back."""
        with self._connecting:
            if self._client is not None:
                self._client.close()
            self._client = None

    def read(self) -> Kept:
        """The line-up.

        Raises:
            InputError: what is kept is no line-up.
            GONE: Redis does not answer; as in every call here.
        """
        key = self._space.policies()
        return _kept(self._ask(lambda redis: redis.hmget(key, *FIELDS)))

    def done(self, change: str) -> Kept | None:
        """What came of a change, None when it was not made."""
        key = self._space.policy_change(change)
        fields = self._ask(lambda redis: redis.hmget(key, *FIELDS))
        return _kept(fields) if fields[0] is not None else None

    def write(self, kept: Kept, lineup: Lineup, change: str, parcel: Parcel | None = None) -> Kept:
        """Put a line-up in the place of the one that is kept.

        Args:
            kept: what it was made from.
            lineup: the new one.
            change: id of the change.
            parcel: what was loaded with it; its files are kept as long as it is loaded.

        Raises:
            Failure: somebody else was faster.
        """
        space = self._space
        keys = [space.policies(), space.policy_change(change)]
        files: list[Any] = []
        if parcel is not None and parcel.files:
            keys.append(space.bundle(parcel.hash))
            files = [part for pair in parcel.files.items() for part in pair]
        dropped = kept.lineup.hashes() - lineup.hashes()
        keys += [space.bundle(content) for content in sorted(dropped)]
        arguments = [kept.version, change, lineup.model_dump_json(), KEPT_S, *files]
        result = self._ask(lambda redis: redis.eval(CHANGE, len(keys), *keys, *arguments))
        if result == 0:
            raise changed()
        return _kept(result)

    def parcel(self, loaded: Loaded) -> Parcel:
        """A policy that is kept.

        Raises:
            InputError: it is gone.
        """
        if loaded.source != BUNDLE:
            return Parcel(loaded.source, {})
        key = self._space.bundle(loaded.hash)
        fields = self._ask(lambda redis: redis.hgetall(key))
        parcel = Parcel(BUNDLE, {name.decode(): content for name, content in fields.items()})
        if parcel.hash != loaded.hash:
            raise InputError(f"{loaded.policy} is no longer in Redis as it was loaded: load it")
        return parcel

    def holds(self, parcel: Parcel) -> bool:
        """Whether the files of a policy are kept; those of a baseline need not be."""
        key = self._space.bundle(parcel.hash)
        return not parcel.files or bool(self._ask(lambda redis: redis.exists(key)))

    def follow(self, replica: str, version: int, refused: bool) -> str:
        """Tell what a replica follows; the id of the latest change, empty where there is none."""
        keys = (self._space.policies(), self._space.replicas())
        arguments = (*keys, replica, f"{version} {int(refused)}", GONE_S)
        change = self._ask(lambda redis: redis.eval(FOLLOW, len(keys), *arguments))
        return "" if change is None else str(change.decode())

    def leave(self, replica: str) -> None:
        """A replica ends."""
        self._ask(lambda redis: redis.hdel(self._space.replicas(), replica))

    def replicas(self) -> list[Replica]:
        """Who follows, by name."""
        fields = self._ask(lambda redis: redis.hgetall(self._space.replicas()))
        now = int(self._ask(lambda redis: redis.time())[0]) if fields else 0
        found = []
        for name, told in sorted(fields.items()):
            seen, version, refused = (int(part) for part in told.split())
            found.append(
                Replica(
                    replica=name.decode(),
                    version=version,
                    refused_policy=bool(refused),
                    seen_s=max(0, now - seen),
                )
            )
        return [replica for replica in found if replica.seen_s <= GONE_S]


def changed() -> Failure:
    """What a caller is told who was not the first."""
    return Failure(
        409, "policies_changed", "the policies have changed meanwhile: look at them, then ask again"
    )


def _kept(fields: list[bytes | None]) -> Kept:
    version, change, lineup = fields
    if version is None or change is None or lineup is None:
        return Kept(0, "", Lineup())
    try:
        return Kept(int(version), change.decode(), Lineup.model_validate(json.loads(lineup)))
    except (ValidationError, ValueError):
        raise InputError("what Redis keeps of the policies cannot be read") from None
