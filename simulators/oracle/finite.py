"""The exact optimum of a finite preset, checked by simulating it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.decisions import Moment, Step
from simulators.oracle.attained import Player, Silent
from simulators.oracle.judging import Setting
from simulators.oracle.tabular import FiniteModel, Solution, finite_model
from simulators.oracle.verdict import Played
from simulators.world import START, SyntheticWorld


class Following:
    """Takes the action that belongs to the state each user stands in."""

    def __init__(self, name: str, model: FiniteModel, actions: NDArray[np.int64]) -> None:
        """``actions`` by state, int64 [S]."""
        self.name, self._model, self._actions = name, model, actions

    def begin(self, world: SyntheticWorld) -> None:
        """Nothing to forget."""

    def decide(self, world: SyntheticWorld, allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
        """By the hidden state, int64 [N]."""
        return self._actions[self._model.state_of(world)]

    def learn(
        self, moment: Moment, actions: NDArray[np.int64], step: Step, world: SyntheticWorld
    ) -> None:
        """Nothing to learn."""


class Shortfall:
    """Takes luck out of what is simulated in a finite world by counting what falls short.

    A step counts as the worth of its action less that of the best one where the user stands. Summed
    up it is the value of whoever decides less the optimum (the performance difference: Kakade and
    Langford 2002), and what a deed leads to is in its worth: no luck of sales, needs or scenes is
    left, and whoever always does the best has no noise at all.
    """

    def __init__(self, model: FiniteModel, best: Solution) -> None:
        self._model, self._worth = model, model.worth(best.values) - best.values  # [A, S]

    def begin(self) -> None:
        """Nothing to forget."""

    def due(self, world: SyntheticWorld, actions: NDArray[np.int64]) -> NDArray[np.float64]:
        """What the actions are worth less the best ones, float64 [N] cents, none above 0."""
        worth: NDArray[np.float64] = self._worth[actions, self._model.state_of(world)]
        return worth

    def luck(
        self, world: SyntheticWorld, before: Moment, due: NDArray[np.float64], step: Step
    ) -> NDArray[np.float64]:
        """All that came beyond it, float64 [N] cents."""
        return step.expected_cents - due


def solve_finite(setting: Setting, progress: Callable[[float], None]) -> dict[str, Any]:
    """Values of the optimum, of the myopic policy and of silence, and what simulations attain.

    The values are exact; the simulated ones are there to be compared with them.
    """
    model = finite_model(setting.preset, setting.catalogue, START)
    best = model.best()
    actions = {
        "optimal": best.actions,
        "myopic": model.myopic(),
        "silence": np.zeros(len(model.states), np.int64),
    }
    values = {name: model.value_cents(model.values_of(chosen)) for name, chosen in actions.items()}
    progress(0.4)
    everybody = np.arange(len(setting.panel))
    players: dict[str, Player] = {
        "silence": Silent(),
        "attained": Following("attained", model, best.actions),
        "myopic": Following("myopic", model, actions["myopic"]),
    }
    simulated = {}
    for number, (name, player) in enumerate(players.items(), start=1):
        simulated[name] = setting.play(player, everybody).value_cents
        progress(0.4 + 0.2 * number)
    ones = np.ones(len(setting.panel))
    played = Played(setting.panel, values["optimal"] * ones, values["silence"] * ones, simulated)
    gap = values["optimal"] - values["silence"]
    return {
        **{f"value_{name}": value for name, value in values.items()},
        "bellman_residual": best.residual,
        "states": len(model.states),
        "actions": len(setting.catalogue.actions),
        "value_attained": asdict(played.value("attained")),
        "value_myopic_simulated": asdict(played.value("myopic")),
        "value_silence_simulated": asdict(setting.panel.figure(simulated["silence"])),
        "share_of_gap": {"myopic": {"mean": (values["myopic"] - values["silence"]) / gap}},
    }
