"""How one individual reacts in every cell of a planner's grid: the world's own chances, tabled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.clock import DAY, HOUR
from simulators.baskets import Baskets
from simulators.behaviour import Behaviour
from simulators.expectations import Expectations
from simulators.hidden import IDLE, IDLE_SERVED, OPEN, OPEN_AT_FIRST, RIPE_SERVED, Hidden
from simulators.oracle.grid import Grid
from simulators.oracle.week import Week
from simulators.population import Traits
from simulators.presets import Preset
from simulators.scenes import ScenePath

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Nature:
    """The parts of a world that a planner asks."""

    catalogue: Catalogue
    preset: Preset
    path: ScenePath
    behaviour: Behaviour
    expectations: Expectations

    @classmethod
    def of(cls, preset: Preset, catalogue: Catalogue) -> Self:
        """The parts that ``SyntheticWorld`` is made of."""
        behaviour = Behaviour(catalogue, preset)
        baskets = Baskets(catalogue, preset)
        return cls(
            catalogue,
            preset,
            ScenePath.of(catalogue, preset),
            behaviour,
            Expectations(catalogue, behaviour, baskets),
        )

    @property
    def stages(self) -> int:
        """How many stages a need has, G."""
        return OPEN + len(self.preset.categories)


def imagined(stage: NDArray[np.int64], fatigue: Floats, reference: Floats) -> Hidden:
    """The hidden state of users who stand as the arguments say, each [M]."""
    hidden = Hidden.empty(len(stage))
    hidden.ripe[:] = stage >= RIPE_SERVED
    hidden.served[:] = (stage == IDLE_SERVED) | (stage == RIPE_SERVED)
    hidden.category[:] = np.maximum(stage - OPEN, 0)
    hidden.fatigue[:] = fatigue
    hidden.reference_discount[:] = reference
    return hidden


@dataclass(frozen=True, slots=True)
class Moments:
    """What an individual does in one scene at one hour of the day."""

    see: Floats
    """A contact is seen, by channel and cell, float32 [C, X]."""
    opt_out: Floats
    """A seen contact costs the group, float32 [C, X]."""
    sale: Floats
    """A contact sells, by action and stage, float32 [A, G, X]."""


class Reactions:
    """The tables of one individual."""

    def __init__(self, nature: Nature, grid: Grid, traits: Traits) -> None:
        """``traits`` has one row."""
        self._nature, self._traits, self._grid = nature, traits, grid
        catalogue, self.stages = nature.catalogue, nature.stages
        cells, actions = grid.cells, len(catalogue.actions)
        self._self = traits.take(np.zeros(self.stages * cells, np.int64))
        self._hidden = imagined(
            np.repeat(np.arange(self.stages), cells),
            np.tile(grid.cell_fatigue(), self.stages).astype(np.float32),
            np.tile(grid.cell_reference(), self.stages).astype(np.float32),
        )
        contacts = np.arange(1, actions)
        self.send_cents = nature.expectations.send_cents.astype(np.float32)
        """By action, float32 [A]."""
        held = np.full(actions - 1, traits.consents[0], np.uint16)
        cost = nature.expectations.opt_out_cost(held, contacts)
        self.opt_out_cents = np.concatenate([[0], cost]).astype(np.float32)
        """What an opt-out costs while the group is open, by action, float32 [A]."""
        worth = nature.expectations.sale_value(
            traits.take(np.zeros(actions - 1, np.int64)), contacts
        )
        self.sale_cents = np.concatenate([[0.0], worth]).astype(np.float32)
        """What a sale earns on average, by action, float32 [A]."""
        over = nature.expectations.silence(
            self._self, self._hidden, np.ones(self.stages * cells, np.float32)
        )
        self.over_cents = over.reshape(self.stages, cells).astype(np.float32)
        """What is earned on average when the need moves on with no contact, float32 [G, X]."""

    def moments(self, hour: int, scene: int, actions: NDArray[np.int64]) -> Moments:
        """The funnel at an hour of the day in a scene; only ``actions`` have their chances."""
        stages, cells = self.stages, self._grid.cells
        catalogue = self._nature.catalogue
        rows = np.tile(np.arange(stages * cells), len(actions))
        chosen = np.repeat(actions, stages * cells)
        where = np.full(len(rows), scene, np.int16)
        hours = np.full(len(rows), hour, np.int32)
        chances = self._nature.behaviour.funnel(
            self._self, self._hidden, rows, where, hours, chosen
        )
        shape = (len(actions), stages, cells)
        sale = np.zeros((len(catalogue.actions), stages, cells), np.float32)
        sale[actions] = chances.sale().reshape(shape)
        see = np.zeros((len(catalogue.channels), cells), np.float32)
        opt_out = np.zeros_like(see)
        channel = catalogue.action_channel[actions]
        see[channel] = chances.see.reshape(shape)[:, IDLE]  # the same for all offers of a channel
        opt_out[channel] = chances.opt_out.reshape(shape)[:, IDLE]
        return Moments(see, opt_out, sale)

    def leaving(self, longest: int) -> Floats:
        """Chance to leave for good within so many hours, by cell, float32 [longest + 1, X]."""
        cells = self._grid.cells
        some = np.arange(cells)
        hidden, traits = self._hidden.take(some), self._self.take(some)
        chances = [
            self._nature.behaviour.leaving(traits, hidden, np.full(cells, hours * HOUR / DAY))
            for hours in range(longest + 1)
        ]
        return np.asarray(chances, np.float32)

    def ripening(self, week: Week) -> list[list[float]]:
        """Chance that the need moves on, of each stay of each pair."""
        exposure = np.asarray(
            [
                share * stay.hours
                for share, stays in zip(week.exposure, week.stays, strict=True)
                for stay in stays
            ],
            np.float32,
        )
        traits = self._traits.take(np.zeros(len(exposure), np.int64))
        chances = iter(self._nature.behaviour.ripening(traits, exposure).tolist())
        return [[next(chances) for _ in stays] for stays in week.stays]

    def moving(self, chance: float) -> NDArray[np.float64]:
        """Chances of the next stage, when the need moves on with a chance, float64 [G, G]."""
        matrix = np.eye(self.stages) * (1 - chance)
        matrix[IDLE, OPEN:] = chance * self._traits.category_shares[0]
        matrix[IDLE_SERVED, RIPE_SERVED] = chance
        matrix[RIPE_SERVED:, IDLE] = chance
        return matrix


def served(stages: int) -> NDArray[np.int64]:
    """The stage after a sale, by the stage before it, int64 [G]."""
    after = np.full(stages, RIPE_SERVED)
    after[[IDLE, IDLE_SERVED]] = IDLE_SERVED
    return after


def start_stages(traits: Traits) -> NDArray[np.float64]:
    """Chance of each stage at the world's start, float64 [G]; ``traits`` has one row."""
    shares = traits.category_shares[0].astype(np.float64)
    return np.concatenate([[1 - OPEN_AT_FIRST, 0.0, 0.0], OPEN_AT_FIRST * shares / shares.sum()])
