"""Tabular Q-learning of offers, as an RLlib algorithm."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from agents.algorithm import OfferAlgorithm
from agents.columns import (
    NEXT_MASK,
    NEXT_OBSERVATIONS,
    OBSERVATIONS,
    ColumnEnvRunner,
    Experience,
)
from agents.learning.rewards import LearningReward
from agents.learning.table_learner import (
    CELLS,
    DISCOUNT,
    NEXT_CELLS,
    REWARD,
    TableLearner,
    TableModule,
)
from agents.policies.cells import Cells
from agents.policies.table_policy import TablePolicy
from envs.catalogue import Catalogue
from envs.errors import InputError
from simulators.presets import catalogue_for


class TableLearningConfig(AlgorithmConfig):
    """Settings of tabular Q-learning; the defaults are for a minute in the preset tabular."""

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class or TableLearning)
        self.env_runner_cls = ColumnEnvRunner
        self.num_env_runners = 0
        self.num_envs_per_env_runner = 4096
        self.rollout_fragment_length = 8
        self.gamma = 0.97
        self.reward: LearningReward = "lasting"
        self.cells: Cells | None = None
        self.sweeps = 50
        self.epsilon = 0.1
        self.silence_share = 0.5
        self.floor = 0.001

    def training(
        self,
        *,
        reward: LearningReward | None = None,
        cells: Cells | None = None,
        sweeps: int | None = None,
        epsilon: float | None = None,
        silence_share: float | None = None,
        floor: float | None = None,
        **kwargs: Any,
    ) -> Self:
        """Set what is learnt and how; None leaves a setting as it is.

        Args:
            reward: see ``agents.learning.rewards``.
            cells: how what is seen is numbered; by the environment's catalogue when left out.
            sweeps: most sweeps of the memory an iteration.
            epsilon: share of the actions in training that are drawn blindly.
            silence_share: share of these that is silence.
            floor: exploration that the finished policy keeps. In the preset tabular .01 costs
                1.4 % of what the optimum gains over silence, .001 a tenth of that.
            **kwargs: RLlib's own settings.
        """
        super().training(**kwargs)
        given = dict(reward=reward, cells=cells, sweeps=sweeps, epsilon=epsilon,
                     silence_share=silence_share, floor=floor)  # fmt: skip
        for name, value in given.items():
            if value is not None:
                setattr(self, name, value)
        return self

    def validate(self) -> None:
        """Refuse what a table cannot do.

        Raises:
            InputError: several learners, or a catalogue with too much to see for a table.
        """
        super().validate()
        if self.num_learners > 1:
            raise InputError(
                f"{self.num_learners} learners: a table is learnt by one process: leave it at 0"
            )
        self.numbering()

    def numbering(self) -> Cells:
        """The cells that hold."""
        if self.cells is not None:
            return self.cells
        given = self.env_config.get("catalogue")
        if not isinstance(given, Catalogue):
            preset = self.env_config.get("preset", "default")
            given = catalogue_for(preset, None if given is None else Path(given))
        return Cells.of(given)

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """The table."""
        return RLModuleSpec(module_class=TableModule)

    def get_default_learner_class(self) -> type[TableLearner]:
        """Its learner."""
        return TableLearner

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        return super()._model_config_auto_includes | {
            "cells": self.numbering(),
            "epsilon": self.epsilon,
            "silence_share": self.silence_share,
        }


class TableLearning(OfferAlgorithm):
    """Sample columns, number the cells, remember and replay, hand the table over."""

    @classmethod
    def get_default_config(cls) -> TableLearningConfig:
        """The defaults."""
        return TableLearningConfig()

    def setup(self, config: AlgorithmConfig) -> None:
        """Build runners and learners."""
        super().setup(config)
        self._cells = self.config.numbering()

    def training_step(self) -> None:
        """One iteration."""
        for experience in self.collect():
            self.update(self._steps(experience))
        self.hand_over()

    def policy(self) -> TablePolicy:
        """What has been learnt, as a policy."""
        floor = self.config.floor
        answer: TablePolicy = self.ask_learner(
            lambda learner: learner.module[DEFAULT_MODULE_ID].unwrapped().policy(floor)
        )
        return answer

    def _steps(self, experience: Experience) -> dict[str, Any]:
        """What the learner needs of steps; a step is known by its cells alone."""
        columns = experience.columns
        lives_on = ~columns[Columns.TERMINATEDS]
        return {
            CELLS: self._cells.number(columns[OBSERVATIONS]),
            Columns.ACTIONS: np.asarray(columns[Columns.ACTIONS], np.int64),
            REWARD: self.reward_cents(experience),
            DISCOUNT: self.config.gamma ** columns["elapsed_days"] * lives_on,
            NEXT_CELLS: self._cells.number(columns[NEXT_OBSERVATIONS]),
            NEXT_MASK: columns[NEXT_MASK],
        }
