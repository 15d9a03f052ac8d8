from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.__main__ import main
from agents.policies.cells import Cells
from agents.policy import load_bundle
from agents.table_learning import TableLearning, TableLearningConfig
from envs.errors import InputError
from tests.agents.rationing import GREEDY, OPTIMUM, Rationing, every_state
from tests.agents.tabular_world import share_of_gap

pytestmark = [
    pytest.mark.slow,  # starts Ray and trains
    pytest.mark.usefixtures("small_ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def make(seed: int = 0, **training: Any) -> TableLearning:
    config = TableLearningConfig().environment(Rationing).debugging(seed=seed, log_level="ERROR")
    config.env_runners(num_envs_per_env_runner=16, rollout_fragment_length=4)
    config.training(cells=Cells(np.arange(6.0), -1, 0, 6), gamma=0.9, **training)
    algorithm: TableLearning = config.build_algo()
    return algorithm


@pytest.mark.parametrize("reward", ["sampled", "expected", "uplift"])
def test_it_learns_to_wait_for_the_contact_that_pays_most(reward: str) -> None:
    algorithm = make(reward=reward, floor=0.1)
    for _ in range(30):
        algorithm.train()
    rows = algorithm.policy().probabilities(*every_state())
    algorithm.stop()
    assert rows.argmax(axis=1).tolist() == OPTIMUM != GREEDY
    assert (rows[:, 3] == 0).all()


def test_the_same_seed_learns_the_same_and_another_does_not() -> None:
    learnt = []
    for seed in (1, 1, 2):
        algorithm = make(seed, reward="sampled")
        for _ in range(3):
            algorithm.train()
        learnt.append(
            algorithm.ask_learner(lambda one: one.module["default_policy"].unwrapped().get_state())
        )
        algorithm.stop()
    first, again, other = learnt
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name], err_msg=name)
    assert not np.array_equal(first["visits"], other["visits"])


def test_several_learners_are_refused() -> None:
    config = TableLearningConfig().environment(Rationing).learners(num_learners=2)
    with pytest.raises(InputError, match="2 learners: a table is learnt by one process"):
        config.validate()


def test_the_command_refuses_a_world_with_too_much_to_see(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["train", "table", "--preset", "default", "--out", str(tmp_path / "t")]
    assert main(given) == 2
    said = capsys.readouterr().err.strip()
    assert "use q" in said and "\n" not in said


def test_the_command_closes_most_of_the_gap_in_the_tabular_world(tmp_path: Path) -> None:
    """From a million decisions; a minute has several, and closes more than 99 %."""
    out = tmp_path / "table"
    given = ["train", "table", "--preset", "tabular", "--steps", "1000000", "--out", str(out)]
    assert main([*given, "--evaluate-users", "0", "--json"]) == 0
    policy = load_bundle(out).policy
    assert share_of_gap(policy) > 0.95
