"""Taking luck out of simulated values without moving their means.

Most of what users differ in is luck: whether a contact sold, whether a need came, which scene was
next. A plan says about how much each turn of events is worth. What a turn was worth less what it
was worth on average, given all that went before, has mean 0 whatever the policy; so it can be taken
off (a martingale control variate: Henderson and Glynn 2002). The averages are taken over the
world's own chances, so the means stay exact however rough the plan.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.clock import HOUR, hour_of_week
from envs.decisions import Moment, Step
from simulators.hidden import stage
from simulators.oracle.plan import Potential, Today, plane_of
from simulators.oracle.reactions import served
from simulators.world import SyntheticWorld

Floats = NDArray[np.float64]
GROUPS_LOST: Final = (1, 2)
"""Bit of the plane by group of channels."""


class Steadying:
    """The turns of events of the rows of a world."""

    def __init__(
        self, potentials: list[Potential], of_row: NDArray[np.int64], gamma: float
    ) -> None:
        """``of_row`` numbers the potential of each row, int64 [N]; ``gamma`` discounts a day."""
        self._number = np.stack([potential.week.number for potential in potentials])
        self._of_row = of_row
        lengths = [len(potential.week) for potential in potentials]
        self._first = np.concatenate([[0], np.cumsum(lengths)])[of_row]  # pair of each row
        self._shape = potentials[0].values.shape[1:]
        self._tables = {
            name: np.concatenate([getattr(potential, name).reshape(-1) for potential in potentials])
            for name in ("values", "to_come", "ripening")
        }
        self._gamma, self._rows = gamma, len(of_row)
        self._tired = np.zeros(self._rows, np.float32)
        self._today = Today(self._rows)

    def begin(self) -> None:
        """Nobody has been contacted yet."""
        self._today = Today(self._rows)

    def due(self, world: SyntheticWorld, actions: NDArray[np.int64]) -> Floats:
        """Before a step: what is to come on average, float64 [N] cents.

        Silence's earnings in the step, whose length is luck, and what follows these actions.
        """
        moment = world.moment()
        needs, plane = stage(world.hidden).astype(np.int64), _plane(world)
        contacts = self._today.contacts(moment) + (actions > 0)
        due = self._read("to_come", moment, needs, contacts, plane)
        rows = np.flatnonzero(actions)
        chosen, here = actions.take(rows), moment.take(rows)
        chances = world.behaviour.funnel(
            world.traits, world.hidden, rows, here.scene, here.local() // HOUR % 24, chosen
        )
        see, lose = chances.see.astype(np.float64), chances.opt_out.astype(np.float64)
        sell = chances.click.astype(np.float64) * chances.sell
        lost = plane.copy()
        lost[rows] |= np.asarray(GROUPS_LOST)[world.behaviour.group.take(chosen)]
        met = served(int(needs.max(initial=0)) + 1)[needs]

        def after(needs: NDArray[np.int64], plane: NDArray[np.int64]) -> Floats:
            return self._read("to_come", moment, needs, contacts, plane)[rows]

        kept = (1 - sell) * after(needs, plane) + sell * after(met, plane)
        gone = (1 - sell) * after(needs, lost) + sell * after(met, lost)
        due[rows] = (1 - see) * due[rows] + see * ((1 - lose) * kept + lose * gone)
        self._today.count(moment, actions > 0)
        self._tired = world.hidden.fatigue + world.behaviour.weight.take(actions)
        return due + self._silence(world)

    def _silence(self, world: SyntheticWorld) -> Floats:
        """What the step earns with no contact, on average over the ways to the next scene."""
        pair = self._first + self._pair(world.moment())
        ripening = self._tables["ripening"].take(pair)
        return world.expectations.silence(world.traits, world.hidden, ripening)

    def luck(self, world: SyntheticWorld, before: Moment, due: Floats, step: Step) -> Floats:
        """After the step: how much more came than was due, float64 [N]; all of it is luck.

        Nothing where summer time began or ended underway, or has just moved the user to an hour
        at which the week has nobody in that scene: such journeys are in no plan.
        """
        moment = world.moment()
        hours = moment.local() // HOUR - before.local() // HOUR
        contacts = self._today.contacts(moment)
        needs = stage(world.hidden).astype(np.int64)
        value = self._read("values", moment, needs, contacts, _plane(world))
        tired = replace(world.hidden, fatigue=self._tired)  # midnights have passed since
        leaving = world.behaviour.leaving(world.traits, tired, step.elapsed_days)
        value *= ~step.departed + leaving  # who stays is worth it, and leaving is luck as well
        luck = step.silence_cents + value * self._gamma ** (hours / 24) - due
        usual = (moment.utc_offset_s == before.utc_offset_s) & np.isfinite(luck)
        return np.where(usual, luck, 0.0)

    def _read(
        self,
        table: str,
        moment: Moment,
        needs: NDArray[np.int64],
        contacts: NDArray[np.int8],
        plane: NDArray[np.int64],
    ) -> Floats:
        _, counts, planes = self._shape
        pair = self._pair(moment)
        index = (self._first + pair) * self._shape[0] + needs
        index = (index * counts + np.minimum(contacts, counts - 1)) * planes + plane
        return np.where(pair >= 0, self._tables[table].take(index), np.nan).astype(np.float64)

    def _pair(self, moment: Moment) -> NDArray[np.int64]:
        """Where each row stands in its individual's week, -1 where nobody ever does, int64 [N]."""
        pair: NDArray[np.int64] = self._number[
            self._of_row, hour_of_week(moment.local()), moment.scene
        ]
        return pair


def _plane(world: SyntheticWorld) -> NDArray[np.int64]:
    return plane_of(world.hidden.withdrawn, world.catalogue, world.preset).astype(np.int64)
