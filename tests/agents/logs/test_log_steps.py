"""Logs read through Ray Data give what the same log gives in memory."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.logs.log_steps import LogSteps, read_steps
from agents.logs.transitions import Columns, decisions, steps, transitions
from simulators.logs.logged import Log, LogError, read_log, write_log
from simulators.logs.pieces import survey
from tests.agents.logs.test_transitions import CATALOGUE, WIDTH

pytestmark = [
    pytest.mark.slow,  # starts Ray
    pytest.mark.usefixtures("small_ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def many(users: int, each: int, seed: int) -> Log:
    rng, n = np.random.default_rng(seed), users * each
    rewards = rng.normal(size=n)
    rewards[::11] = np.nan
    return Log(
        catalogue=CATALOGUE,
        decision_ids=np.asarray([f"d{i}" for i in range(n)], object),
        user_ids=np.asarray([f"u{i % users}" for i in range(n)], object),
        times=rng.permutation(n).astype(np.int32) * 3600,
        scenes=np.zeros(n, np.int16),
        actions=rng.integers(3, size=n),
        propensities=np.full(n, 1 / 3),
        observations=rng.normal(size=(n, WIDTH)).astype(np.float32),
        mask=np.ones((n, 3), np.bool_),
        rewards=rewards,
        attributes=np.full((n, len(CATALOGUE.attributes)), np.nan),
        degraded=rng.random(n) < 0.1,
    )


def folder(path: Path, log: Log) -> Path:
    """The log in three files, in which the first rows are written again at the end."""
    later = replace(log.take(np.arange(50)), rewards=np.full(50, 7.0))
    for number, rows in enumerate(np.array_split(np.arange(len(log)), 2)):
        write_log(log.take(rows), path / f"part-{number}.parquet")
    write_log(later, path / "part-2.parquet")
    return path


def sorted_rows(columns: Columns) -> list[bytes]:
    names = sorted(columns)
    rows = zip(*(columns[name] for name in names), strict=True)
    return sorted(b"".join(np.ascontiguousarray(value).tobytes() for value in row) for row in rows)


def whole(found: LogSteps, seed: int = 0) -> Columns:
    batches = list(found.once(64, seed))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("log"), many(users=60, each=10, seed=0))


@pytest.mark.parametrize("part_rows", [200, 10_000])
def test_every_step_comes_once_a_round_however_the_log_is_read(
    written: Path, small_ray: None, part_rows: int
) -> None:
    found = read_steps(survey(written), part_rows)
    assert found.sequential
    rows = whole(found)
    expected = steps(transitions(decisions(read_log(written))), sequential=True)
    assert sorted_rows(rows) == sorted_rows(expected)
    known = transitions(decisions(read_log(written)))["rewards"]
    assert found.rows == len(known)
    assert found.reward_mean == pytest.approx(known.mean())
    assert found.reward_deviation == pytest.approx(known.std())


def test_a_seed_orders_the_rows_alike_and_another_one_differently(
    written: Path, small_ray: None
) -> None:
    first, again = (read_steps(survey(written), part_rows=300) for _ in range(2))
    one, two, three = whole(first, 1), whole(again, 1), whole(first, 2)
    np.testing.assert_array_equal(one["rewards"], two["rewards"])
    assert not np.array_equal(one["rewards"], three["rewards"])


def test_a_log_of_users_who_never_come_back_is_not_sequential(
    tmp_path: Path, small_ray: None
) -> None:
    write_log(many(users=300, each=1, seed=1), tmp_path / "log.parquet")
    found = read_steps(survey(tmp_path / "log.parquet"), part_rows=200)
    assert not found.sequential
    assert whole(found)["terminateds"].all()


def test_a_bad_row_is_named_as_it_is_in_memory(tmp_path: Path, small_ray: None) -> None:
    log = many(users=30, each=10, seed=2)
    log.propensities[7] = 1.5
    write_log(log, tmp_path / "log.parquet")
    with pytest.raises(LogError) as in_memory:
        read_log(tmp_path / "log.parquet")
    with pytest.raises(LogError) as streamed:
        read_steps(survey(tmp_path / "log.parquet"), part_rows=200)
    assert str(streamed.value) == str(in_memory.value)
    assert "row 8, column 'propensity': 1.5" in str(streamed.value)


def test_a_log_without_a_known_reward_is_refused(tmp_path: Path, small_ray: None) -> None:
    log = replace(many(users=3, each=2, seed=3), rewards=np.full(6, np.nan))
    write_log(log, tmp_path / "log.parquet")
    with pytest.raises(LogError, match="no decision with a known reward"):
        read_steps(survey(tmp_path / "log.parquet"))
