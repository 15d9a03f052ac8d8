"""Dynamic programming for one individual whose traits are known.

The state is (hour of the week, scene) x stage of the need x contacts today x groups of channels
lost x cell of fatigue and reference discount. A sweep walks the week backwards from its last hour;
values are those at the beginning of the hour, so that an opportunity's minute is one factor for
all. What contacts do at once, what a midnight does and what an hour does are the world's own
rules; only fatigue and reference discount are interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.clock import DAY, hour_of_week, parse_time, utc_offset_seconds
from simulators.journey import LATEST_ENTRY_S
from simulators.oracle.choices import PLANES, Choices
from simulators.oracle.criterion import GAMMA, flow
from simulators.oracle.extrapolating import Extrapolation
from simulators.oracle.grid import Grid, Nodes
from simulators.oracle.known_rules import KnownRules
from simulators.oracle.plan import Plan, Potential
from simulators.oracle.reactions import Nature, Reactions, start_stages
from simulators.oracle.week import Stay, Week
from simulators.population import Traits
from simulators.presets import Preset
from simulators.scenes import HOURS

Floats = NDArray[np.floating[Any]]
Chances = NDArray[np.float64]

TOLERANCE: Final = 1e-3
"""Largest error of the values that is left by stopping, as a share of what contacts gain."""
ROUNDING: Final = 40
"""Changes by so many units in the last place of the values are none."""
MOST_SWEEPS: Final = 200


class Planner:
    """Plans for individuals of one world."""

    def __init__(
        self,
        catalogue: Catalogue,
        preset: Preset,
        start: str,
        gamma: float = GAMMA,
        nodes: Nodes | None = None,
    ) -> None:
        """``start`` is the world's, ISO 8601; ``gamma`` discounts a day."""
        self.nature, self.gamma = Nature.of(preset, catalogue), gamma
        self.nodes = Nodes() if nodes is None else nodes
        self.rules = KnownRules(catalogue)
        now = np.asarray([parse_time(start)], np.int32)
        self._start_hour = int(hour_of_week(now + utc_offset_seconds(preset.time_zone, now))[0])
        self._weeks: dict[int, Week] = {}

    def plan(self, traits: Traits) -> Plan:
        """The optimum of one individual (one row) and the policy that attains it."""
        week = self.week(int(traits.routine[0]))
        resting = _Solver(self, week, traits, Grid.rested())
        resting.solve(TOLERANCE * TOLERANCE)
        behaviour = self.nature.behaviour
        depths = behaviour.discount if behaviour.heeds_reference() else np.zeros(1, np.float32)
        weights = behaviour.weight[1:]
        grid = Grid.of(self.nodes, traits, weights, depths, self.rules.contacts_a_day)
        choices = Choices(self.nature, self.rules, week, traits, grid)
        solver = _Solver(self, week, traits, grid, choices)
        solver.begin_from(resting.values)
        solver.solve(TOLERANCE, resting.start_value())
        return Plan(
            traits,
            grid,
            week,
            self.rules.contacts_a_day is not None,
            self._flow(solver.start_value()),
            self._flow(resting.start_value()),
            choices.open_actions(),
            solver.advantages(choices),
            self._potential(solver, traits, choices),
        )

    def _potential(self, solver: _Solver, traits: Traits, choices: Choices) -> Potential:
        """The values of a usual cell, and their means over what comes next."""
        week = self.week(int(traits.routine[0]))
        values = solver.values[..., solver.usual_cell(), None]
        ahead = _Solver(self, week, traits, Grid.rested(), choices)
        ahead.begin_from(values)
        to_come = np.stack([ahead.to_come(pair, lasting=True) for pair in range(len(week))])
        ripening = np.asarray(solver.ripening, np.float32)
        return Potential(week, values[..., 0].copy(), ripening, to_come[..., 0])

    def week(self, routine: int) -> Week:
        """The week of everybody with this routine."""
        if routine not in self._weeks:
            self._weeks[routine] = Week.of(self.nature.path, routine, self._start_hour)
        return self._weeks[routine]

    def _flow(self, value: float) -> float:
        """Cents a user-week; opportunities come some minutes after the hour that is valued."""
        seconds = np.arange(LATEST_ENTRY_S)
        return flow(value * float(np.mean(self.gamma ** (seconds / DAY))), gamma=self.gamma)


@dataclass(frozen=True, slots=True)
class _Way:
    """One stay of one pair, ready for the sweep."""

    arrival: int
    """Hour of the week."""
    row: int
    nights: int
    returning: float
    """Chance that lost channels come back."""
    moving: Floats
    """Stage to stage, times the chance of the stay and the discount, [G, G]."""
    staying: Floats
    """Chance not to leave for good, [X]."""


class _Solver:
    """The values of one individual; float32 [pairs, G, C, P, X] and what it takes to sweep them."""

    def __init__(
        self,
        planner: Planner,
        week: Week,
        traits: Traits,
        grid: Grid,
        choices: Choices | None = None,
    ) -> None:
        """Without ``choices`` nobody is contacted; such values are few, and kept in float64."""
        self._week, self._grid, self._gamma = week, grid, planner.gamma
        self._reactions = Reactions(planner.nature, grid, traits)
        limit = planner.rules.contacts_a_day if choices else None
        self._counts = 1 if limit is None else limit + 1
        self._planes = PLANES if choices else 1
        shape = (self._reactions.stages, self._counts, self._planes, grid.cells)
        kind = np.float32 if choices else np.float64
        self.values = np.zeros((len(week), *shape), kind)
        self._arriving = [np.zeros((len(turns), *shape), kind) for turns in week.turns]
        self._nights = _nights(planner, grid, traits)
        self._prepare_ways(planner.nature.preset)
        self._choices = choices
        self._start_stages = start_stages(traits)

    def begin_from(self, values: Floats) -> None:
        """Start from values for fewer planes, counts or cells."""
        self.values[:] = values
        for hour in range(HOURS):
            self._arrive(hour)

    def solve(self, tolerance: float, silence: float = 0.0) -> None:
        """Sweep until what is left to change is small beside the gain over silence.

        The values of the week's first hours are all that one sweep hands on to the next.
        """
        longest = self._week.longest()
        early = slice(0, self._week.first[longest])
        contraction = self._gamma ** ((HOURS - longest) / 24)
        extrapolation = Extrapolation()
        least = ROUNDING * float(np.finfo(self.values.dtype).eps)
        for _ in range(MOST_SWEEPS):
            before = self.values[early].copy()
            self._sweep()
            change = self.values[early] - before
            left = float(np.abs(change).max()) * contraction / (1 - contraction)
            value = self.start_value()
            if left <= max(tolerance * abs(value - silence), least * abs(value)):
                return
            self.values[early] = extrapolation.onward(before, self.values[early])
            for hour in range(longest):
                self._arrive(hour)
        raise ArithmeticError(f"values still change after {MOST_SWEEPS} sweeps")

    def start_value(self) -> float:
        """Discounted cents from the world's start, counted from the beginning of the hour."""
        total = 0.0
        for stay in self._week.start:
            arriving = self._arriving[self._start_arrival(stay)][stay.row, :, 0, 0, 0]
            discount = self._gamma ** (stay.hours / 24)
            total += stay.chance * discount * float(self._start_stages @ arriving)
        return total

    def _start_arrival(self, stay: Stay) -> int:
        return (self._week.start_hour + stay.hours) % HOURS

    def advantages(self, choices: Choices) -> NDArray[np.float16]:
        """Q of contacts less Q of silence, float16 [pairs, G, counts, planes, X, A]."""
        return np.stack(
            [
                choices.advantages(pair, self.to_come(pair), self._silence(pair))
                for pair in range(len(self._week))
            ]
        )

    def _sweep(self) -> None:
        """One week backwards."""
        for hour in reversed(range(HOURS)):
            for pair in range(self._week.first[hour], self._week.first[hour + 1]):
                to_come, silence = self.to_come(pair), self._silence(pair)
                if self._choices is None:
                    self.values[pair] = to_come + silence
                else:
                    self.values[pair] = self._choices.best(pair, to_come, silence)
            self._arrive(hour)

    def _arrive(self, hour: int) -> None:
        """Values of arriving at an hour, by the scene that is left."""
        turns = self._week.turns[hour]
        flat = self.values.reshape(len(self._week), -1)
        here = flat[self._week.first[hour] : self._week.first[hour + 1]]
        self._arriving[hour] = (turns @ here).reshape(len(turns), *self.values.shape[1:])

    def usual_cell(self) -> int:
        """A cell such as contacted users often are in: somewhat tired, used to list prices."""
        return len(self._grid.fatigue) // 3 * len(self._grid.reference)

    def to_come(self, pair: int, lasting: bool = False) -> Floats:
        """What is to come after an opportunity, given the state right after the contact.

        With ``lasting`` as if nobody left for good.
        """
        total: Floats = np.zeros_like(self.values[pair])
        for way in self._ways[pair]:
            then = self._arriving[way.arrival][way.row]
            if way.nights:
                then = np.broadcast_to(then[:, :1] @ self._nights[way.nights], total.shape)
            if self._planes > 1:
                then = then + way.returning * (then[:, :, :1] - then)
            moved = way.moving @ then.reshape(len(then), -1)
            total += moved.reshape(total.shape) * (1.0 if lasting else way.staying)
        return total

    def _silence(self, pair: int) -> Floats:
        """Mean of what is earned with no contact until the next opportunity, [G, 1, 1, X]."""
        over: Floats = self._reactions.over_cents * self.ripening[pair]
        cells: Floats = over[:, None, None, :]
        return cells

    def _prepare_ways(self, preset: Preset) -> None:
        week, reactions, kind = self._week, self._reactions, self.values.dtype
        leaving = reactions.leaving(week.longest())
        ripening = reactions.ripening(week)
        self.ripening = [
            sum(stay.chance * chance for stay, chance in zip(stays, chances, strict=True))
            for stays, chances in zip(week.stays, ripening, strict=True)
        ]
        self._ways: list[list[_Way]] = []
        for pair, stays in enumerate(week.stays):
            hour = int(week.hour[pair])
            self._ways.append(
                [
                    _Way(
                        (hour + stay.hours) % HOURS,
                        stay.row,
                        (hour % 24 + stay.hours) // 24,
                        preset.return_per_week / 7 * stay.hours / 24,
                        _discounted(reactions.moving(chance), stay, self._gamma).astype(kind),
                        1 - leaving[stay.hours],
                    )
                    for stay, chance in zip(stays, ripening[pair], strict=True)
                ]
            )


def _discounted(moving: Chances, stay: Stay, gamma: float) -> Chances:
    discounted: Chances = moving * (stay.chance * gamma ** (stay.hours / 24))
    return discounted


def _nights(planner: Planner, grid: Grid, traits: Traits) -> list[Floats]:
    """What some midnights do to the cells, as matrices for values on the right, [X, X]."""
    kept, forgiving = planner.nature.preset.reference_kept, float(traits.forgiving[0])
    return [
        grid.moved(
            grid.cell_fatigue() * forgiving**nights, grid.cell_reference() * kept**nights
        ).T.astype(np.float32)
        for nights in range(3)
    ]
