"""The week as a planner walks it: which hours and scenes occur together, and where they lead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from simulators.scenes import DWELL_STEPS, HOURS, ROUTINES, SCENE_STEPS, ScenePath


@dataclass(frozen=True, slots=True)
class Stay:
    """One way to spend the time after an opportunity."""

    hours: int
    """Whole hours until the next one."""
    chance: float
    row: int
    """Among the departures that arrive at that hour of the week."""


@dataclass(frozen=True, slots=True)
class Week:
    """The pairs of hour of the week and scene that occur for one routine, by rising hour."""

    hour: NDArray[np.int64]
    """int64 [pairs]"""
    scene: NDArray[np.int64]
    """int64 [pairs]"""
    number: NDArray[np.int64]
    """Pair by hour and scene, -1 where none occurs, int64 [HOURS, S]."""
    first: NDArray[np.int64]
    """The pairs of hour h are first[h] to first[h + 1], int64 [HOURS + 1]."""
    stays: tuple[tuple[Stay, ...], ...]
    """Of each pair."""
    exposure: NDArray[np.float32]
    """Share of a week's needs that falls into an hour spent there, float32 [pairs]."""
    turns: tuple[NDArray[np.float32], ...]
    """By hour of arrival, float32 [departures, pairs of that hour]: chances of the next scene."""
    start_hour: int
    """Hour of the week at which everybody is asleep at first."""
    start: tuple[Stay, ...]
    """From the sleep in which everybody starts."""

    @classmethod
    def of(cls, path: ScenePath, routine: int, start_hour: int) -> Self:
        """The week of a routine, for users who sleep at ``start_hour`` of the week at first."""
        stays = path.stays.reshape(ROUTINES, HOURS, path.scenes, DWELL_STEPS)[routine]
        turns = path.turns.reshape(ROUTINES, HOURS, path.scenes, SCENE_STEPS)[routine]
        pairs, left = _occurring(stays, turns, (start_hour, path.night))
        number = np.full((HOURS, path.scenes), -1)
        hour, scene = np.asarray(pairs).T
        number[hour, scene] = np.arange(len(pairs))
        rows = [{s: row for row, s in enumerate(sorted(at))} for at in left]
        first = np.searchsorted(hour, np.arange(HOURS + 1))

        def ways(h: int, s: int) -> tuple[Stay, ...]:
            hours, counts = np.unique(stays[h, s], return_counts=True)
            return tuple(
                Stay(int(k), float(n) / DWELL_STEPS, rows[(h + int(k)) % HOURS][s])
                for k, n in zip(hours, counts, strict=True)
            )

        exposure = path.exposure.reshape(ROUTINES, HOURS, path.scenes)[routine]
        arriving = [
            _chances(turns[h], sorted(left[h]), scene[first[h] : first[h + 1]])
            for h in range(HOURS)
        ]
        return cls(
            hour,
            scene,
            number,
            first,
            tuple(ways(h, s) for h, s in pairs),
            exposure[hour, scene],
            tuple(arriving),
            start_hour,
            ways(start_hour, path.night),
        )

    def __len__(self) -> int:
        return len(self.hour)

    def longest(self) -> int:
        """Hours of the longest stay."""
        return max(stay.hours for stays in (*self.stays, self.start) for stay in stays)

    def visits(self) -> NDArray[np.float64]:
        """Opportunities at each pair in a usual week, float64 [pairs]."""
        found = np.zeros(len(self))
        leaving = [np.zeros(len(turns)) for turns in self.turns]
        for stay in self.start:
            leaving[(self.start_hour + stay.hours) % HOURS][stay.row] += stay.chance
        for _ in range(4):  # weeks; they forget the start
            for hour, turns in enumerate(self.turns):
                pairs = slice(self.first[hour], self.first[hour + 1])
                found[pairs] = leaving[hour] @ turns
                leaving[hour] = np.zeros(len(turns))
                for pair in range(pairs.start, pairs.stop):
                    for stay in self.stays[pair]:
                        leaving[(hour + stay.hours) % HOURS][stay.row] += found[pair] * stay.chance
        return found


def _occurring(
    stays: NDArray[np.int8], turns: NDArray[np.int8], start: tuple[int, int]
) -> tuple[list[tuple[int, int]], list[set[int]]]:
    """The pairs that can be reached, sorted, and by hour the scenes that are left to arrive then.

    The start itself is no opportunity.
    """
    found: set[tuple[int, int]] = set()
    left: list[set[int]] = [set() for _ in range(HOURS)]
    waiting = [start]
    while waiting:
        hour, scene = waiting.pop()
        for stay in np.unique(stays[hour, scene]):
            then = (hour + int(stay)) % HOURS
            left[then].add(scene)
            new = {(then, int(onward)) for onward in np.unique(turns[then, scene])} - found
            found |= new
            waiting += new
    return sorted(found), left


def _chances(
    turns: NDArray[np.int8], left: list[int], scenes: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Chances of the scenes, given the scene left, float32 [left, scenes]."""
    return np.asarray(
        [[np.mean(turns[scene] == onward) for onward in scenes] for scene in left], np.float32
    ).reshape(len(left), len(scenes))
