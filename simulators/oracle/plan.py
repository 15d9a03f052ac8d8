"""A planner's answer for one individual: what every action is worth, wherever the user stands."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.clock import DAY, hour_of_week
from envs.decisions import Moment
from simulators.hidden import stage
from simulators.oracle.choices import BOTH_LOST
from simulators.oracle.grid import Grid
from simulators.oracle.week import Week
from simulators.population import Traits
from simulators.presets import INTERRUPTING, WAITING, Preset
from simulators.world import SyntheticWorld


@dataclass(frozen=True, slots=True)
class Standing:
    """Where N users stand as a planner sees it; arrays [N]."""

    hour: NDArray[np.int32]
    """Hour of the week, Monday 00:00 local time is 0."""
    scene: NDArray[np.int16]
    stage: NDArray[np.int8]
    """Of the need: 0 idle, 1 idle and served, 2 ripe and served, 3 + k open with category k."""
    contacts: NDArray[np.int8]
    """Since the local midnight."""
    fatigue: NDArray[np.float32]
    reference: NDArray[np.float32]
    """The discount the user is used to, fraction."""
    plane: NDArray[np.int8]
    """Bit 0: the interrupting channels are lost; bit 1: the waiting ones."""

    @classmethod
    def of(cls, world: SyntheticWorld, contacts: NDArray[np.int8]) -> Self:
        """The hidden truth about the users of a world, contacted so often since midnight."""
        moment, hidden = world.moment(), world.hidden
        return cls(
            hour_of_week(moment.local()),
            moment.scene,
            stage(hidden),
            contacts,
            hidden.fatigue,
            hidden.reference_discount,
            plane_of(hidden.withdrawn, world.catalogue, world.preset),
        )

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Some of the users."""
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))


def plane_of(lost: NDArray[np.uint16], catalogue: Catalogue, preset: Preset) -> NDArray[np.int8]:
    """The plane of users who opted out of channels (bits), int8 [N]."""
    bits = {INTERRUPTING: 0, WAITING: 0}
    for index, channel in enumerate(catalogue.channels):
        bits[preset.channels[channel.name].group] |= 1 << index
    without = [(lost & np.uint16(bits[group])) > 0 for group in (INTERRUPTING, WAITING)]
    return without[0].astype(np.int8) + 2 * without[1].astype(np.int8)


class Today:
    """Counts the contacts since each user's local midnight."""

    def __init__(self, n: int) -> None:
        self._day, self._contacts = np.full(n, -1, np.int32), np.zeros(n, np.int8)

    def contacts(self, moment: Moment) -> NDArray[np.int8]:
        """So far today, int8 [N]."""
        return np.where(self._day == moment.local() // np.int32(DAY), self._contacts, np.int8(0))

    def count(self, moment: Moment, contacted: NDArray[np.bool_]) -> None:
        """Note who was contacted at a moment."""
        self._contacts = self.contacts(moment) + contacted
        self._day = moment.local() // np.int32(DAY)


@dataclass(frozen=True, slots=True)
class Potential:
    """About what an individual is worth from an opportunity on, without fatigue and habit."""

    week: Week
    values: NDArray[np.float32]
    """Cents by pair, stage, contacts today and plane, float32 [pairs, G, C, P]."""
    ripening: NDArray[np.float32]
    """Mean chance over the stays that the need moves on, by pair, float32 [pairs]."""
    to_come: NDArray[np.float32]
    """Mean of the next opportunity's value, discounted, by what the contact left, the same."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The solution for one individual."""

    traits: Traits
    """One row."""
    grid: Grid
    week: Week
    limited: bool
    """Whether the day's contacts are limited, to as many as the table has counts."""
    value_cents: float
    """Planned value from the world's start, cents a user-week (see ``criterion``)."""
    silence_cents: float
    """The same with no contact at all; nothing is interpolated in it."""
    allowed: NDArray[np.bool_]
    """Contacts that rules and consents allow by pair and plane, bool [pairs, planes, A]."""
    table: NDArray[np.float16]
    """Worth of each action beyond silence in cents, float16 [pairs, G, counts, 2, X, A]: with both
    groups of channels open, and with the other group lost."""
    potential: Potential

    def advantages(self, at: Standing) -> NDArray[np.float32]:
        """What each action is worth beyond silence, cents, float32 [N, A].

        Silence has 0; what the known rules refuse, -inf. Users who stand where the week never
        brings anybody (an hour moved by summer time) can only be left in silence.
        """
        _, stages, counts, _, cells, actions = self.table.shape
        pair = self.week.number[at.hour, at.scene]
        free = (pair >= 0) & (at.plane < BOTH_LOST)
        if self.limited:
            free &= at.contacts < counts
        row = np.where(free, pair, 0) * stages + at.stage
        row = row * counts + np.where(free & self.limited, at.contacts, 0)
        row = (row * 2 + (at.plane > 0)) * cells
        index, weight = self.grid.corners(at.fatigue, at.reference)
        flat, part = self.table.reshape(-1, actions), weight.astype(np.float32)
        worth = np.zeros((len(row), actions), np.float32)
        for corner in range(4):
            worth += flat[row + index[:, corner]] * part[:, corner, None]
        allowed = self.allowed[np.where(free, pair, 0), np.where(free, at.plane, 0)]
        worth[~(allowed & free[:, None])] = -np.inf
        worth[:, 0] = 0.0
        return worth

    def actions(self, at: Standing) -> NDArray[np.int64]:
        """The best action; silence where no contact is worth more, int64 [N]."""
        best: NDArray[np.int64] = self.advantages(at).argmax(axis=1)
        return best
