from __future__ import annotations

import numpy as np

from benchmarks.world import BASELINES, Myopic, WorldBenchmark, worths
from envs.rules import Rules
from simulators.progress import Bar
from simulators.world import SyntheticWorld


def test_policies_are_compared_for_the_same_users() -> None:
    config = WorldBenchmark(users=30, days=2.0)
    with Bar("playing", shown=False) as bar:
        found = worths(config, SyntheticWorld(30, seed=1), bar)
    assert [worth.policy for worth in found][: len(BASELINES)] == list(BASELINES)
    silence = found[0]
    assert silence.beyond_silence.mean == 0 and silence.value.users == 30


def test_the_myopic_yardstick_takes_the_best_step_that_is_allowed() -> None:
    world = SyntheticWorld(200, seed=2)
    mask = Rules(world.catalogue).refusals(world.users, world.moment()) == 0
    rows = Myopic(world).probabilities(np.zeros((200, 1), np.float32), mask)
    chosen = rows.argmax(axis=1)
    assert (rows.sum(axis=1) == 1).all() and mask[np.arange(200), chosen].all()
    gains = world.action_gains()
    best = np.where(mask, gains, -np.inf).max(axis=1)
    assert np.array_equal(gains[np.arange(200), chosen], best) and (best >= 0).all()
