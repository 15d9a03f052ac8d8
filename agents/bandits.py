"""Linear bandits as RLlib algorithms, in a world or from a log: one posterior, any rule."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from agents.algorithm import FromLog, OfferAlgorithm
from agents.columns import OBSERVATIONS, ColumnEnvRunner
from agents.learning.linear_learner import AGE, PRIOR, REWARD, WEIGHT, LinearLearner, LinearModule
from agents.learning.log_weights import inverse_propensity_weights
from agents.learning.rewards import LearningReward
from agents.policies.exploration import RULES, Rule, RuleName

CHUNK = 50_000
"""Rows of a log that are added up at once."""


class LinearBanditConfig(FromLog):
    """Settings of the linear bandits: what is believed, and the rule of choice."""

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class or LinearBandit)
        self.env_runner_cls = ColumnEnvRunner
        self.num_env_runners = 0
        self.num_envs_per_env_runner = 1024
        self.rollout_fragment_length = 8
        self.reward: LearningReward = "uplift"
        self.ridge = 1.0
        self.noise = 500.0
        self.noise_weight = 10.0
        self.half_life = math.inf
        self.weight_limit = 0.0
        self.rule: RuleName = "thompson"
        self.spread = 1.0
        self.alpha = 1.0
        self.sharpness = 10.0
        self.floor = 0.01

    def training(
        self,
        *,
        reward: LearningReward | None = None,
        ridge: float | None = None,
        noise: float | None = None,
        noise_weight: float | None = None,
        half_life: float | None = None,
        weight_limit: float | None = None,
        rule: RuleName | None = None,
        spread: float | None = None,
        alpha: float | None = None,
        sharpness: float | None = None,
        floor: float | None = None,
        **kwargs: Any,
    ) -> Self:
        """Set what is learnt and how; None leaves a setting as it is.

        Args:
            reward: see ``agents.learning.rewards``.
            ridge: prior precision of a parameter, in units of the noise.
            noise: standard deviation of a reward that is believed at first, cents.
            noise_weight: how many decisions that belief is worth.
            half_life: decisions after which one weighs half; infinite: nothing is forgotten.
            weight_limit: largest weight of a logged decision by its propensity, see
                ``agents.learning.log_weights``; 0: all count alike, whoever took them.
            rule: see ``agents.policies.exploration``.
            spread: of Thompson sampling: factor on the posterior's standard deviations.
            alpha: of LinUCB: deviations above the mean that are hoped for.
            sharpness: of SquareCB: factor on its gamma, sqrt(n / d) / noise.
            floor: share of decisions drawn uniformly, in training and by the finished policy.
            **kwargs: RLlib's own settings.
        """
        super().training(**kwargs)
        given = dict(reward=reward, ridge=ridge, noise=noise, noise_weight=noise_weight,
                     half_life=half_life, weight_limit=weight_limit, rule=rule, spread=spread,
                     alpha=alpha, sharpness=sharpness, floor=floor)  # fmt: skip
        for name, value in given.items():
            if value is not None:
                setattr(self, name, value)
        return self

    @property
    def exploration(self) -> Rule:
        """The rule of choice with its numbers."""
        numbers: dict[RuleName, dict[str, float]] = {
            "thompson": {"spread": self.spread},
            "ucb": {"alpha": self.alpha},
            "squarecb": {"gamma": self.sharpness},
            "greedy": {},
        }
        return RULES[self.rule](floor=self.floor, **numbers[self.rule])

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """The posterior."""
        return RLModuleSpec(module_class=LinearModule)

    def get_default_learner_class(self) -> type[LinearLearner]:
        """Its learner."""
        return LinearLearner

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        settings = {name: getattr(self, name) for name in PRIOR}
        settings["rule"] = self.exploration.settings()
        return super()._model_config_auto_includes | settings


class LinearBandit(OfferAlgorithm):
    """Sample columns, add up what they say, hand the posterior over."""

    @classmethod
    def get_default_config(cls) -> LinearBanditConfig:
        """The defaults."""
        return LinearBanditConfig()

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
        propensities: NDArray[np.float64] | None = None,
    ) -> None:
        """Learn from decisions, in the order in which they were taken.

        Args:
            observations: [N, D].
            actions: taken, [N].
            rewards: [N].
            propensities: of the actions taken, [N]; used when there is a ``weight_limit``.
        """
        weights, limit = np.ones(len(actions)), self.config.weight_limit
        if propensities is not None and limit > 0:
            weights = inverse_propensity_weights(actions, propensities, limit)
        self.add_up(
            {
                OBSERVATIONS: observations,
                Columns.ACTIONS: actions,
                REWARD: rewards,
                WEIGHT: weights,
            }
        )

    def add_up(self, decisions: dict[str, NDArray[Any]]) -> None:
        """Add decisions to the posterior, some at a time."""
        for start in range(0, len(decisions[WEIGHT]), CHUNK):
            chunk = {name: rows[start : start + CHUNK] for name, rows in decisions.items()}
            chunk[AGE] = np.arange(len(chunk[WEIGHT]) - 1, -1, -1)
            self.update(_shared_out(chunk, self.config.num_learners))

    def set_contact_price(self, cents: float) -> None:
        """What every contact has to earn beyond its own costs, from now on."""
        self.learner_group.foreach_learner(
            lambda learner: learner.module[DEFAULT_MODULE_ID].unwrapped().set_contact_price(cents)
        )
        if self.env_runner_group is not None:
            self.hand_over()

    def policy(self) -> Any:
        """What has been learnt, as a policy."""
        return self.ask_learner(
            lambda learner: learner.module[DEFAULT_MODULE_ID].unwrapped().policy()
        )


def _shared_out(columns: dict[str, NDArray[Any]], learners: int) -> dict[str, NDArray[Any]]:
    """Rows of weight 0 added, so that every learner gets as many."""
    lacking = -len(columns[WEIGHT]) % max(1, learners)
    if not lacking:
        return columns
    rows = np.r_[np.arange(len(columns[WEIGHT])), np.zeros(lacking, np.int64)]
    filled = {name: array[rows] for name, array in columns.items()}
    filled[WEIGHT][-lacking:] = 0.0
    return filled
