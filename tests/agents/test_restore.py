"""Checkpoints bring back what was learnt, bit for bit, in the learner and in every runner."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.algorithm import OfferAlgorithm
from agents.learners import LEARNERS, LearnerName
from agents.policies.cells import Cells
from tests.agents.rationing import Rationing, every_state

pytestmark = [
    pytest.mark.slow,  # starts Ray and trains
    pytest.mark.usefixtures("small_ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
ROOT = Path(__file__).parent.parent.parent


SMALL: dict[LearnerName, dict[str, Any]] = {
    "q": {
        "hidden": (16,), "updates": 4, "first_rows": 300, "silence_steps": 300,
        "train_batch_size_per_learner": 32,
    },
    "lints": {},
    "table": {"cells": Cells(np.arange(6.0), -1, 0, 6)},
}  # fmt: skip


def make(learner: LearnerName, runners: int) -> OfferAlgorithm:
    config = LEARNERS[learner].make().environment(Rationing).debugging(seed=0, log_level="ERROR")
    config.training(reward="sampled", **SMALL[learner]).env_runners(
        num_env_runners=runners, num_envs_per_env_runner=16, rollout_fragment_length=4
    )
    algorithm: OfferAlgorithm = config.build_algo()
    return algorithm


def train(algorithm: OfferAlgorithm, iterations: int) -> None:
    for _ in range(iterations):
        algorithm.train()


def decisions(algorithm: OfferAlgorithm) -> bytes:
    """Every probability of the policy and all that it computes them with, to the last bit."""
    policy: Any = algorithm.policy()
    arrays = [policy.probabilities(*every_state()), *policy.weights().values()]
    return b"".join(array.tobytes() for array in arrays)


def learnt(algorithm: OfferAlgorithm) -> dict[str, np.ndarray]:
    """What the learner holds."""
    return algorithm.ask_learner(
        lambda learner: learner.module["default_policy"].unwrapped().get_state()
    )


def differs(state: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """Whether anything that learners hold is not the same to the bit."""
    assert set(state) == set(other)
    return any(not np.array_equal(array, other[name]) for name, array in state.items())


def held(algorithm: OfferAlgorithm) -> list[dict[str, np.ndarray]]:
    """What each runner holds, the one of this process among them."""
    return list(algorithm.env_runner_group.foreach_env_runner(lambda one: one.module.get_state()))


def assert_every_runner_holds_what_is_learnt(algorithm: OfferAlgorithm, runners: int) -> None:
    whole, parts = learnt(algorithm), held(algorithm)
    assert len(parts) >= max(1, runners)
    for part in parts:
        assert part
        for name, array in part.items():
            np.testing.assert_array_equal(array, whole[name], err_msg=name)


def steps_known(algorithm: OfferAlgorithm) -> set[int]:
    """The steps so far, by which they explore, as runners know them."""
    group = algorithm.env_runner_group
    return set(group.foreach_env_runner(lambda one: one.num_env_steps_sampled_lifetime))


@pytest.mark.parametrize("learner", SMALL)
def test_two_remote_runners_hold_an_older_checkpoint_that_is_restored_in_place(
    learner: LearnerName, tmp_path: Path
) -> None:
    algorithm = make(learner, runners=2)
    train(algorithm, 4)
    steps, early, known = algorithm.sampled_steps(), decisions(algorithm), learnt(algorithm)
    algorithm.save_to_path(str(tmp_path / "early"))
    train(algorithm, 12)
    assert differs(learnt(algorithm), known)
    algorithm.restore_from_path(str(tmp_path / "early"))
    assert decisions(algorithm) == early
    assert not differs(learnt(algorithm), known)
    assert algorithm.sampled_steps() == steps
    assert steps_known(algorithm) == {steps}
    assert_every_runner_holds_what_is_learnt(algorithm, 2)
    for _ in range(6):  # and from the first iteration on they take what is learnt from there
        train(algorithm, 1)
        assert_every_runner_holds_what_is_learnt(algorithm, 2)
    assert differs(learnt(algorithm), known)
    algorithm.stop()


IN_ANOTHER_PROCESS = """
import sys
from simulators.cluster import quiet_ray
from tests.agents.test_restore import (
    assert_every_runner_holds_what_is_learnt, decisions, make, train,
)
learner, checkpoint, answer = sys.argv[1:]
with quiet_ray(None, 2):
    algorithm = make(learner, runners=2)
    train(algorithm, 6)
    algorithm.restore_from_path(checkpoint)
    assert_every_runner_holds_what_is_learnt(algorithm, 2)
    open(answer, "wb").write(decisions(algorithm))
    algorithm.stop()
"""


@pytest.mark.parametrize("learner", ("q", "lints"))
def test_another_process_with_two_runners_decides_bit_for_bit_the_same(
    learner: LearnerName, tmp_path: Path
) -> None:
    algorithm = make(learner, runners=0)
    train(algorithm, 10)
    algorithm.save_to_path(str(tmp_path / "checkpoint"))
    expected = decisions(algorithm)
    algorithm.stop()
    answer = tmp_path / "decisions"
    given = [learner, str(tmp_path / "checkpoint"), str(answer)]
    run = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS, *given], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert answer.read_bytes() == expected
