"""Imagined users: for every user, one of each kind of person in each stage of the need.

What they would do is asked of the world's own ``Behaviour``; their fatigue and usual discount
follow from the contacts that the user had.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.clock import DAY, HOUR, hour_of_week
from envs.decisions import Moment
from simulators.hidden import IDLE, OPEN, Nights
from simulators.oracle.heard import Heard
from simulators.oracle.reactions import Nature, imagined
from simulators.population import Traits
from simulators.scenes import HOURS, SCENE_STEPS

Rows = NDArray[np.int64]
Chance = NDArray[np.float64]


class Imagined:
    """N users as H kinds of people in S stages each."""

    def __init__(self, nature: Nature, people: Traits, n: int) -> None:
        """All rested; ``people`` has N * H rows, user by user."""
        self._nature = nature
        self._shape = (n, len(people) // n, nature.stages)
        everybody = np.arange(len(people) * nature.stages)
        self._routines = people.routine.reshape(self._shape[:2])
        self._traits = people.take(everybody // nature.stages)
        rested = np.zeros(len(everybody), np.float32)
        self._hidden = imagined(everybody % nature.stages, rested, rested)
        self._nights = Nights(nature.preset)
        path = nature.path
        turns = path.turns.reshape(-1, SCENE_STEPS)
        self._turns = np.stack([(turns == s).mean(axis=1) for s in range(path.scenes)], axis=1)

    def fatigue(self) -> NDArray[np.float32]:
        """How tired a user of each kind would be, float32 [N, H]."""
        return self._hidden.fatigue.reshape(self._shape)[..., IDLE]

    def reference(self) -> NDArray[np.float32]:
        """The discount a user of each kind would be used to, float32 [N, H]."""
        return self._hidden.reference_discount.reshape(self._shape)[..., IDLE]

    def answering(
        self, moment: Moment, rows: Rows, actions: NDArray[np.int64], heard: Heard
    ) -> tuple[Chance, Chance]:
        """Of contacted users: chance of the answer heard, and then of a sale, both [M, H, S].

        The sale is that of a clicked contact.
        """
        scene, hour = moment.scene.take(rows), moment.local().take(rows) // HOUR % 24
        each, (_, kinds, stages) = self._each(rows), self._shape
        chances = self._nature.behaviour.funnel(
            self._traits,
            self._hidden,
            each,
            *(self._spread(part) for part in (scene, hour, actions)),
        )
        see, click, sell, opt_out, refuse = (
            getattr(chances, name).astype(np.float64).reshape(len(rows), kinds, stages)
            for name in ("see", "click", "sell", "opt_out", "refuse")
        )
        opened, clicked, opted_out, refused = (
            flags.take(rows)[:, None, None]
            for flags in (heard.opened, heard.clicked, heard.opted_out, heard.refused)
        )
        unclicked = (1 - click) * np.where(refused, refuse, 1 - refuse)
        answer = np.where(clicked, click, unclicked) * np.where(opted_out, opt_out, 1 - opt_out)
        return np.where(opened, see * answer, 1 - see), sell

    def notice(self, moment: Moment, rows: Rows) -> None:
        """Users, int64 [M], saw a contact."""
        self._hidden.prompted_at[self._each(rows)] = self._spread(moment.now.take(rows))

    def looking(self, moment: Moment, heard: Heard) -> Chance:
        """Chance of looking around, or not, as heard, [N, H, S]."""
        behaviour, everybody = self._nature.behaviour, np.arange(len(self._hidden.ripe))
        there = Moment(*(self._spread(getattr(moment, f.name)) for f in fields(Moment)))
        browsing = self._whole(behaviour.browsing(self._hidden, there))
        carting = self._whole(behaviour.carting(self._hidden, everybody))
        favouring = self._whole(behaviour.favouring(self._hidden, everybody))
        carted, favoured = heard.carted[:, None, None], heard.favourited[:, None, None]
        looked = browsing * np.where(carted, carting, 1 - carting)
        looked *= np.where(favoured, favouring, 1 - favouring)
        return np.where(heard.viewed[:, None, None], looked, 1 - browsing)

    def moving_on(self, before: Moment, after: Moment) -> Chance:
        """Chance that the need moves on from one opportunity to the next, [N, H]."""
        path, hours = self._nature.path, _hours(before, after)
        exposure = path.exposure.take(self._states(before.local(), before.scene)) * hours[:, None]
        spread = np.repeat(exposure.reshape(-1), self._shape[2]).astype(np.float32)
        return self._whole(self._nature.behaviour.ripening(self._traits, spread))[..., IDLE]

    def loyal(self) -> Chance:
        """Chance that an open need which is over was met here with no contact, [N, H]."""
        return self._whole(self._nature.behaviour.loyal(self._traits, self._hidden))[..., OPEN]

    def staying(self, before: Moment, after: Moment) -> Chance:
        """Chance not to leave for good before the next opportunity, [N, H]."""
        elapsed = self._spread((after.now - before.now) / DAY)
        leaving = self._nature.behaviour.leaving(self._traits, self._hidden, elapsed)
        return 1 - self._whole(leaving)[..., IDLE]

    def travelling(self, before: Moment, after: Moment) -> Chance:
        """Chance to go from one scene to the next, given when, [N, H]; all know the same stays."""
        arrival = before.local() - before.local() % HOUR + _hours(before, after) * HOUR
        states = self._states(arrival, before.scene)
        chance: Chance = self._turns[states, after.scene[:, None]]
        return chance

    def tire(self, rows: Rows, actions: NDArray[np.int64], seen: NDArray[np.bool_]) -> None:
        """Users were contacted, and some saw it; the arguments are [M]."""
        behaviour = self._nature.behaviour
        behaviour.tire(self._hidden, self._each(rows), self._spread(actions), self._spread(seen))

    def sleep(self, before: Moment, after: Moment) -> None:
        """The midnights between two opportunities pass."""
        local = self._spread(before.local()), self._spread(after.local())
        self._nights.pass_over(self._hidden, self._traits, *local)

    def _each(self, rows: Rows) -> Rows:
        """The imagined ones of some users, int64 [M * H * S]."""
        size = self._shape[1] * self._shape[2]
        return (rows[:, None] * size + np.arange(size)).reshape(-1)

    def _spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """A value a user as one each imagined one."""
        return np.repeat(values, self._shape[1] * self._shape[2])

    def _whole(self, chance: NDArray[np.floating]) -> Chance:
        return chance.astype(np.float64).reshape(self._shape)

    def _states(self, local: NDArray[np.int32], scene: NDArray[np.int16]) -> NDArray[np.int32]:
        """State of the scene path for each kind's routine, [N, H]."""
        hour = hour_of_week(local)[:, None] % np.int32(HOURS)
        return self._nature.path.state(self._routines, hour, scene[:, None])


def _hours(before: Moment, after: Moment) -> NDArray[np.int32]:
    """Whole hours of the clock between two opportunities."""
    since = before.now - before.local() % np.int32(HOUR)
    return (after.now - since) // np.int32(HOUR)
