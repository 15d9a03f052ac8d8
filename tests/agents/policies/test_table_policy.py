from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agents.policies.cells import Cells
from agents.policies.table_policy import TablePolicy
from agents.policy import BundleError, load_bundle, save_bundle
from tests.agents.tabular_world import CATALOGUE, share_of_gap, standing

LINEAGE: dict[str, str | int] = {"commit": "none", "command": "test", "seed": 3}


def random_table(floor: float = 0.1) -> TablePolicy:
    cells = Cells.of(CATALOGUE)
    values = np.random.default_rng(0).normal(size=(cells.size, len(CATALOGUE.actions)))
    values[:, 0] = 0.0
    return TablePolicy(cells, values.astype(np.float32), floor)


def test_rows_are_exact_probabilities() -> None:
    observations, mask = standing()
    row = random_table().probabilities(observations, mask)
    assert np.abs(row.sum(axis=1) - 1).max() < 1e-12
    assert (row[~mask] == 0).all() and (row[mask] > 0).all()
    assert np.allclose(row.max(axis=1), 0.9 + 0.1 / mask.sum(axis=1))


def test_a_row_does_not_depend_on_its_company() -> None:
    observations, mask = standing()
    policy = random_table()
    together = policy.probabilities(observations[:50], mask[:50])
    alone = [policy.probabilities(observations[i : i + 1], mask[i : i + 1]) for i in range(50)]
    assert np.array_equal(together, np.concatenate(alone))


def test_users_in_unknown_cells_are_left_alone() -> None:
    cells = Cells.of(CATALOGUE)
    values = np.full((cells.size, len(CATALOGUE.actions)), -np.inf, np.float32)
    values[:, 0] = 0.0
    silence = TablePolicy(cells, values, 0.0)
    assert (silence.probabilities(*standing())[:, 0] == 1).all()
    assert share_of_gap(silence) == pytest.approx(0.0, abs=1e-9)


def test_a_bundle_gives_back_the_same_policy_and_is_small(tmp_path: Path) -> None:
    policy = random_table()
    save_bundle(tmp_path / "table", policy, CATALOGUE, LINEAGE, {})
    loaded = load_bundle(tmp_path / "table", CATALOGUE).policy
    assert np.array_equal(policy.probabilities(*standing()), loaded.probabilities(*standing()))
    assert (tmp_path / "table" / "weights.safetensors").stat().st_size < 1_000_000
    assert loaded.name.startswith("table-")


def test_a_bundle_with_a_table_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    policy = random_table()
    wrong = Cells(policy.cells.factors[:-1], 3, policy.cells.hour_factor, policy.cells.size)
    save_bundle(tmp_path / "t", TablePolicy(wrong, policy.values, 0.1), CATALOGUE, LINEAGE, {})
    with pytest.raises(BundleError, match="decides 7 actions from"):
        load_bundle(tmp_path / "t")


@pytest.mark.parametrize(
    ("values", "floor", "says"),
    [
        (np.zeros((3, 2)), 2.0, "floor is 2.0"),
        (np.zeros((4, 2)), 0.1, r"values are \(4, 2\) for 3 cells"),
        (np.full((3, 2), np.nan), 0.1, "a value is no number"),
        (np.full((3, 2), -np.inf), 0.1, "silence is not finite"),
    ],
)
def test_what_is_no_table_is_refused(values: np.ndarray, floor: float, says: str) -> None:
    cells = Cells(np.arange(3.0), -1, 0, 3)
    with pytest.raises(ValueError, match=says):
        TablePolicy(cells, values.astype(np.float32), floor)


def test_a_table_decides_without_torch_and_ray() -> None:
    loaded = "import agents.policies.table_policy, sys; print({'torch', 'ray'} & set(sys.modules))"
    said = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "set()"
