"""A decision problem small enough to know its optimum: one contact a cycle, best kept for last."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

PAYS = np.array([20.0, 60.0, 100.0])
"""Of the contact, by scene."""
SILENT, CONTACT, MISTAKE, FORBIDDEN = range(4)
LENGTH = 30
STATES = [(scene, fresh) for scene in range(3) for fresh in (0, 1)]


class Rationing(VectorEnv[Any, Any, Any]):
    """Scenes 0, 1, 2 in turn, half a day apart; a user can be contacted once a cycle.

    Being greedy contacts in scene 0 for 20; the optimum waits for scene 2 and 100. A mistake costs
    50 and is always allowed; the forbidden action never is, and breaks the test when it is taken.
    """

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        config = dict(config or {})
        self.num_envs = int(config.get("num_envs", 1))
        self.metadata = {"autoreset_mode": config.get("autoreset", AutoresetMode.NEXT_STEP)}
        self.single_observation_space = gym.spaces.Dict(
            {
                "observations": gym.spaces.Box(-np.inf, np.inf, (6,), np.float32),
                "action_mask": gym.spaces.Box(0, 1, (4,), np.int8),
            }
        )
        self.single_action_space = gym.spaces.Discrete(4)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.scene = self.np_random.integers(3, size=self.num_envs)
        self.fresh = np.ones(self.num_envs, np.int64)
        self.age = self.np_random.integers(LENGTH, size=self.num_envs)
        self.ended = np.zeros(self.num_envs, np.bool_)
        return self._observe(), self._hidden()

    def step(self, actions: Any) -> Any:
        played = ~self.ended
        actions = np.where(played, actions, SILENT)
        mask = allowed(self.fresh)
        assert mask[np.arange(self.num_envs), actions].all(), "a masked action was taken"
        contacted = actions == CONTACT
        cents = np.where(contacted, PAYS[self.scene], 0.0) - 50.0 * (actions == MISTAKE)
        self.fresh = np.where(contacted, 0, self.fresh)
        self.scene = np.where(played, (self.scene + 1) % 3, 0)
        self.fresh = np.where(self.scene == 0, 1, self.fresh)
        self.age = np.where(played, self.age + 1, 0)
        self.ended = played & (self.age >= LENGTH)
        info = {
            "elapsed_days": np.where(played, 0.5, 0.0),
            "expected_cents": cents,
            "silence_cents": np.zeros(self.num_envs),
            "displaced_cents": np.zeros(self.num_envs),
            "spend_cents": 1.0 * contacted,
            "expected_spend_cents": 1.0 * contacted,
            "budget_price": np.zeros(self.num_envs),
        } | self._hidden()
        return self._observe(), cents, np.zeros(self.num_envs, np.bool_), self.ended.copy(), info

    def _hidden(self) -> Any:
        """Nothing but what is seen, and what each action pays at once."""
        prospects = np.zeros((self.num_envs, 4), np.float32)
        prospects[:, CONTACT] = PAYS[self.scene] * self.fresh
        prospects[:, MISTAKE] = -50.0
        return {"hidden": seen(self.scene, self.fresh), "prospects": prospects}

    def _observe(self) -> Any:
        return {
            "observations": seen(self.scene, self.fresh),
            "action_mask": allowed(self.fresh).astype(np.int8),
        }


def seen(scene: Any, fresh: Any) -> np.ndarray:
    """One-hot in the state, float32 [N, 6]."""
    return np.eye(6, dtype=np.float32)[np.asarray(scene) * 2 + np.asarray(fresh)]


def allowed(fresh: Any) -> np.ndarray:
    """Whether each action is allowed, bool [N, 4]."""
    fresh = np.asarray(fresh)
    mask = np.ones((len(fresh), 4), np.bool_)
    mask[:, CONTACT] = fresh == 1
    mask[:, FORBIDDEN] = False
    return mask


def every_state() -> tuple[np.ndarray, np.ndarray]:
    """Observations and masks of all six states."""
    scene, fresh = np.array(STATES).T
    return seen(scene, fresh), allowed(fresh)


OPTIMUM = [CONTACT if (scene == 2 and fresh) else SILENT for scene, fresh in STATES]
GREEDY = [CONTACT if fresh else SILENT for _, fresh in STATES]


class Spent:
    """What actions leave behind: a contact uses up the cycle, which is all that is hidden."""

    group = (0, 1, 0, 0)
    hidden = ((0.0,) * 6, (0.0,) * 6)
