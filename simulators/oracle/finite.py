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
from simulators.oracle.tabular import FiniteModel, finite_model
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
