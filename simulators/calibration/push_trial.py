"""Drink Less's trial, a push at random on .6 of 30 evenings; and a contact a day, as a bank's.

The world's opportunities are entries into scenes, so an evening's decision falls to the first one
from 19:00 on, and the hour and the day that are watched begin there.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from envs.clock import DAY, HOUR
from envs.decisions import EventKind, Events, Moment
from simulators.calibration.trials import (
    Flags,
    Rows,
    Sums,
    Tally,
    Trial,
    chances,
    local_hour,
    nobody,
    walk,
)
from simulators.draws import Purpose
from simulators.world import SyntheticWorld

EVENINGS: Final = 30
EVENING_HOURS: Final = (19, 22)
SENDING: Final = 0.6
PERIODS: Final = (3.5, 21.5)
"""Days 1 to 3, 4 to 21, 22 to 30."""
CALLS: Final = 7
CALL_HOURS: Final = (10, 20)


class Evenings:
    """Counts what users opened after each evening's decision, until the next one."""

    def __init__(self, users: int) -> None:
        cells = {"open": 2, "day": 2, "later": 2, "n": 2}
        self.tally = Tally(
            users,
            cells
            | {f"tired_{name}": 4 for name in ("open", "n")}
            | {f"late_{name}": 6 for name in ("open", "n")},
        )
        self.evening = np.zeros(users, np.int64)
        """How many there have been."""
        self._at = np.zeros(users, np.int32)
        self._day = np.full(users, -1, np.int32)
        self._sent = np.zeros(users, np.int64)
        self._before = np.full(users, -1, np.int64)
        self._hour, self._later = np.zeros(users, np.bool_), np.zeros(users, np.bool_)

    def begin(self, rows: Rows, moment: Moment, sent: NDArray[np.int64]) -> None:
        """A new evening for some users: count the last one, and note whom something is sent."""
        self._count(rows[self.evening[rows] > 0])
        self._before[rows] = np.where(self.evening[rows] > 0, self._sent[rows], -1)
        self._sent[rows] = sent
        self._at[rows] = moment.now[rows]
        self._day[rows] = moment.local()[rows] // DAY
        self.evening[rows] += 1
        self._hour[rows] = self._later[rows] = False

    def due(self, moment: Moment, active: Flags) -> Rows:
        """Who has not had this evening's decision."""
        hour = local_hour(moment)
        due = active & (hour >= EVENING_HOURS[0]) & (hour < EVENING_HOURS[1])
        return np.flatnonzero(due & (moment.local() // DAY != self._day))

    def watch(self, events: Events) -> None:
        """Note who opened the app, of their own accord or by the push."""
        opened = np.isin(events.kind, (EventKind.VIEWED, EventKind.OPENED))
        rows, time = events.row[opened], events.time[opened]
        passed = time - self._at[rows]
        self._hour[rows[passed < HOUR]] = True
        self._later[rows[(passed >= HOUR) & (passed < DAY)]] = True

    def _count(self, rows: Rows) -> None:
        sent, hour, later = self._sent[rows], self._hour[rows], self._later[rows]
        for name, values in (("open", hour), ("later", later), ("day", hour | later)):
            self.tally.add(name, rows, sent, values)
        self.tally.add("n", rows, sent)
        known = np.flatnonzero(self._before[rows] >= 0)
        self._add("tired", rows[known], (2 * self._before[rows] + sent)[known])
        self._add("late", rows, 2 * np.digitize(self.evening[rows], PERIODS) + sent)

    def _add(self, name: str, rows: Rows, cell: NDArray[Any]) -> None:
        self.tally.add(f"{name}_open", rows, cell, self._hour[rows])
        self.tally.add(f"{name}_n", rows, cell)


def push_trial(trial: Trial) -> Sums:
    """Openings by arm [2], by arm and yesterday's arm [4], by arm and period [6]."""
    world, evenings = trial.world(), Evenings(trial.users)
    push = world.catalogue.action_index("general/push")
    for moment, active in walk(world, EVENINGS + 1):
        rows = evenings.due(moment, active)
        sent = (world.uniform(Purpose.ACTION)[rows] < SENDING).astype(np.int64)
        evenings.begin(rows, moment, sent)
        actions = nobody(world)
        actions[rows] = push * sent * _reachable(world, "push")[rows]
        evenings.watch(world.step(actions, active).events)
    return evenings.tally.sums


def _reachable(world: SyntheticWorld, channel: str) -> Flags:
    """Who still has the channel, bool [N]."""
    reachable: Flags = world.users.consents()[:, world.catalogue.channel_index(channel)]
    return reachable


def daily_contacts(trial: Trial) -> Sums:
    """A push a day for a week: the chance to sell of each contact in turn; cells are contacts."""
    world, tally = trial.world(), Tally(trial.users, {"sale": CALLS, "n": CALLS})
    push = world.catalogue.action_index("general/push")
    called, day = np.zeros(trial.users, np.int64), np.full(trial.users, -1, np.int32)
    for moment, active in walk(world, CALLS + 1):
        hour = local_hour(moment)
        due = active & (hour >= CALL_HOURS[0]) & (hour < CALL_HOURS[1]) & (called < CALLS)
        rows = np.flatnonzero(due & (moment.local() // DAY != day))
        funnel = chances(world, rows, "general/push")
        tally.add("sale", rows, called[rows], funnel.see * funnel.click)
        tally.add("n", rows, called[rows])
        day[rows] = moment.local()[rows] // DAY
        called[rows] += 1
        actions = nobody(world)
        actions[rows] = push
        world.step(actions, active)
    return tally.sums
