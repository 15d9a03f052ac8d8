"""Linear Thompson sampling of offers, as an RLlib algorithm, in a world or from a log."""

from __future__ import annotations

from typing import Any, Self

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from agents.algorithm import OfferAlgorithm
from agents.columns import MASK, OBSERVATIONS, ColumnEnvRunner
from agents.linear_gaussian import LinearGaussianPolicy
from agents.linear_learner import REWARD, LinearLearner, LinearModule
from agents.rewards import LearningReward

CHUNK = 50_000
"""Rows of a log that are added up at once."""


class LinearThompsonConfig(AlgorithmConfig):
    """Settings of linear Thompson sampling."""

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class or LinearThompson)
        self.env_runner_cls = ColumnEnvRunner
        self.num_env_runners = 0
        self.num_envs_per_env_runner = 1024
        self.rollout_fragment_length = 8
        self.reward: LearningReward = "uplift"
        self.ridge = 1.0
        self.noise = 500.0
        self.noise_weight = 10.0
        self.spread = 1.0
        self.floor = 0.01

    def training(
        self,
        *,
        reward: LearningReward | None = None,
        ridge: float | None = None,
        noise: float | None = None,
        noise_weight: float | None = None,
        spread: float | None = None,
        floor: float | None = None,
        **kwargs: Any,
    ) -> Self:
        """Set what is learnt and how; None leaves a setting as it is.

        Args:
            reward: see ``agents.rewards``.
            ridge: prior precision of a parameter, in units of the noise.
            noise: standard deviation of a reward that is believed at first, cents.
            noise_weight: how many decisions that belief is worth.
            spread: factor on the posterior's standard deviations.
            floor: exploration that the finished policy keeps besides.
            **kwargs: RLlib's own settings.
        """
        super().training(**kwargs)
        given = dict(reward=reward, ridge=ridge, noise=noise, noise_weight=noise_weight,
                     spread=spread, floor=floor)  # fmt: skip
        for name, value in given.items():
            if value is not None:
                setattr(self, name, value)
        return self

    def from_log(self, width: int, actions: int) -> Self:
        """Learn from a log instead of an environment.

        Args:
            width: of an observation, D.
            actions: number of actions, A.
        """
        self._is_online = False
        return self.environment(
            observation_space=gym.spaces.Dict(
                {
                    OBSERVATIONS: gym.spaces.Box(-np.inf, np.inf, (width,), np.float32),
                    MASK: gym.spaces.Box(0, 1, (actions,), np.int8),
                }
            ),
            action_space=gym.spaces.Discrete(actions),
        )

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """The posterior."""
        return RLModuleSpec(module_class=LinearModule)

    def get_default_learner_class(self) -> type[LinearLearner]:
        """Its learner."""
        return LinearLearner

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        names = ("ridge", "noise", "noise_weight", "spread")
        return super()._model_config_auto_includes | {name: getattr(self, name) for name in names}


class LinearThompson(OfferAlgorithm):
    """Sample columns, add up what they say, hand the posterior over."""

    @classmethod
    def get_default_config(cls) -> LinearThompsonConfig:
        """The defaults."""
        return LinearThompsonConfig()

    def training_step(self) -> None:
        """One iteration."""
        for experience in self.collect():
            columns = experience.columns
            self.learn(
                columns[OBSERVATIONS], columns[Columns.ACTIONS], self.reward_cents(experience)
            )
        self.hand_over()

    def learn(
        self,
        observations: NDArray[np.float32],
        actions: NDArray[np.int64],
        rewards: NDArray[np.float64],
    ) -> None:
        """Add decisions to the posterior: [N, D], [N], [N]."""
        whole: dict[str, NDArray[Any]] = {
            OBSERVATIONS: observations,
            Columns.ACTIONS: actions,
            REWARD: rewards,
        }
        for start in range(0, len(actions), CHUNK):
            self.update({name: rows[start : start + CHUNK] for name, rows in whole.items()})

    def set_contact_price(self, cents: float) -> None:
        """What every contact has to earn beyond its own costs, from now on."""
        self.learner_group.foreach_learner(
            lambda learner: learner.module[DEFAULT_MODULE_ID].unwrapped().set_contact_price(cents)
        )
        if self.env_runner_group is not None:
            self.hand_over()

    def policy(self) -> LinearGaussianPolicy:
        """What has been learnt, as a policy."""
        spread, floor = self.config.spread, self.config.floor
        answer: LinearGaussianPolicy = self.ask_learner(
            lambda learner: learner.module[DEFAULT_MODULE_ID].unwrapped().policy(spread, floor)
        )
        return answer
