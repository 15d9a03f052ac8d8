from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.baselines import make_baseline
from envs.catalogue import load_catalogue
from envs.errors import InputError
from simulators.rollout import rollout
from simulators.trace import Trace
from simulators.value import (
    Estimate,
    Tally,
    paired_difference,
    per_user_week,
    value_per_user_week,
)
from simulators.world import SyntheticWorld

CATALOGUE = load_catalogue()


def played(users: int, days: float, rows: int, policy: str = "uniform", seed: int = 1) -> Trace:
    world = SyntheticWorld(rows, seed=seed, catalogue=CATALOGUE)
    return rollout(world, make_baseline(policy, CATALOGUE), np.arange(users), days)


@pytest.fixture(scope="module")
def trace() -> Trace:
    return played(40, 7, rows=4096)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, 7])
def test_a_trace_is_the_same_for_any_batch_size(rows: int) -> None:
    together, apart = played(9, 4, rows=4096), played(9, 4, rows=rows)
    assert together.table.equals(apart.table)
    assert together.info.content_hash == apart.info.content_hash


def test_the_order_of_the_users_does_not_matter() -> None:
    world = SyntheticWorld(4, seed=1, catalogue=CATALOGUE)
    policy = make_baseline("uniform", CATALOGUE)
    forward = rollout(world, policy, np.asarray([2, 5, 11, 3, 20]), 2)
    backward = rollout(world, policy, np.asarray([20, 3, 11, 5, 2]), 2)
    assert forward.info.content_hash == backward.info.content_hash


def test_another_seed_or_policy_makes_another_trace(trace: Trace) -> None:
    hashes = {
        trace.info.content_hash,
        played(40, 7, 40, seed=2).info.content_hash,
        played(40, 7, 40, policy="silence").info.content_hash,
    }
    assert len(hashes) == 3


def test_every_row_adds_up_and_keeps_to_the_mask(trace: Trace) -> None:
    costs = sum(trace.column(f"{name}_cost_cents") for name in ("offer", "contact", "opt_out"))
    assert np.array_equal(trace.column("net_cents"), trace.column("margin_cents") - costs)
    actions = trace.table.column("action").combine_chunks().indices.to_numpy()
    packed = np.frombuffer(b"".join(trace.table.column("mask").to_pylist()), np.uint8)
    mask = np.unpackbits(packed.reshape(len(actions), -1), axis=1, bitorder="little")
    assert mask[np.arange(len(actions)), actions].all()
    assert np.allclose(trace.column("propensity"), 1 / mask.sum(axis=1))
    for name in trace.table.column_names:
        if pa.types.is_floating(trace.table.schema.field(name).type):
            assert np.isfinite(trace.column(name)).all(), name


def test_opportunities_are_numbered_and_in_order(trace: Trace) -> None:
    user, opportunity = trace.column("user"), trace.column("opportunity")
    first = np.flatnonzero(np.diff(user, prepend=-1))
    assert not opportunity[first].any()
    inside = np.diff(user) == 0
    assert (np.diff(opportunity)[inside] == 1).all()
    assert (np.diff(trace.column("time").astype("int64"))[inside] > 0).all()


def test_actions_follow_the_propensities_of_the_policy() -> None:
    # 2,600 draws: the count of contacts is beyond 5 errors of its mean once in 1.7e6 runs
    trace = played(40, 7, rows=40, seed=3)
    contacted = trace.table.column("action").combine_chunks().indices.to_numpy() > 0
    packed = np.frombuffer(b"".join(trace.table.column("mask").to_pylist()), np.uint8)
    mask = np.unpackbits(packed.reshape(len(contacted), -1), axis=1, bitorder="little")
    chance = 1 - 1 / mask.sum(axis=1)
    error = np.sqrt((chance * (1 - chance)).sum())
    assert abs(contacted.sum() - chance.sum()) < 5 * error


def test_less_than_a_day_or_nobody_is_refused() -> None:
    world, policy = SyntheticWorld(2), make_baseline("silence", CATALOGUE)
    with pytest.raises(InputError, match="days"):
        rollout(world, policy, np.arange(2), 0.5)
    with pytest.raises(InputError, match="users"):
        rollout(world, policy, np.arange(0), 2)


def test_value_is_the_sum_over_the_weeks(trace: Trace) -> None:
    value = value_per_user_week(trace)
    assert np.isclose(value.mean, trace.column("net_cents").sum() / 40)
    assert value.low < value.mean < value.high and value.users == 40
    third = trace.column("net_cents")[trace.column("user") == 3].sum()
    assert per_user_week(trace)[3] == third


def test_intervals_cover_the_mean_as_often_as_they_say() -> None:
    # 2,000 intervals at 95 %: outside 92.5 to 97.5 % once in 3e6 runs
    generator = np.random.default_rng(0)
    samples = generator.normal(3.0, 2.0, (2000, 12))
    estimates = [Estimate.of(sample) for sample in samples]
    covered = np.mean([estimate.low <= 3.0 <= estimate.high for estimate in estimates])
    assert 0.925 < covered < 0.975


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30),
    cut=st.integers(1, 29),
)
def test_a_tally_of_parts_is_that_of_the_whole(values: list[float], cut: int) -> None:
    whole, cut = np.asarray(values), min(cut, len(values) - 1)
    parts = Tally().plus(Tally.of(whole[:cut])).plus(Tally.of(whole[cut:]))
    together = Tally.of(whole)
    assert parts.users == together.users
    assert np.isclose(parts.mean, together.mean, rtol=1e-9, atol=1e-6)
    assert np.isclose(parts.squares, together.squares, rtol=1e-6, atol=1e-3)


@pytest.mark.slow
def test_only_the_same_users_and_luck_are_compared(trace: Trace) -> None:
    silent = played(40, 7, rows=40, policy="silence")
    found = paired_difference(silent, trace)
    apart = value_per_user_week(trace).mean - value_per_user_week(silent).mean
    assert np.isclose(found.mean, apart)
    for other in (played(39, 7, 40), played(40, 6, 40), played(40, 7, 40, seed=2)):
        with pytest.raises(InputError, match="differ"):
            paired_difference(trace, other)


@pytest.mark.slow
def test_pairing_takes_away_most_of_the_noise() -> None:
    silent = played(300, 14, rows=300, policy="silence")
    active = played(300, 14, rows=300, policy="rule_book")
    paired = paired_difference(silent, active)
    alone = value_per_user_week(active)
    assert paired.high - paired.low < 0.7 * (alone.high - alone.low)
