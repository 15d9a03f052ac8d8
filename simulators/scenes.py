"""The scenes of a user's week: where they go next and how long they stay.

A semi-Markov process in whole local hours with an hour-of-week rhythm. It never looks at what was
offered, so two policies meet users in the same scenes at the same times. All weights are assumed;
the total is held to 60 to 70 opportunities a week.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.errors import InputError
from simulators.presets import Preset, Rhythm

HOURS: Final = 168
ROUTINES: Final = 2
"""Fixed working hours, and none."""
DWELL_STEPS: Final = 64
SCENE_STEPS: Final = 128
"""Chances are whole multiples of one over these, so that a draw is one look into a table."""
GAP_MINUTES: Final = 15
"""Least time between two opportunities; entries fall into the first 45 minutes of an hour."""

HOMES: Final = ("home_morning", "home_evening", "night")
"""Scenes that can be entered from everywhere; no user can do without them."""

# scene: rows of (from hour, to hour, weight on weekdays, weight at the weekend)
RHYTHM: Final = {
    "home_morning": ((5, 8, 10.0, 3.0), (8, 12, 1.0, 6.0)),
    "commute": ((6, 9, 8.0, 0.3), (9, 16, 0.4, 0.4), (16, 19, 7.0, 0.5)),
    "work": ((7, 18, 9.0, 0.3),),
    "lunch": ((11, 14, 4.0, 2.0),),
    "dining": ((12, 14, 0.5, 1.2), (18, 22, 1.0, 2.5)),
    "mall": ((10, 17, 0.15, 2.5), (17, 20, 0.8, 1.5)),
    "supermarket": ((8, 16, 0.3, 1.5), (16, 20, 1.5, 1.5)),
    "gym": ((6, 8, 0.4, 0.1), (9, 13, 0.1, 0.8), (17, 21, 0.9, 0.3)),
    "travel_planning": ((11, 14, 0.15, 0.3), (18, 23, 0.8, 0.6)),
    "travel": ((6, 20, 0.12, 0.6),),
    "home_evening": ((12, 17, 0.15, 3.0), (17, 23, 6.0, 5.0)),
    "night": ((22, 24, 8.0, 5.0), (0, 5, 30.0, 30.0)),
}
FLEXIBLE: Final = {
    "work": 0.12,
    "commute": 0.3,
    "home_evening": 1.8,
    "supermarket": 1.4,
    "mall": 1.8,
}
"""Multipliers of the weights for users without fixed working hours."""

STAYS: Final = {
    "home_morning": {1: 0.4, 2: 0.6},
    "commute": {1: 0.9, 2: 0.1},
    "work": {1: 0.1, 2: 0.3, 3: 0.4, 4: 0.2},
    "lunch": {1: 1.0},
    "dining": {1: 0.4, 2: 0.6},
    "mall": {1: 0.3, 2: 0.4, 3: 0.3},
    "supermarket": {1: 1.0},
    "gym": {1: 0.5, 2: 0.5},
    "travel_planning": {1: 1.0},
    "travel": {2: 0.4, 3: 0.4, 4: 0.2},
    "home_evening": {1: 0.2, 2: 0.4, 3: 0.4},
}
"""Hours in a scene; the night lasts until the user wakes."""
WAKING: Final = ({5: 0.1, 6: 0.4, 7: 0.4, 8: 0.1}, {7: 0.25, 8: 0.4, 9: 0.35})
"""Local hour of waking, on weekdays and at the weekend."""
AGAIN: Final = {"work": 0.6, "home_morning": 0.5, "home_evening": 0.8, "travel": 0.5, "night": 1.0}
"""Weight of entering the scene one is in; 0 for the others."""


@dataclass(frozen=True, slots=True)
class ScenePath:
    """The tables of the process; states are numbered (routine, hour of the week, scene)."""

    scenes: int
    stays: NDArray[np.int8]
    """Hours by draw, int8 [states * DWELL_STEPS]."""
    turns: NDArray[np.int8]
    """Next scene by draw, given the state whose hour is that of arrival, [states * SCENE_STEPS]."""
    exposure: NDArray[np.float32]
    """Share of an average week's needs that ripen in an hour of a stay begun in the state, float32
    [states]; the hour in which it began sets the pace of the whole stay."""
    opportunities_per_week: NDArray[np.float64]
    """float64 [ROUTINES]"""
    night: int
    """Scene in which everybody starts, at the first midnight."""

    @classmethod
    def of(cls, catalogue: Catalogue, preset: Preset) -> ScenePath:
        """The process over a catalogue's scenes.

        Raises:
            InputError: a scene that the world has no rhythm for, or that the preset lacks.
        """
        names = tuple(scene.name for scene in catalogue.scenes)
        for name in names:
            if name not in RHYTHM or name not in preset.scenes:
                raise InputError(
                    f"scene {name!r} has no rhythm in the synthetic world: use scenes among "
                    f"{', '.join(RHYTHM)}, or a logged world"
                )
        for name in HOMES:
            if name not in names:
                raise InputError(f"the synthetic world needs a scene {name!r}: add it")
        path = _path(names)
        intent = np.asarray([preset.scenes[name].intent for name in names])
        ripening = np.outer(np.tile(around_the_clock(preset.needs_by_hour), 7), intent)
        week = (path.occupied * ripening).sum(axis=(1, 2), keepdims=True)
        exposure = (ripening / week).reshape(-1).astype(np.float32)
        return cls(
            len(names),
            path.stays,
            path.turns,
            exposure,
            path.opportunities_per_week,
            names.index("night"),
        )

    def state(
        self, routine: NDArray[np.int8], hour: NDArray[np.int32], scene: NDArray[np.int16]
    ) -> NDArray[np.int32]:
        """Number of the state, int32 [N]."""
        return (np.multiply(routine, HOURS, dtype=np.int32) + hour) * np.int32(self.scenes) + scene

    def stay(self, state: NDArray[np.int32], draw: NDArray[np.float64]) -> NDArray[np.int8]:
        """Whole hours until the next scene, 1 or more, int8 [N]."""
        return self.stays.take(state * DWELL_STEPS + (draw * DWELL_STEPS).astype(np.int32))

    def turn(self, state: NDArray[np.int32], draw: NDArray[np.float64]) -> NDArray[np.int8]:
        """The next scene, given the state with the hour of arrival and the scene left, int8 [N]."""
        return self.turns.take(state * SCENE_STEPS + (draw * SCENE_STEPS).astype(np.int32))


def around_the_clock(rhythm: Rhythm) -> NDArray[np.float64]:
    """The factor of each hour of the day, linear between those given, float64 [24]."""
    hours = sorted(rhythm)
    factors = [rhythm[hour] for hour in hours]
    return np.interp(np.arange(24), hours, factors, period=24)


@dataclass(frozen=True, slots=True)
class _Path:
    """What depends on the names of the scenes alone; see ``ScenePath``."""

    stays: NDArray[np.int8]
    turns: NDArray[np.int8]
    occupied: NDArray[np.float64]
    """Hours spent in each state in a usual week, float64 [ROUTINES, HOURS, S]."""
    opportunities_per_week: NDArray[np.float64]


@lru_cache(maxsize=8)
def _path(names: tuple[str, ...]) -> _Path:
    """The tables for these scenes; they take a third of a second, so they are kept."""
    stays, turns = _stay_table(names), _turn_table(names)
    occupied, entered = _long_run(stays, turns, len(names))
    return _Path(stays.reshape(-1), turns.reshape(-1), occupied, entered)


def _in_steps(chances: NDArray[np.float64], steps: int) -> NDArray[np.int8]:
    """Outcome by draw: each outcome as often as its chance says, by largest remainder [steps]."""
    exact = chances / chances.sum() * steps
    counts = np.floor(exact).astype(np.int64)
    order = np.argsort(counts - exact, kind="stable")
    counts[order[: steps - counts.sum()]] += 1
    return np.repeat(np.arange(len(chances), dtype=np.int8), counts)


def _stay_table(names: tuple[str, ...]) -> NDArray[np.int8]:
    """Hours of the stay by draw, int8 [ROUTINES, HOURS, S, DWELL_STEPS]."""
    table = np.zeros((ROUTINES, HOURS, len(names), DWELL_STEPS), np.int8)
    for hour in range(HOURS):
        for scene, name in enumerate(names):
            chances = np.zeros(25)
            stays = _night(hour) if name == "night" else STAYS[name]
            for hours, chance in stays.items():
                chances[hours] = chance
            table[:, hour, scene] = _in_steps(chances, DWELL_STEPS)
    return table


def _night(hour: int) -> dict[int, float]:
    """Hours of sleep from this hour of the week until the user wakes."""
    evening = hour % 24 >= 12
    day = (hour // 24 + evening) % 7
    left = {wake + 24 * evening - hour % 24: p for wake, p in WAKING[day >= 5].items()}
    return {hours: p for hours, p in left.items() if 0 < hours <= 15} or {1: 1.0}


def _turn_table(names: tuple[str, ...]) -> NDArray[np.int8]:
    """Next scene by draw, int8 [ROUTINES, HOURS of arrival, S left, SCENE_STEPS]."""
    table = np.zeros((ROUTINES, HOURS, len(names), SCENE_STEPS), np.int8)
    for routine in range(ROUTINES):
        for hour in range(HOURS):
            weights = np.asarray([_weight(name, hour, bool(routine)) for name in names])
            for scene, name in enumerate(names):
                onward = weights.copy()
                onward[scene] *= AGAIN.get(name, 0.0)
                table[routine, hour, scene] = _in_steps(onward, SCENE_STEPS)
    return table


def _weight(name: str, hour: int, flexible: bool) -> float:
    """Weight of entering a scene at an hour of the week."""
    weekend, clock = hour // 24 >= 5, hour % 24
    weight = 0.02 if name in HOMES else 0.0  # somewhere to go from everywhere, at any hour
    for start, stop, weekday_weight, weekend_weight in RHYTHM[name]:
        if start <= clock < stop:
            weight += weekend_weight if weekend else weekday_weight
    return weight * (FLEXIBLE.get(name, 1.0) if flexible else 1.0)


def _long_run(
    stays: NDArray[np.int8], turns: NDArray[np.int8], scenes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Hours spent in each state in a usual week, [ROUTINES, HOURS, S], and entries [ROUTINES]."""
    lengths = np.arange(25)
    stay = (stays[..., None] == lengths).mean(axis=3)  # [R, H, S, hours]
    turn = (turns[..., None] == np.arange(scenes)).mean(axis=3)  # [R, H, S, S]
    entered = np.zeros((ROUTINES, 5 * HOURS + 25, scenes))
    entered[:, 0, 0] = 1.0
    for hour in range(4 * HOURS):  # four weeks forget the start
        for length in range(1, 25):
            leaving = entered[:, hour] * stay[:, hour % HOURS, :, length]
            then = hour + length
            entered[:, then] += np.einsum("rs,rst->rt", leaving, turn[:, then % HOURS])
    week = entered[:, 3 * HOURS : 4 * HOURS]
    occupied = week * (stay * lengths).sum(axis=3)
    return occupied, week.sum(axis=(1, 2))
