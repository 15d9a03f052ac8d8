"""Stable-Baselines3's deep Q-learning on the same problem.

It knows no mask: it sees the mask as further inputs, and whatever masked action it takes is played
as silence, in training by the environment and in judging by the policy here, as it learnt it. An
end of an episode and the restart behind it are two steps of the environment; SB3 wants one: here
the restart is one more step that pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from agents.columns import MASK, OBSERVATIONS
from agents.policies.q_network import QNetworkPolicy

Layers = tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]
ENDLESS = 1_000_000_000
"""Steps of a training that a callback ends."""


class SceneVecEnv(VecEnv):
    """The vector environment as SB3 wants it: observation and mask as one array."""

    def __init__(self, env: VectorEnv[Any, Any, Any], seed: int) -> None:
        self._env = env
        self._first_seed: int | None = seed
        spaces = env.single_observation_space
        width = spaces[OBSERVATIONS].shape[0] + spaces[MASK].shape[0]  # type: ignore[index]
        seen = gym.spaces.Box(-np.inf, np.inf, (width,), np.float32)
        super().__init__(env.num_envs, seen, env.single_action_space)

    def reset(self) -> NDArray[np.float32]:
        """New users everywhere, the first time by the seed."""
        observation, _ = self._env.reset(seed=self._first_seed)
        self._first_seed = None
        return joined(observation[OBSERVATIONS], observation[MASK])

    def step_async(self, actions: NDArray[np.int64]) -> None:
        """Remember the actions."""
        self._actions = actions

    def step_wait(
        self,
    ) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[np.bool_], list[dict[str, Any]]]:
        """Play them."""
        observation, rewards, terminated, truncated, _ = self._env.step(self._actions)
        seen = joined(observation[OBSERVATIONS], observation[MASK])
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for row in np.flatnonzero(terminated | truncated):
            infos[row] = {
                "terminal_observation": seen[row],
                "TimeLimit.truncated": bool(truncated[row]),
            }
        return seen, np.asarray(rewards, np.float32), terminated | truncated, infos

    def close(self) -> None:
        """Nothing to close."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Attributes that SB3 asks for; there is no picture to render."""
        return [getattr(self._env, attr_name, None)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Never asked for."""
        raise NotImplementedError

    def env_method(self, method_name: str, *arguments: Any, **named: Any) -> list[Any]:
        """Never asked for."""
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: Any = None) -> list[bool]:  # type: ignore[type-arg]
        """No wrapper of SB3's is around it."""
        return [False] * self.num_envs


@dataclass(frozen=True, slots=True)
class PlayedAsSilence:
    """The best action of a network that sees the mask; a masked one becomes silence."""

    kind: ClassVar[str] = "played_as_silence"

    network: QNetworkPolicy
    name: str = "sb3"

    def describe(self) -> str:
        """One line for people."""
        return f"masked choices played as silence: {self.network.describe()}"

    def probabilities(
        self, observations: NDArray[np.float32], mask: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """All on one action, float64 [N, A]."""
        best = self.network.values(joined(observations, mask)).argmax(axis=1)
        rows = np.arange(len(best))
        chosen = np.where(mask[rows, best], best, 0)
        row = np.zeros(mask.shape)
        row[rows, chosen] = 1.0
        return row


class Told(BaseCallback):
    """Tells that a step was taken, and stops when told to."""

    def __init__(self, go_on: Callable[[], bool]) -> None:
        super().__init__()
        self._go_on = go_on

    def _on_step(self) -> bool:
        return self._go_on()


def sb3_dqn(
    env: VectorEnv[Any, Any, Any], seed: int, hidden: Sequence[int], epsilon: tuple[float, int],
    settings: dict[str, Any],
) -> DQN:  # fmt: skip
    """A DQN of SB3.

    Args:
        env: to learn in.
        seed: of everything.
        hidden: widths of the hidden layers.
        epsilon: exploration at last, and the steps until then.
        settings: further arguments of SB3's DQN.
    """
    last, steps = epsilon
    return DQN(
        "MlpPolicy",
        SceneVecEnv(env, seed),
        seed=seed,
        device="cpu",
        policy_kwargs={"net_arch": list(hidden)},
        exploration_final_eps=last,
        exploration_fraction=steps / ENDLESS,
        **settings,
    )


def sb3_policy(model: DQN) -> PlayedAsSilence:
    """What it has learnt."""
    layers: Layers = tuple(
        (_array(layer.weight).T, _array(layer.bias))
        for layer in model.q_net.q_net
        if isinstance(layer, torch.nn.Linear)
    )
    return PlayedAsSilence(QNetworkPolicy(layers, 0.0))


def _array(tensor: torch.Tensor) -> NDArray[np.float64]:
    return tensor.detach().cpu().numpy().astype(np.float64)


def joined(observations: NDArray[Any], mask: NDArray[Any]) -> NDArray[np.float32]:
    """What SB3's network sees: observation and mask, float32 [N, D + A]."""
    return np.concatenate([observations, mask], axis=1, dtype=np.float32)
