"""All steps ever taken between cells, as sums: a memory that grows with what differs alone.

Steps with the same cell, action, next cell and next mask differ in reward and time only, and
Q-learning needs no more than the sums of these. So no step is forgotten, and replaying the memory
is replaying every step (van Seijen and Sutton, "A deeper look at planning as learning from replay",
2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from envs.errors import InputError

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]

MOST_MASKS: Final = 2**14
MOST_ACTIONS: Final = 62
"""Bits of a mask that fit a whole number."""
NAMES: Final = ("visits", "rewards", "masks", "keys", "discounts")
"""The arrays of a memory."""


@dataclass(frozen=True, slots=True)
class Steps:
    """N steps between cells."""

    cells: Numbers
    actions: Numbers
    rewards: Floats
    """What is learnt from, cents."""
    discounts: Floats
    """Gamma to the elapsed days; 0 where a life ended."""
    next_cells: Numbers
    next_masks: Flags
    """What was allowed then, bool [N, A]."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Where steps led; a situation is a cell with a mask."""

    pair: Numbers
    """Cell times A plus action, ascending, int64 [T]."""
    situation: Numbers
    """Number of the next situation, int64 [T]."""
    cell: Numbers
    """Of each situation, int64 [K]."""
    mask: Flags
    """What is allowed in each, bool [K, A]."""


class StepMemory:
    """Sums over steps; C cells, A actions, T paths."""

    def __init__(self, cells: int, actions: int) -> None:
        """Nothing is remembered.

        Raises:
            InputError: more actions than a mask has bits.
        """
        if actions > MOST_ACTIONS:
            raise InputError(f"{actions} actions, a table has {MOST_ACTIONS} at most: use q")
        self.visits: Floats = np.zeros((cells, actions))
        """How often each action was taken in each cell."""
        self.rewards: Floats = np.zeros((cells, actions))
        """Sum of what was learnt from then, cents."""
        self.masks: Numbers = np.zeros(0, np.int64)
        """Masks that occurred, bit a for action a, in the order in which they came."""
        self.keys: Numbers = np.zeros(0, np.int64)
        """Of each path, ascending: cell, action, next cell and place of the next mask as one."""
        self.discounts: Floats = np.zeros(0)
        """Of each path the sum over its steps."""

    def add(self, steps: Steps) -> None:
        """Remember steps."""
        cells, actions = self.visits.shape
        pairs = steps.cells * actions + steps.actions
        taken = np.bincount(pairs, minlength=cells * actions).astype(np.float64)
        self.visits += taken.reshape(cells, actions)
        self.rewards += np.bincount(pairs, steps.rewards, cells * actions).reshape(cells, actions)
        keys = (pairs * cells + steps.next_cells) * MOST_MASKS + self._places(steps.next_masks)
        self.keys, path = np.unique(np.concatenate([self.keys, keys]), return_inverse=True)
        sums = np.bincount(path, np.concatenate([self.discounts, steps.discounts]))
        self.discounts = sums.astype(np.float64)

    def _places(self, masks: Flags) -> Numbers:
        """The place of each mask among those that occurred; new ones are appended."""
        bits = masks @ (np.int64(1) << np.arange(masks.shape[1]))
        found, which = np.unique(bits, return_inverse=True)
        self.masks = np.concatenate([self.masks, np.setdiff1d(found, self.masks)])
        if len(self.masks) > MOST_MASKS:
            raise InputError(f"more than {MOST_MASKS:,} masks, too many for a table: use q")
        order = np.argsort(self.masks)
        places: Numbers = order[np.searchsorted(self.masks, found, sorter=order)][which]
        return places

    def paths(self) -> Paths:
        """Where the remembered steps led."""
        cells, actions = self.visits.shape
        pair, onward = np.divmod(self.keys, cells * MOST_MASKS)
        situations, situation = np.unique(onward, return_inverse=True)
        cell, place = np.divmod(situations, MOST_MASKS)
        mask = (self.masks[place][:, None] >> np.arange(actions) & 1).astype(np.bool_)
        return Paths(pair, situation, cell, mask)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that is remembered, as copies."""
        return {name: getattr(self, name).copy() for name in NAMES}

    def take_over(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Remember what ``arrays`` gave away, and nothing else."""
        for name in NAMES:
            setattr(self, name, np.array(arrays[name]))
