"""Shards: users of a run that are played together, here or on any machine, into parts of a trace.

What a part holds is a function of the job and the part's users alone, whatever the batch size, the
shard it came in, or the worker that played it, and how often.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from envs.decisions import Policy
from simulators.cluster import everywhere
from simulators.content import PART_USERS, part_hash, parts_of
from simulators.make import SyntheticWorlds
from simulators.rollout import Player, Progress, stretch
from simulators.trace import packed
from simulators.value import Tally, weekly


@dataclass(frozen=True, slots=True)
class Job:
    """What is played, for any users."""

    worlds: SyntheticWorlds
    seed: int
    policy: Policy
    days: float
    budget_price: float
    signals: bool
    """Whether what an app had of the users is kept."""
    batch_size: int
    """Users side by side; the parts are the same for any."""
    kept: bool
    """Whether somebody wants the rows, or their values only."""

    def player(self, users: int) -> Player:
        """Plays so many users, or a batch of them at a time."""
        world = self.worlds(min(self.batch_size, users), self.seed)
        return Player(world, self.policy, self.days, self.budget_price, self.signals)


@dataclass(frozen=True, slots=True)
class Part:
    """What came of ``PART_USERS`` users."""

    rows: int
    hash: str
    net: Tally
    """Cents a user-week as they fell."""
    expected: Tally
    """Their conditional means given the hidden state."""
    content: bytes
    """The rows as Parquet; nothing where nobody wants them."""


def play_shard(users: NDArray[np.int64], job: Job, progress: Progress | None = None) -> list[Part]:
    """Play users, int64 [U], a multiple of ``PART_USERS`` or the last, into parts."""
    table = job.player(len(users)).play(users, progress)
    return [
        Part(
            rows=part.num_rows,
            hash=part_hash(part),
            net=Tally.of(weekly(part, "net_cents", job.days)),
            expected=Tally.of(weekly(part, "expected_cents", job.days)),
            content=packed(part) if job.kept else b"",
        )
        for part in parts_of(table)
    ]


def play_shards(
    job: Job,
    users: NDArray[np.int64],
    address: str | None = None,
    workers: int = 0,
    progress: Progress | None = None,
) -> Iterator[Part]:
    """The parts of a run in the order of its users, few of them in memory at any time.

    Args:
        job: what to play.
        users: whom to follow, int64 [U], ascending.
        address: Ray cluster to use; a Ray of our own when left out.
        workers: Ray tasks at a time; 0 without an address: all is played here.
        progress: told the share done.
    """
    shards = shards_of(users, job.batch_size, workers)
    if workers or address is not None:
        found = everywhere(partial(play_shard, job=job), shards, address, workers, progress)
        for parts in found:
            yield from parts
        return
    done = 0
    for shard in shards:
        share = len(shard) / len(users)
        yield from play_shard(shard, job, stretch(progress, done / len(users), share))
        done += len(shard)


def shards_of(users: NDArray[np.int64], batch_size: int, workers: int) -> list[NDArray[np.int64]]:
    """Users cut into shards of whole parts: enough to fill a batch, but some for every worker."""
    parts = -(-len(users) // PART_USERS)
    size = max(1, min(batch_size // PART_USERS, parts // max(1, workers))) * PART_USERS
    return [users[first : first + size] for first in range(0, len(users), size)]
