"""What the replays of published studies share: users, offers, and the way through their weeks.

Each trial forces its actions and returns sums by block of users, so that every figure made of them
has an interval. Where the world knows the chance of what a study counted, chances are summed
instead of draws: the same mean with less noise, and smooth in the world's numbers, as a fit needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import yaml
from numpy.typing import NDArray

from envs.catalogue import Catalogue, parse_catalogue
from envs.clock import DAY, HOUR
from envs.decisions import Moment, Step
from simulators.behaviour import Chances
from simulators.calibration.jackknife import by_group
from simulators.presets import Preset
from simulators.world import SyntheticWorld

BLOCKS: Final = 20
CATEGORY: Final = "home"
"""Stands for the women's merchandise of Hillstrom's shop."""
OFFERS: Final[tuple[dict[str, Any], ...]] = (
    {"name": "general", "kind": "content"},
    {"name": "category", "kind": "content", "category": CATEGORY},
    {"name": "off5", "kind": "discount", "discount": 0.05},
    {"name": "off20", "kind": "discount", "discount": 0.20},
    {"name": "match1", "kind": "discount", "discount": 1 / 2},
    {"name": "match2", "kind": "discount", "discount": 2 / 3},
    {"name": "match3", "kind": "discount", "discount": 3 / 4},
)

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rows = NDArray[np.int64]
Sums = dict[str, Floats]
"""By block, each float64 [BLOCKS, cells]."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Whom a study is replayed with."""

    preset: Preset
    users: int
    seed: int

    def world(self) -> SyntheticWorld:
        """The users before anything happened to them."""
        catalogue = _studied(self.preset.load_catalogue().text)
        return SyntheticWorld(self.users, self.seed, self.preset, catalogue)


@lru_cache(maxsize=8)
def _studied(text: str) -> Catalogue:
    """A business, given by its text, with the offers of the studies and no caps."""
    content = yaml.safe_load(text)
    content |= {"offers": list(OFFERS), "caps": []}
    return parse_catalogue(yaml.safe_dump(content))


class Tally:
    """Adds values up by block of users and cell."""

    def __init__(self, users: int, cells: dict[str, int]) -> None:
        self._block = np.arange(users) * BLOCKS // users
        self._cells = cells
        self.sums: Sums = {name: np.zeros((BLOCKS, width)) for name, width in cells.items()}

    def add(
        self, name: str, rows: Rows, cell: NDArray[Any] | int, values: NDArray[Any] | float = 1.0
    ) -> None:
        """Add the users' values to a cell each; rows, cell and values are [M]."""
        cells = np.broadcast_to(np.asarray(cell, np.int64), rows.shape)
        weights = np.broadcast_to(np.asarray(values, np.float64), rows.shape)
        block = self._block.take(rows)
        self.sums[name] += by_group(block, BLOCKS, cells, self._cells[name], weights)


def walk(world: SyntheticWorld, days: float) -> Iterator[tuple[Moment, Flags]]:
    """Everybody's opportunities in turn: the moment, and who is still followed, bool [N].

    The caller takes the step.
    """
    until = world.start_s + int(days * DAY)
    while (active := (world.moment().now < until) & ~world.departed).any():
        yield world.moment(), active


def chances(world: SyntheticWorld, rows: Rows, action: str) -> Chances:
    """What an action would do to some users where they stand, each float32 [M]."""
    moment = world.moment()
    actions = np.full(len(rows), world.catalogue.action_index(action))
    hour, scene = local_hour(moment).take(rows), moment.scene.take(rows)
    return world.behaviour.funnel(world.traits, world.hidden, rows, scene, hour, actions)


def local_hour(moment: Moment) -> NDArray[np.int32]:
    """Local hour of the day, int32 [N]."""
    return moment.local() // np.int32(HOUR) % np.int32(24)


def local_hours_passed(world: SyntheticWorld, moment: Moment) -> Floats:
    """Local hours since the first Monday began, float64 [N]."""
    hours: Floats = (moment.local() - world.start_s) / HOUR
    return hours


def nobody(world: SyntheticWorld) -> Rows:
    """Silence for everybody, int64 [N]."""
    return np.zeros(len(world.departed), np.int64)


def purchase_chance(world: SyntheticWorld, step: Step, active: Flags) -> Floats:
    """Chance that a user bought unprompted in a silent step, float64 [N]."""
    margin = world.baskets.mean_margin(world.traits.basket_cents)
    chance: Floats = np.where(active, step.silence_cents / margin, 0.0)
    return chance
