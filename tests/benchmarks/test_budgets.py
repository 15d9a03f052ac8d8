"""One network for every price beside a network for each."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.budgets import BudgetsConfig, main, measure
from benchmarks.comparison import ratio
from envs.errors import InputError


def test_a_share_of_gains_has_the_interval_of_their_ratio() -> None:
    rng = np.random.default_rng(0)
    theirs = rng.normal(10.0, 5.0, 4000)
    mine = 0.98 * theirs + rng.normal(0.0, 0.5, 4000)
    share = ratio(mine, theirs)
    assert share.mean == pytest.approx(mine.mean() / theirs.mean())
    assert share.low < 0.98 < share.high and share.high - share.low < 0.01


@pytest.mark.parametrize(
    ("given", "says"),
    [({"prices": (1.0, 0.5)}, "ascend"), ({"budgets": (0.5, 1.5)}, "shares")],
)
def test_prices_and_budgets_that_cannot_be_compared_are_refused(given, says) -> None:
    with pytest.raises(InputError, match=says):
        measure(BudgetsConfig(**given))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
# On a busy machine Ray lets go of a process of its own before that has ended.
@pytest.mark.filterwarnings(r"ignore:subprocess \d+ is still running:ResourceWarning")
def test_both_kinds_are_trained_kept_and_compared_at_every_price(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = BudgetsConfig(
        "tabular", (0.0, 20.0), steps=60_000, users=200, days=7.0, budgets=(0.8,),
        spending_users=400, spending_days=7.0, kept=tmp_path, json=True,
    )  # fmt: skip
    found = measure(small)
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert len([path for path in made if path.is_dir()]) == 3
    options = (
        "--preset tabular --prices 0 20 --steps 60000 --users 200 --days 7 --budgets 0.8 "
        f"--spending-users 400 --spending-days 7 --kept {tmp_path} --json"
    )
    monkeypatch.setattr(sys, "argv", ["budgets", *options.split()])
    main()
    printed = json.loads(capsys.readouterr().out)
    assert {name: printed[name] for name in found} == json.loads(json.dumps(found))
    assert printed["config"]["kept"] == str(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == made
    with pytest.raises(InputError, match="was trained with"):
        measure(replace(small, steps=50_000))
    assert [row["price"] for row in found["prices"]] == [0.0, 20.0]
    for row in found["prices"]:
        assert row["share"]["low"] < row["share"]["mean"] < row["share"]["high"]
    (kept,) = found["budgets"]
    assert kept["budget_price"] > 0
    assert 0 < kept["spend_per_user_week_cents"] < 1.2 * kept["budget_cents_per_user_week"]
