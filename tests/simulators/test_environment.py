from __future__ import annotations

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import simulators  # noqa: F401 (registers the environment)
from envs.errors import InputError
from simulators.speed.bench import RandomAllowed

NAME = "simulators:SceneLift-v0"


def make_vec(num_envs: int, **arguments: object) -> gymnasium.vector.VectorEnv:
    mode = "vector_entry_point"
    return gymnasium.make_vec(NAME, num_envs=num_envs, vectorization_mode=mode, **arguments)


def test_the_scalar_environment_passes_gymnasiums_own_check() -> None:
    env = gymnasium.make(NAME).unwrapped
    with warnings.catch_warnings():
        # features have no common bound, and the checker says that it would like one
        warnings.filterwarnings("ignore", ".*Box observation space (mini|maxi)mum value is.*")
        check_env(env, skip_render_check=True)


def test_observations_actions_and_rewards_fit_their_spaces() -> None:
    env = make_vec(7)
    observation, info = env.reset(seed=3)
    assert env.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    chooser = RandomAllowed(0, 7)
    for _ in range(30):
        assert env.observation_space.contains(observation)
        actions = chooser.actions(observation["action_mask"])
        assert env.action_space.contains(actions)
        assert observation["action_mask"][np.arange(7), actions].all()
        observation, reward, terminated, truncated, info = env.step(actions)
        assert reward.dtype == np.float64 and np.isfinite(reward).all()
        assert terminated.shape == truncated.shape == info["net_cents"].shape == (7,)


def test_the_same_seed_gives_the_same_episode() -> None:
    def rewards(seed: int) -> list[float]:
        env, chooser = make_vec(50), RandomAllowed(1, 50)
        observation, _ = env.reset(seed=seed)
        total = []
        for _ in range(40):
            observation, reward, *_ = env.step(chooser.actions(observation["action_mask"]))
            total.append(float(reward.sum()))
        return total

    assert rewards(3) == rewards(3)
    assert rewards(3) != rewards(4)


def test_a_row_of_the_vector_environment_is_the_scalar_environment() -> None:
    vector, scalar = make_vec(1, days=3.0), gymnasium.make(NAME, days=3.0)
    many, _ = vector.reset(seed=9)
    one, _ = scalar.reset(seed=9)
    for tick in range(20):
        assert np.array_equal(many["observations"][0], one["observations"])
        action = int(np.flatnonzero(one["action_mask"])[tick % one["action_mask"].sum()])
        many, reward, terminated, truncated, _ = vector.step(np.asarray([action]))
        one, paid, over, cut, _ = scalar.step(action)
        assert (float(reward[0]), bool(terminated[0]), bool(truncated[0])) == (paid, over, cut)
        if over or cut:
            break


def test_an_episode_ends_after_its_days_and_the_next_person_follows() -> None:
    env = make_vec(20, days=2.0)
    _, info = env.reset(seed=1)
    first = info["user"].copy()
    ended = np.zeros(20, np.bool_)
    for _ in range(40):
        _, reward, terminated, truncated, info = env.step(np.zeros(20, np.int64))
        fresh = ended & (info["opportunity"] == 0)
        assert np.array_equal(fresh, ended) and not reward[ended].any()
        ended = terminated | truncated
    assert (info["user"] >= first + 20).all()


def test_random_allowed_actions_are_equally_likely() -> None:
    # 20,000 draws of 4 actions: a share beyond 6 errors of .25 happens once in 1e8 runs
    mask = np.zeros((20_000, 9), np.int8)
    mask[:, [0, 3, 4, 8]] = 1
    drawn = np.bincount(RandomAllowed(5, 20_000).actions(mask), minlength=9)
    assert not drawn[[1, 2, 5, 6, 7]].any()
    assert (abs(drawn[[0, 3, 4, 8]] - 5000) < 6 * (20_000 * 0.25 * 0.75) ** 0.5).all()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [({"preset": "atlantis"}, "atlantis"), ({"start": "tomorrow"}, "tomorrow"), ({"days": 0}, "0")],
)
def test_wrong_arguments_are_refused_by_value(arguments: dict[str, object], named: str) -> None:
    with pytest.raises(InputError, match=named):
        make_vec(2, **arguments)


def test_twins_who_decide_alike_live_alike() -> None:
    env = make_vec(80, twins=True, days=3.0, budget_price=(0.0, 2.0))
    player = RandomAllowed(0, 40)
    observation, info = env.reset(seed=1)
    for _ in range(60):
        for array in (*observation.values(), *info.values()):
            np.testing.assert_array_equal(array[:40], array[40:])
        actions = player.actions(observation["action_mask"][:40])
        observation, _, _, _, info = env.step(np.tile(actions, 2))
    assert info["user"].max() >= 80 and len(set(info["user"])) == 40


@pytest.mark.slow
def test_twins_who_decide_otherwise_stay_together() -> None:
    env = make_vec(80, twins=True, days=60.0)
    env.reset(seed=1)
    left = 0
    for _ in range(400):
        actions = np.concatenate([np.zeros(40, np.int64), np.full(40, 5)])
        _, _, terminated, truncated, info = env.step(actions)
        over = terminated | truncated
        np.testing.assert_array_equal(over[:40], over[40:])
        for name in ("user", "opportunity", "elapsed_days"):
            np.testing.assert_array_equal(info[name][:40], info[name][40:])
        left += int((terminated[:40] != terminated[40:]).sum())
    assert left > 0


def test_twins_need_an_even_number() -> None:
    with pytest.raises(InputError, match="num_envs 3 has to be even"):
        make_vec(3, twins=True)
