"""The environment with the signal that ours learns from as its reward, for learners of others.

Ours takes its learning reward from what the environment says beside the paid reward; others only
know the paid one. So that all learn from the same numbers, they get them as the reward.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.vector import VectorWrapper
from ray.rllib.core.columns import Columns

from agents.columns import INFORMATION
from agents.learning.rewards import LearningReward, learning_reward
from simulators.make import offer_vector_env

PROBE_STEPS = 50


class LearntSignal(VectorWrapper):
    """Pays the learning reward, less the price of a contact, in the learner's scale.

    Args:
        context: ``num_envs``, ``preset`` and ``days`` of the environment; ``reward``, ``price`` (of
            a contact, cents) and ``scale`` of the signal. RLlib makes environments from one.
    """

    def __init__(self, context: Mapping[str, Any]) -> None:
        super().__init__(
            offer_vector_env(context["num_envs"], context["preset"], days=context["days"])
        )
        self._reward: LearningReward = context["reward"]
        self._price = float(context["price"])
        self._scale = float(context["scale"])
        self._ended = np.zeros(self.num_envs, np.bool_)

    def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        """New users everywhere."""
        self._ended = np.zeros(self.num_envs, np.bool_)
        return super().reset(**arguments)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """A step, with the learning reward; rows that only restart earn nothing."""
        observation, paid, terminated, truncated, info = self.env.step(actions)
        columns = {Columns.REWARDS: np.asarray(paid, np.float64)} | {
            name: np.asarray(info[name], np.float64) for name in INFORMATION if name in info
        }
        cents = learning_reward(columns, self._reward)
        cents = np.where(self._ended, 0.0, cents - self._price * (np.asarray(actions) > 0))
        self._ended = terminated | truncated
        return observation, cents * self._scale, terminated, truncated, info


def days_a_step(preset: str, days: float, seed: int) -> float:
    """Mean time between two decisions, in days: stock learners discount by the step."""
    env = offer_vector_env(100, preset, days=days)
    env.reset(seed=seed)
    silence = np.zeros(100, np.int64)
    elapsed = [env.step(silence)[4]["elapsed_days"] for _ in range(PROBE_STEPS)]
    return float(np.mean(elapsed))
