from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from envs.errors import InputError
from simulators.__main__ import main
from simulators.oracle.command import OracleConfig, run_oracle
from simulators.oracle.extrapolating import Extrapolation
from simulators.oracle.panel import Panel
from simulators.oracle.verdict import Played
from simulators.presets import find_preset

DEFAULT = find_preset("default")
CATALOGUE = DEFAULT.load_catalogue()


def test_a_panel_holds_every_archetype_at_its_share() -> None:
    panel = Panel.drawn(DEFAULT, CATALOGUE, seed=1, each=2, copies=3)
    kinds = panel.persons.archetype
    weights = np.asarray([kind.weight for kind in DEFAULT.archetypes])
    assert np.bincount(kinds).tolist() == [2] * len(weights)
    assert np.allclose(np.bincount(kinds, panel.shares), weights / weights.sum())
    some = np.asarray([3, 5])
    users = panel.part(some)
    assert users.ids.tolist() == [9, 10, 11, 15, 16, 17]
    assert users.traits is not None
    assert np.array_equal(users.traits.tiring, np.repeat(panel.persons.tiring[some], 3))


def test_the_same_seed_draws_the_same_panel() -> None:
    first, again = (Panel.drawn(DEFAULT, CATALOGUE, 4, 2, 2) for _ in range(2))
    other = Panel.drawn(DEFAULT, CATALOGUE, 5, 2, 2)
    assert np.array_equal(first.persons.tiring, again.persons.tiring)
    assert not np.array_equal(first.persons.tiring, other.persons.tiring)


def test_shares_and_errors_are_ratios_of_paired_means() -> None:
    """The interval of a ratio covers the truth: 400 panels, false alarm below 1e-6."""
    luck = np.random.default_rng(0)
    panel = replace(Panel.drawn(DEFAULT, CATALOGUE, 0, 1, 50), shares=np.full(7, 1 / 7))
    silence, planned = np.full(7, 100.0), np.full(7, 121.0)
    covered = 0
    for _ in range(400):
        common = luck.normal(100, 30, 350)
        gain = luck.normal(20, 5, 350)
        half = 0.5 * gain + luck.normal(0, 2, 350)
        values = {"silence": common, "attained": common + gain, "half": common + half}
        played = Played(panel, planned, silence, values)
        share, error = played.share("half", of="attained"), played.error()
        assert played.value("attained").mean == pytest.approx(100 + gain.mean())
        covered += share.low < 0.5 < share.high
        assert error.low < error.mean < error.high
    assert 350 < covered < 398


def test_extrapolation_finds_a_fixed_point_in_few_steps() -> None:
    luck = np.random.default_rng(1)
    slow = luck.normal(size=(30, 4))
    matrix = slow @ np.diag([0.95, 0.9, 0.7, 0.3]) @ np.linalg.pinv(slow)
    constant = luck.normal(size=30)
    fixed = np.linalg.solve(np.eye(30) - matrix, constant)
    extrapolation, value = Extrapolation(), np.zeros(30)
    for _ in range(12):
        value = extrapolation.onward(value, matrix @ value + constant)
    assert np.allclose(value, fixed, rtol=1e-5)


@pytest.mark.slow
def test_the_tabular_preset_is_solved_exactly(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["oracle", "--preset", "tabular", "--copies", "20", "--days", "30", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["bellman_residual"] < 1e-9
    assert found["value_silence"] < found["value_myopic"] < found["value_optimal"]
    assert found["lineage"]["seed"] == 0 and found["catalogue_hash"]


def test_what_cannot_be_judged_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["oracle", "--copies", "1"]) == 2
    assert "copies" in capsys.readouterr().err
    with pytest.raises(InputError, match="not known"):
        run_oracle(OracleConfig(preset="nowhere"))


@pytest.mark.slow
def test_the_oracle_of_a_small_preset_ranks_its_rivals(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three standard errors of every paired gain; false alarm below 1 in 100."""
    for users in ("SEVERAL", "FEW", "MANY"):  # what is tuned need not be the very best
        monkeypatch.setattr(f"simulators.oracle.tuning.{users}", 20)
    monkeypatch.setattr("simulators.oracle.tuning.DAYS", 15.0)
    given = ["--preset", "small", "--each", "1", "--copies", "60", "--days", "100"]
    assert (
        main(["oracle", *given, "--nodes", "6", "--refined", "1", "--workers", "0", "--json"]) == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert found["value_silence"] < found["value_attained"]["low"]
    names = {"filtered", "no_information", "myopic", "myopic_priced", "best_constant"}
    assert set(found["share_of_gap"]) == names
    for name in names:
        value, top = found[f"value_{name}"], found["value_attained_under_all_rules"]
        assert value["mean"] < top["mean"] + 1.5 * (top["high"] - top["mean"])
    gap = found["value_attained"]["mean"] - found["value_silence"]
    error = found["discretisation_error"]["signed"]
    assert error["low"] - 0.03 < 0 < error["high"] + 0.03 and gap > 0
