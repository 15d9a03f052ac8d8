"""How experience is collected: columns of many users' steps, not lists of episode objects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.env import INPUT_ENV_SINGLE_SPACES, INPUT_ENV_SPACES
from ray.rllib.env.env_context import EnvContext
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner

from envs.errors import InputError

OBSERVATIONS, MASK = "observations", "action_mask"
NEXT_OBSERVATIONS, NEXT_MASK = "next_observations", "next_action_mask"
HIDDEN, NEXT_HIDDEN = "hidden", "next_hidden"
PROSPECTS, NEXT_PROSPECTS = "prospects", "next_prospects"
ELAPSED, USER_ROW, GREEDY = "elapsed_days", "user_row", "greedy"
NEXT_COLUMNS = (
    NEXT_OBSERVATIONS, NEXT_MASK, NEXT_HIDDEN, NEXT_PROSPECTS, Columns.TERMINATEDS,
)  # fmt: skip
"""What is known of the situation after a step."""
INFORMATION = (
    "elapsed_days", "expected_cents", "silence_cents", "displaced_cents", "expected_spend_cents",
    "spend_cents", "budget_price",
)  # fmt: skip
"""Columns of the environment's info that learners may use; absent ones are left out."""


@dataclass(frozen=True, slots=True)
class Experience:
    """Steps of many users, one row a step.

    ``columns`` has observations float32 [N, D], action_mask bool [N, A] and, where the environment
    tells them, hidden float32 [N, H] and prospects float32 [N, A], all once more as ``next_...``;
    actions int64, whether they were greedy bool, rewards float64 (cents), terminateds and
    truncateds bool, the user's row in the environment int64, and the numbers of ``INFORMATION``,
    float64 [N] each.
    """

    columns: dict[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.columns[Columns.ACTIONS])

    @classmethod
    def concatenate(cls, parts: Iterable[Experience]) -> Experience:
        """All rows, one part after the other."""
        whole = [part.columns for part in parts]
        return cls({name: np.concatenate([part[name] for part in whole]) for name in whole[0]})

    def env_steps(self) -> int:
        """Number of rows, as RLlib's evaluation counts them."""
        return len(self)

    def agent_steps(self) -> int:
        """The same: one agent."""
        return len(self)


class ColumnEnvRunner(SingleAgentEnvRunner):
    """One forward pass and one environment step a tick; all users of the runner in columns.

    State, metrics and checkpoints are those of RLlib's runner. The environment is a vector
    environment that restarts users at the step after their end (``NEXT_STEP``); the rows of
    those restarts are no decisions and are dropped.
    """

    env: Any

    def __init__(self, *, config: Any, **kwargs: Any) -> None:
        super().__init__(config=config, **kwargs)
        self._rng = np.random.default_rng(self._seed)
        self._standing: dict[str, NDArray[Any]] = {}
        self._ended = np.zeros(self.num_envs, np.bool_)
        self._returns = np.zeros(self.num_envs)
        self._lengths = np.zeros(self.num_envs, np.int64)

    def make_env(self) -> None:
        """Make the vector environment; without one (learning from a log) only spaces are known."""
        if self.config.env is None:
            self.env, self.num_envs = None, 0
            return
        size = self.config.num_envs_per_env_runner
        context = EnvContext(
            self.config.env_config, worker_index=self.worker_index, num_workers=self.num_workers
        )
        if callable(self.config.env):
            self.env = self.config.env(context | {"num_envs": size})
        else:
            mode = gym.VectorizeMode.VECTOR_ENTRY_POINT
            self.env = gym.make_vec(self.config.env, size, mode, **context)
        if self.env.metadata.get("autoreset_mode") != AutoresetMode.NEXT_STEP:
            raise InputError(f"environment {self.config.env} has to restart by NEXT_STEP")
        self.num_envs = self.env.num_envs
        self._needs_initial_reset = True

    def get_spaces(self) -> dict[str, Any]:
        """The environment's spaces, unchanged: no connector stands between."""
        if self.env is None:
            return dict(self.spaces)
        single = (self.env.single_observation_space, self.env.single_action_space)
        return {
            INPUT_ENV_SPACES: (self.env.observation_space, self.env.action_space),
            INPUT_ENV_SINGLE_SPACES: single,
            DEFAULT_MODULE_ID: single,
        }

    def _sample(
        self,
        *,
        num_timesteps: int | None = None,
        num_episodes: int | None = None,
        explore: bool,
        random_actions: bool = False,
        force_reset: bool = False,
    ) -> list[Experience]:
        """At least so many steps or ends of episodes, as a list of one Experience."""
        if force_reset or num_episodes is not None or self._needs_initial_reset:
            self._restart()
            self._needs_initial_reset = num_episodes is not None
        ticks: list[Experience] = []
        steps = episodes = 0
        while (
            steps < num_timesteps if num_timesteps is not None else episodes < (num_episodes or 0)
        ):
            actions, greedy = self._choose(explore, random_actions, steps)
            tick, ended = self._tick(actions, greedy)
            ticks.append(tick)
            steps += len(tick)
            episodes += ended
        self._log_env_steps(metric=self._metrics_num_env_steps_sampled, num_steps=steps)
        self._increase_sampled_metrics(steps, episodes)
        self.num_env_steps_sampled_lifetime += steps * (self.config.num_env_runners or 1)
        return [Experience.concatenate(ticks)]

    def sample_silence(self, num_timesteps: int) -> Experience:
        """What happens to users who are left alone: at least so many steps, from new users."""
        self._restart()
        silence, greedy = np.zeros(self.num_envs, np.int64), np.ones(self.num_envs, np.bool_)
        ticks: list[Experience] = []
        while sum(map(len, ticks)) < num_timesteps:
            ticks.append(self._tick(silence, greedy)[0])
        self._needs_initial_reset = True
        return Experience.concatenate(ticks)

    def _restart(self) -> None:
        """New users everywhere; the first time by the seed, so that a run can be repeated."""
        seed = self._seed if self._needs_initial_reset else None
        self._standing = _standing(*self.env.reset(seed=seed))
        self._ended = np.zeros(self.num_envs, np.bool_)
        self._returns[:] = 0.0
        self._lengths[:] = 0

    def _choose(
        self, explore: bool, random_actions: bool, steps: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """One action a user, int64 [N], and whether it is the best one known, bool [N]."""
        if random_actions:
            mask = self._standing[MASK]
            keys = np.where(mask, self._rng.random(mask.shape), -1.0)
            return keys.argmax(axis=1), np.zeros(self.num_envs, np.bool_)
        batch = {name: torch.from_numpy(array) for name, array in self._standing.items()}
        if explore:
            # RLlib sets the lifetime to that of all runners between iterations.
            total = self.num_env_steps_sampled_lifetime + steps * (self.config.num_env_runners or 1)
            output = self.module.forward_exploration(batch, t=total, rng=self._rng)
        else:
            output = self.module.forward_inference(batch)
        actions: NDArray[np.int64] = output[Columns.ACTIONS].numpy()
        greedy = output[GREEDY].numpy() if GREEDY in output else np.ones(len(actions), np.bool_)
        return actions, greedy

    def _tick(
        self, actions: NDArray[np.int64], greedy: NDArray[np.bool_]
    ) -> tuple[Experience, int]:
        """Play one step; the rows that were decisions, and how many episodes ended."""
        before, was_over = self._standing, self._ended
        observation, rewards, terminateds, truncateds, info = self.env.step(actions)
        self._standing = _standing(observation, info)
        self._ended = terminateds | truncateds
        columns = {
            **before,
            **{f"next_{name}": column for name, column in self._standing.items()},
            Columns.ACTIONS: actions,
            GREEDY: greedy,
            USER_ROW: np.arange(len(actions)),
            Columns.REWARDS: np.asarray(rewards, np.float64),
            Columns.TERMINATEDS: terminateds,
            Columns.TRUNCATEDS: truncateds,
            **{name: np.asarray(info[name], np.float64) for name in INFORMATION if name in info},
        }
        self._count(columns[Columns.REWARDS], was_over)
        if was_over.any():
            rows = np.flatnonzero(~was_over)
            columns = {name: array[rows] for name, array in columns.items()}
        return Experience(columns), int(self._ended.sum())

    def _count(self, rewards: NDArray[np.float64], was_over: NDArray[np.bool_]) -> None:
        """Returns and lengths of the episodes; those that end now are logged by their mean."""
        self._returns = np.where(was_over, 0.0, self._returns + rewards)
        self._lengths = np.where(was_over, 0, self._lengths + 1)
        if self._ended.any():
            length, total = self._lengths[self._ended].mean(), self._returns[self._ended].mean()
            self._log_episode_metrics(float(length), float(total), 0.0)


def _standing(
    observation: dict[str, NDArray[Any]], info: dict[str, Any]
) -> dict[str, NDArray[Any]]:
    """Where users stand: what a policy sees, its mask as booleans, and what is hidden if told."""
    standing = {
        OBSERVATIONS: np.asarray(observation[OBSERVATIONS], np.float32),
        MASK: np.asarray(observation[MASK]).astype(np.bool_),
    }
    return standing | {name: info[name] for name in (HIDDEN, PROSPECTS) if name in info}


class ReplayColumns:
    """The latest steps, in a ring of preallocated columns."""

    def __init__(self, capacity: int, together: int = 1) -> None:
        """Make no room yet.

        Args:
            capacity: rows that are kept, a multiple of ``together``.
            together: neighbours that are only drawn together; rows are added in such groups.
        """
        self._capacity, self._together = capacity, together
        self._columns: dict[str, NDArray[Any]] = {}
        self._next = 0
        self._filled = 0

    def __len__(self) -> int:
        return self._filled

    def add(self, columns: dict[str, NDArray[Any]]) -> None:
        """Append rows; the oldest give way. More rows than the ring holds: the last ones stay."""
        rows = len(next(iter(columns.values())))
        if rows > self._capacity:
            columns = {name: array[-self._capacity :] for name, array in columns.items()}
            rows = self._capacity
        if not self._columns:
            self._columns = {
                name: np.empty((self._capacity, *array.shape[1:]), array.dtype)
                for name, array in columns.items()
            }
        first = min(rows, self._capacity - self._next)
        for name, array in columns.items():
            self._columns[name][self._next : self._next + first] = array[:first]
            self._columns[name][: rows - first] = array[first:]
        self._next = (self._next + rows) % self._capacity
        self._filled = min(self._filled + rows, self._capacity)

    def sample(self, rng: np.random.Generator, size: int) -> dict[str, NDArray[Any]]:
        """Rows drawn uniformly, with replacement, neighbours one after the other."""
        groups = rng.integers(self._filled // self._together, size=size // self._together)
        rows = (groups[:, None] * self._together + np.arange(self._together)).ravel()
        return {name: column[rows] for name, column in self._columns.items()}
