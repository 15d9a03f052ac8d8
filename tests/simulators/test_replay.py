from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.baselines import make_baseline
from envs.catalogue import load_catalogue
from simulators.replay import again, compare, world_of
from simulators.rollout import rollout
from simulators.trace import Trace, TraceError
from simulators.value import per_user_week
from simulators.world import SyntheticWorld

CATALOGUE = load_catalogue()
UNIFORM = make_baseline("uniform", CATALOGUE)


@pytest.fixture(scope="module")
def trace() -> Trace:
    world = SyntheticWorld(16, seed=5, catalogue=CATALOGUE, start="2025-03-20T00:00:00Z")
    return rollout(world, UNIFORM, np.arange(100, 130), 14, budget_price=0.5)


def test_a_replay_is_equal_bit_for_bit(trace: Trace) -> None:
    now = again(trace, UNIFORM, "uniform")
    assert now.table.equals(trace.table)
    assert now.info.content_hash == trace.info.content_hash


def test_against_itself_all_differences_are_nothing(trace: Trace) -> None:
    now = again(trace, UNIFORM, "uniform")
    assert not (per_user_week(now) - per_user_week(trace)).any()
    found = compare(trace, now)
    assert (found.difference.mean, found.difference.low, found.difference.high) == (0, 0, 0)


def test_another_policy_meets_the_same_users_in_the_same_scenes(trace: Trace) -> None:
    other = again(trace, make_baseline("silence", CATALOGUE), "silence")
    assert other.info.content_hash != trace.info.content_hash
    assert other.users().tolist() == trace.users().tolist()
    key = ["user", "opportunity"]
    both = trace.table.join(other.table, key, join_type="inner", right_suffix="_other")
    assert both.num_rows > 0.9 * trace.table.num_rows
    for name in ("scene", "time", "ripe"):
        assert both.column(name).to_pylist() == both.column(f"{name}_other").to_pylist()


def test_a_world_that_changed_since_is_refused(trace: Trace) -> None:
    with pytest.raises(TraceError, match="other numbers"):
        world_of(Trace(trace.table, replace(trace.info, preset_hash="0")))
    with pytest.raises(TraceError, match="encoding"):
        world_of(Trace(trace.table, replace(trace.info, encoding_hash="0")))
