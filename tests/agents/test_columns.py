import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from agents.columns import ColumnEnvRunner, Experience, ReplayColumns
from agents.q_learning import QLearningConfig
from envs.errors import InputError
from tests.agents.rationing import LENGTH, Rationing

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")


def make_runner(seed: int = 0, users: int = 8, **env: object) -> ColumnEnvRunner:
    config = QLearningConfig().environment(Rationing, env_config=env)
    config.env_runners(num_envs_per_env_runner=users).debugging(seed=seed)
    return ColumnEnvRunner(config=config, worker_index=0)


def played(runner: ColumnEnvRunner, **arguments: int) -> Experience:
    (experience,) = runner.sample(**arguments)
    return experience


@pytest.mark.slow
def test_every_row_is_a_decision_and_follows_from_the_row_before_it() -> None:
    columns = played(make_runner(users=1), num_timesteps=3 * LENGTH).columns
    now, later = columns["observations"].argmax(axis=1) // 2, columns["next_observations"]
    assert ((later.argmax(axis=1) // 2) == (now + 1) % 3).all()  # no row shows a restart
    assert (columns["elapsed_days"] == 0.5).all()
    assert not columns["terminateds"].any()


@pytest.mark.slow
def test_rows_of_a_restart_are_dropped() -> None:
    runner = make_runner(users=16)
    ticks = LENGTH + 1  # within which every user ends exactly once
    rows = sum(len(played(runner, num_timesteps=1)) for _ in range(ticks))
    assert rows == 16 * ticks - 16 + int(runner._ended.sum())


@pytest.mark.parametrize("how", [{"explore": True}, {"explore": False}, {"random_actions": True}])
@pytest.mark.slow
def test_no_masked_action_is_ever_taken(how: dict[str, bool]) -> None:
    columns = played(make_runner(users=32), num_timesteps=2_000, **how).columns
    rows = np.arange(len(columns["actions"]))
    assert columns["action_mask"][rows, columns["actions"]].all()


@pytest.mark.slow
def test_the_same_seed_collects_the_same_and_another_does_not() -> None:
    first, again, other = (
        played(make_runner(seed), num_timesteps=500).columns for seed in (1, 1, 2)
    )
    for name, column in first.items():
        np.testing.assert_array_equal(column, again[name])
    assert any(not np.array_equal(column, other[name]) for name, column in first.items())


def test_episodes_can_be_asked_for_and_their_returns_are_reported() -> None:
    runner = make_runner(users=4)
    experience = played(runner, num_episodes=6, random_actions=True)
    assert experience.env_steps() == experience.agent_steps() == len(experience)
    metrics = runner.get_metrics()
    assert metrics["num_episodes"].peek() >= 6
    assert np.isfinite(metrics["episode_return_mean"].peek())


def test_silence_can_be_sampled_and_then_life_goes_on_from_new_users() -> None:
    runner = make_runner()
    columns = runner.sample_silence(200).columns
    assert (columns["actions"] == 0).all()
    assert (columns["rewards"] == 0).all()
    assert len(played(runner, num_timesteps=100)) >= 100


def test_an_environment_that_restarts_at_once_is_refused() -> None:
    with pytest.raises(InputError, match="NEXT_STEP"):
        make_runner(autoreset=AutoresetMode.SAME_STEP)


def test_the_memory_keeps_the_latest_rows_whatever_the_chunks() -> None:
    rng = np.random.default_rng(0)
    ring, added = ReplayColumns(10), 0
    for size in (3, 4, 9, 25, 1, 10, 6):
        numbers = np.arange(added, added + size)
        ring.add({"number": numbers, "pair": np.stack([numbers, -numbers], axis=1)})
        added += size
        sample = ring.sample(rng, 2_000)
        kept = min(added, 10)
        assert len(ring) == kept
        assert set(sample["number"]) == set(range(added - kept, added))
        np.testing.assert_array_equal(sample["pair"][:, 1], -sample["number"])


def test_neighbours_that_belong_together_are_drawn_together():
    rng = np.random.default_rng(0)
    ring = ReplayColumns(10, together=2)
    for first in (0, 6, 12):
        ring.add({"number": np.arange(first, first + 6)})
        drawn = ring.sample(rng, 400)["number"].reshape(-1, 2)
        assert (drawn[:, 0] % 2 == 0).all() and (drawn[:, 1] == drawn[:, 0] + 1).all()
    assert set(drawn[:, 0]) == {8, 10, 12, 14, 16}
