"""The steps of a log of any size, in batches: read through Ray Data where it is large."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, Protocol

import numpy as np

from agents.logs.transitions import (
    ACTIONS,
    FOLLOWED,
    REWARDS,
    USERS,
    Columns,
    decisions,
    steps,
    transitions,
)
from simulators.logs.log_columns import LogError
from simulators.logs.pieces import LogShape, Piece, read_piece

PART_ROWS: Final = 65_536
"""Decisions whose users are put in order together: users are dealt into parts of about this."""
SHUFFLED_ROWS: Final = 65_536
"""Steps among which a batch is drawn: several parts, each with many users."""
FILE_ROWS: Final = 2**32
"""More rows than a file holds: numbers of rows of one file come before those of the next."""
PART: Final = "part"


class Transitions(Protocol):
    """Transitions that can be gone through again and again."""

    def batches(self, size: int, seed: int) -> Iterator[Columns]:
        """All of them once, ``size`` or fewer at a time, in an order that the seed decides."""


class LogSteps:
    """The steps of a log, again and again, in another order each time."""

    def __init__(self, found: Transitions) -> None:
        """Count them.

        Raises:
            LogError: there is nothing to learn from.
        """
        self._found = found
        rows, total, squares, followed = 0, 0.0, 0.0, False
        for batch in found.batches(PART_ROWS, 0):
            rows += len(batch[REWARDS])
            total += float(batch[REWARDS].sum())
            squares += float(np.square(batch[REWARDS]).sum())
            followed |= bool(batch[FOLLOWED].any())
        if not rows:
            raise LogError("the log has no decision with a known reward")
        self.rows = rows
        self.sequential = followed
        """Whether anybody was decided for twice."""
        self.reward_mean = total / rows
        self.reward_deviation = float(np.sqrt(max(0.0, squares / rows - self.reward_mean**2)))

    def once(self, size: int, seed: int) -> Iterator[Columns]:
        """All steps once, in an order that the seed decides, ``size`` or fewer at a time."""
        for batch in self._found.batches(size, seed):
            known = steps(batch, self.sequential)
            if len(known[ACTIONS]):
                yield known

    def endless(self, size: int, seed: int) -> Iterator[Columns]:
        """Batches of steps without end, each time round in another order."""
        seeds = np.random.default_rng(seed)
        while True:
            yield from self.once(size, int(seeds.integers(2**31)))


def read_steps(shape: LogShape, part_rows: int = PART_ROWS) -> LogSteps:
    """The steps of a surveyed log; one that fits into a part is read here.

    Raises:
        LogError: naming file, row and column.
    """
    parts = -(-shape.rows // part_rows)
    if parts > 1:
        return LogSteps(InRay(shape.pieces, parts))
    rows = [_numbered(piece) for piece in shape.pieces]
    whole = {name: np.concatenate([part[name] for part in rows]) for name in rows[0]}
    return LogSteps(InMemory(transitions(whole)))


class InMemory:
    """Transitions of a small log."""

    def __init__(self, found: Columns) -> None:
        self._found = found

    def batches(self, size: int, seed: int) -> Iterator[Columns]:
        """All of them once, in an order drawn from the seed."""
        order = np.random.default_rng(seed).permutation(len(self._found[ACTIONS]))
        for first in range(0, len(order), size):
            rows = order[first : first + size]
            yield {name: values[rows] for name, values in self._found.items()}


class InRay:
    """Transitions of a log of any size, as a Ray dataset.

    Reading, checking and putting in order are done by Ray tasks, on as many machines as there are;
    each of them has to see the files. What they make stays in Ray's object store, which puts on
    disk what does not fit.
    """

    def __init__(self, pieces: tuple[Piece, ...], parts: int) -> None:
        """Read a log.

        Raises:
            LogError: naming file, row and column.
        """
        import ray.data
        from ray.exceptions import RayError

        with _quiet_data():
            found: Any = ray.data.from_items(list(pieces), override_num_blocks=len(pieces))
            found = found.map_batches(partial(_dealt, parts=parts), batch_size=1)
            grouped = found.groupby(PART, num_partitions=parts)
            followed = grouped.map_groups(transitions, batch_format="numpy")
            try:
                self._found = followed.materialize()
            except RayError:
                for piece in pieces:  # Ray says where its code failed: say what is wrong instead
                    read_piece(piece)
                raise

    def batches(self, size: int, seed: int) -> Iterator[Columns]:
        """All of them once: blocks in an order drawn from the seed, rows shuffled in a buffer."""
        with _quiet_data():
            shuffled = self._found.randomize_block_order(seed=seed)
            batches: Iterator[Columns] = iter(
                shuffled.iter_batches(
                    batch_size=size,
                    batch_format="numpy",
                    local_shuffle_buffer_size=max(SHUFFLED_ROWS, size),
                    local_shuffle_seed=seed,
                )
            )
        yield from batches


@contextmanager
def _quiet_data() -> Iterator[None]:
    """Ray Data without its own bars and messages, in an order that repeats.

    Users are grouped by tasks: the aggregators of the default way are actors, for which a machine
    of few cores has no room beside them (100 s for 600 rows on two cores, 6 s by tasks).
    """
    from ray.data import DataContext
    from ray.data.context import ShuffleStrategy

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    context = DataContext.get_current()
    options = context.execution_options
    before = context.enable_progress_bars, options.preserve_order, context.shuffle_strategy
    context.enable_progress_bars, options.preserve_order = False, True
    context.shuffle_strategy = ShuffleStrategy.SORT_SHUFFLE_PULL_BASED
    try:
        yield
    finally:
        context.enable_progress_bars, options.preserve_order, context.shuffle_strategy = before


def _dealt(batch: dict[str, Any], parts: int) -> Columns:
    """The decisions of a piece, each dealt to the part that its user belongs to."""
    (piece,) = batch["item"]
    rows = _numbered(piece)
    people, person = np.unique(rows[USERS], return_inverse=True)
    part = np.asarray([zlib.crc32(name.encode()) % parts for name in people.tolist()])
    return rows | {PART: part[person]}


def _numbered(piece: Piece) -> Columns:
    """The decisions of a piece, numbered among all that were ever written."""
    return decisions(read_piece(piece), piece.file * FILE_ROWS + piece.first_row)
