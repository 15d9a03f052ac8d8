"""What serves on this replica, and how it follows what is kept for all of them.

Decisions take what serves as one value; a thread of its own asks Redis once a second, loads what is
new beside the running policies, and puts another value in its place. What cannot be loaded changes
nothing and is told.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from asyncio import to_thread
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from envs.catalogue import Catalogue
from envs.decisions import Policy
from envs.errors import InputError
from serving.policies.decide import Decider
from serving.policies.lineup import Configured, Lineup
from serving.policies.parcel import Candidate, Parcel, unpack, usable
from serving.policies.registry import Kept, Registry, Replica, changed
from serving.policies.standing import Refusals, Standing, follow
from serving.settings import Settings
from serving.store.connect import GONE
from serving.store.keys import Space
from serving.words.failures import Failure

logger = logging.getLogger(__name__)

POLL_S: Final = 1.0
AGAIN_S: Final = 10.0
"""How long what was refused is left alone before it is tried again."""
TRIES: Final = 20
"""How often a configuration is written anew because the line-up changed meanwhile."""

Alter = Callable[[Lineup], Lineup]


@dataclass(frozen=True, slots=True)
class Named:
    """What the configuration names."""

    spec: str
    parcel: Parcel
    candidate: Candidate


class Policies:
    """The policies of one replica."""

    def __init__(self, catalogue: Catalogue, settings: Settings, space: Space) -> None:
        self._catalogue = catalogue
        self._below = Path(settings.policies_dir)
        self._registry = Registry(space, settings.redis_url)
        self._now = Standing(Decider(catalogue, None))
        self._named: Named | None = None
        self._configured: Configured | None = None
        """What a configuration named last, here or elsewhere."""
        self._settled = False
        """Whether the line-up knows what the configuration names."""
        self._fixed = True
        """Whether only this replica knows what serves: nobody has configured or changed it."""
        self._refusals = Refusals()
        self._ready: dict[str, Decider] = {}
        """Deciders by the hash of their policy: going back to one takes no time."""
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._answered = True
        self.told: Callable[[Policies], None] = lambda policies: None
        """Told of every change of what serves here, or is refused."""
        self.replica = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:4]}"

    # What decisions ask.

    def of(self, user: str) -> tuple[Decider, str]:
        """Who decides for a hashed user, and the arm; the same as long as the line-up is."""
        return self._now.of(user)

    @property
    def serving(self) -> Decider:
        """Who decides for most users."""
        return self._now.serving

    @property
    def shadow(self) -> Decider | None:
        """Who decides beside, to be compared."""
        return self._now.shadow

    @property
    def version(self) -> int:
        """Of the line-up that this replica follows; 0 for none."""
        return self._now.version

    def names(self) -> dict[str, str]:
        """What decisions call the policies, by what they do."""
        return self._now.names()

    @property
    def refused_policy(self) -> str | None:
        """Why this replica does not serve what it should; None when it does."""
        return self._refusals.text()

    # What is served.

    def fix(self, policy: Policy | None) -> None:
        """Let a policy decide here, whatever the line-up says, until this replica is told more."""
        decider = Decider(self._catalogue, policy)
        usable(decider)  # warms it up; what it gives is looked at again with each decision
        with self._lock:
            self._fixed, self._refusals = True, Refusals()
            self._now = Standing(decider)
            self.told(self)

    def configure(self, spec: str) -> bool:
        """Take what a configuration names: it serves when it is news, or nothing else does.

        What was promoted since the same was configured before stays. Without Redis it serves here
        alone, until Redis answers.

        Args:
            spec: folder of a bundle, or the name of a baseline.

        Returns:
            Whether it may serve; if not, ``refused_policy`` says why.
        """
        with self._lock:
            self._fixed = False
            refused = self._take(spec)
            try:
                self._catch_up()
            except GONE as error:
                logger.warning("Redis says nothing of the policies (%s)", error)
                if self._named is not None and self.version == 0:
                    self._now = Standing(self._named.candidate.decider)
            if refused is not None and self._is_kept(spec):
                logger.warning("%s is not on this machine: what Redis keeps of it serves", spec)
            elif refused is not None:
                self._refuse(refused)
            self.told(self)
            return self._refusals.configured is None

    def _take(self, spec: str) -> str | None:
        """Look into what is configured; why it is refused."""
        try:
            parcel = Parcel.pack(spec, self._catalogue)
            candidate = unpack(parcel, self._catalogue, spec, configured=True)
        except InputError as error:
            return str(error)
        self._named, self._settled = Named(spec, parcel, candidate), False
        self._ready[candidate.loaded.hash] = candidate.decider
        self._refusals = replace(self._refusals, configured=None)
        if self._now.serving.policy is None:
            self._now = replace(self._now, serving=candidate.decider)
        return None

    def _is_kept(self, spec: str) -> bool:
        """Whether a folder that is not here is what was configured last, and thus in Redis."""
        known = self._configured is not None and self._configured.spec == spec
        return known and not Path(spec).exists()

    def _refuse(self, why: str) -> None:
        if why != self._refusals.configured:
            logger.error("the configured policy is refused, %s goes on: %s", self.names(), why)
        self._refusals = replace(self._refusals, configured=why)

    # What callers change.

    def load(self, name: str, source: str, change: str, version: int | None) -> Kept:
        """Keep a policy for all replicas, under a name.

        Raises:
            Failure: it is refused, the name is in use, or the policies have changed.
            GONE: Redis does not answer; as in every change.
        """
        try:
            parcel = Parcel.pack(source, self._catalogue, self._below)
            loaded = unpack(parcel, self._catalogue, source).loaded
        except InputError as error:
            raise Failure(422, "policy_refused", str(error), "source") from None
        return self.change(lambda lineup: lineup.load(name, loaded), change, version, parcel)

    def change(
        self, alter: Alter, change: str, version: int | None, parcel: Parcel | None = None
    ) -> Kept:
        """Change the line-up for all replicas; this one follows at once.

        Args:
            alter: the change.
            change: its id; sent again, it gives what it gave before.
            version: what the caller has seen, None to change whatever there is.
            parcel: what is loaded with it.

        Raises:
            Failure: it is refused; nothing has changed.
        """
        with self._lock:
            done = self._registry.done(change)
            if done is not None:
                return done
            kept = self._registry.read()
            if version is not None and version != kept.version:
                raise changed()
            lineup = alter(kept.lineup)
            if lineup != kept.lineup or (parcel and not self._registry.holds(parcel)):
                self._require(kept.lineup, lineup)
                kept = self._registry.write(kept, lineup, change, parcel)
                logger.info("policies are at version %d: %s", kept.version, lineup.roles())
            self._fixed = False
            self._follow(kept)
            return kept

    def _require(self, before: Lineup, after: Lineup) -> None:
        """Refuse what this replica itself could not follow."""
        news = set(after.roles().values()) - set(before.roles().values())
        for name in sorted(news):
            try:
                self._decider(after, name)
            except InputError as error:
                raise Failure(422, "policy_refused", str(error), "policy") from None

    def lineup(self) -> tuple[Kept, list[Replica]]:
        """What is kept, and who follows it."""
        return self._registry.read(), self._registry.replicas()

    # What is followed.

    async def start(self) -> None:
        """Follow from now on."""
        self._stopped.clear()
        self._thread = threading.Thread(target=self._run, name="policies", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Follow no longer; what serves, serves on."""
        self._stopped.set()
        if self._thread is not None:
            await to_thread(self._thread.join)
            self._thread = None
        await to_thread(self.close)

    def close(self) -> None:
        """Tell the others that this replica ends, and give the connections back."""
        if self._answered and not self._fixed:
            with suppress(*GONE):
                self._registry.leave(self.replica)
        self._registry.close()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.poll()
            except Exception:  # whatever happens, the next second is another try
                logger.exception("the policies could not be followed")
            self._stopped.wait(POLL_S)

    def poll(self) -> None:
        """Ask once what serves, and tell that this replica is there."""
        with self._lock:
            if self._fixed:
                return
            try:
                change = self._registry.follow(
                    self.replica, self.version, self.refused_policy is not None
                )
                late = self._refusals.followed and time.monotonic() >= self._refusals.again_at
                if change != self._now.change or not self._settled or late:
                    self._catch_up()
            except GONE as error:
                if self._answered:
                    logger.warning("Redis says nothing of the policies (%s): they stay", error)
                self._answered = False
                return
            self._answered = True

    def _catch_up(self) -> None:
        """Let the line-up know what is configured, and follow it."""
        try:
            kept = self._settle(self._registry.read())
        except (InputError, Failure) as error:
            self._refuse(str(error))
            return
        if kept.version == 0:
            self._now = replace(self._now, change=kept.change)
        else:
            self._follow(kept)

    def _settle(self, kept: Kept) -> Kept:
        """Write what is configured, if that is news.

        Raises:
            Failure: there is no place for it.
        """
        named = self._named
        if named is None or (self._settled and kept.version):
            self._settled = True
            return kept
        for _ in range(TRIES):
            lineup = kept.lineup.configure(named.spec, named.candidate.loaded)
            if lineup == kept.lineup:
                break
            try:
                kept = self._registry.write(kept, lineup, uuid.uuid4().hex, named.parcel)
            except Failure:  # another replica was faster: it may have written the same
                kept = self._registry.read()
        self._settled = lineup == kept.lineup
        return kept

    def _follow(self, kept: Kept) -> None:
        """Let this replica decide as the line-up says, in one assignment."""
        before, lineup = self._now, kept.lineup
        self._configured = lineup.configured
        standing, refused = follow(before, lineup, lambda name: self._decider(lineup, name))
        version = before.version if refused else kept.version
        self._now = replace(standing, version=version, change=kept.change)
        news = kept.change != before.change or refused != self._refusals.followed
        configured = self._refusals.configured if kept.change == before.change else None
        self._refusals = Refusals(configured, refused, time.monotonic() + AGAIN_S)
        if news:
            self._tell(kept, refused)
        wanted = {*lineup.roles().values(), *lineup.past[:1]}
        hashes = {lineup.loaded[name].hash for name in wanted if name in lineup.loaded}
        self._ready = {key: one for key, one in self._ready.items() if key in hashes}

    def _tell(self, kept: Kept, refused: dict[str, str]) -> None:
        for role, why in refused.items():
            logger.error("policies of version %d: %s is refused: %s", kept.version, role, why)
        logger.info("this replica follows version %d: %s", kept.version, self.names())
        self.told(self)

    def _decider(self, lineup: Lineup, name: str) -> Decider:
        """A policy of the line-up, ready to decide.

        Raises:
            InputError: it must not serve here.
        """
        loaded = lineup.loaded.get(name)
        if loaded is None:
            raise InputError(f"{name} is not loaded: promote another policy")
        if loaded.hash not in self._ready:
            parcel = self._registry.parcel(loaded)
            self._ready[loaded.hash] = unpack(parcel, self._catalogue, name).decider
        return self._ready[loaded.hash]
