"""Gymnasium's checks, and the same for the vector environment, on every preset."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

import simulators  # noqa: F401 (registers the environment)
from simulators.presets import preset_names
from simulators.speed.bench import RandomAllowed

NAME = "simulators:SceneLift-v0"
FLOATS = (
    "elapsed_days",
    "expected_cents",
    "silence_cents",
    "displaced_cents",
    "expected_spend_cents",
    "budget_price",
)
WHOLE = (
    "net_cents",
    "spend_cents",
    "margin_cents",
    "offer_cost_cents",
    "contact_cost_cents",
    "opt_out_cost_cents",
    "user",
    "opportunity",
)

every_preset = pytest.mark.parametrize("preset", preset_names())


def make_vec(num_envs: int, **arguments: object) -> VectorEnv:
    mode = "vector_entry_point"
    return gymnasium.make_vec(NAME, num_envs=num_envs, vectorization_mode=mode, **arguments)


@every_preset
def test_the_scalar_environment_passes_gymnasiums_own_check(preset: str) -> None:
    env = gymnasium.make(NAME, preset=preset).unwrapped
    with warnings.catch_warnings():
        # features have no common bound, and the checker says that it would like one
        warnings.filterwarnings("ignore", ".*Box observation space (mini|maxi)mum value is.*")
        check_env(env, skip_render_check=True)


@every_preset
def test_the_vector_environment_keeps_to_its_spaces_and_types(preset: str) -> None:
    env = make_vec(6, preset=preset, days=2.0)
    assert env.observation_space == batch_space(env.single_observation_space, 6)
    assert env.action_space == batch_space(env.single_action_space, 6)
    env.action_space.seed(0)
    observation, info = env.reset(seed=3)
    for _ in range(40):
        assert env.observation_space.contains(observation)
        assert observation["action_mask"][:, 0].all()
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert reward.dtype == np.float64 and terminated.dtype == truncated.dtype == np.bool_
        assert not (terminated & truncated).any()
        columns = [reward, terminated, truncated, *info.values()]
        assert all(column.shape == (6,) for column in columns)
        assert all(info[name].dtype == np.float64 for name in FLOATS)
        assert all(np.issubdtype(info[name].dtype, np.integer) for name in WHOLE)


@every_preset
def test_a_seed_repeats_everything_and_another_does_not(preset: str) -> None:
    def play(env: VectorEnv, seed: int | None) -> list[Any]:
        chooser = RandomAllowed(0, 8)
        observation, info = env.reset(seed=seed)
        told = [observation["observations"].tolist(), info["user"].tolist()]
        for _ in range(30):
            played = env.step(chooser.actions(observation["action_mask"]))
            observation = played[0]
            told += [played[0]["observations"].tolist(), *(p.tolist() for p in played[1:4])]
            told += [values.tolist() for _, values in sorted(played[4].items())]
        return told

    env = make_vec(8, preset=preset)
    first = play(env, 5)
    assert play(env, 5) == first  # the same environment, begun again
    assert play(make_vec(8, preset=preset), 5) == first
    assert play(env, 6) != first
    assert play(env, None) != play(env, None)  # without a seed, always new people


@every_preset
def test_a_row_that_ended_shows_its_next_person_in_the_step_after(preset: str) -> None:
    env = make_vec(5, preset=preset, days=1.0)
    assert env.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    _, info = env.reset(seed=4)
    user, opportunity, ended = info["user"], info["opportunity"], np.zeros(5, np.bool_)
    ends = 0
    for _ in range(30):
        _, reward, terminated, truncated, info = env.step(np.zeros(5, np.int64))
        assert np.array_equal(info["user"], np.where(ended, user + 5, user))
        assert np.array_equal(info["opportunity"], np.where(ended, 0, opportunity + 1))
        assert not (terminated | truncated | (reward != 0))[ended].any()
        user, opportunity, ended = info["user"], info["opportunity"], terminated | truncated
        ends += int(ended.sum())
    assert ends >= 5


@every_preset
def test_the_scalar_environment_is_a_row_of_the_vector_environment(preset: str) -> None:
    alone, together = gymnasium.make(NAME, preset=preset).unwrapped, make_vec(3, preset=preset)
    one, _ = alone.reset(seed=9)
    many, _ = together.reset(seed=9)
    chooser = RandomAllowed(2, 3)
    for _ in range(40):
        actions = chooser.actions(many["action_mask"])
        assert np.array_equal(one["observations"], many["observations"][0])
        assert np.array_equal(one["action_mask"], many["action_mask"][0])
        one, reward, terminated, _, info = alone.step(int(actions[0]))
        many, rewards, _, _, infos = together.step(actions)
        assert reward == rewards[0]
        assert all(info[name] == infos[name][0] for name in FLOATS + WHOLE)
        if terminated:
            break
