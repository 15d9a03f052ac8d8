import json
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from benchmarks.comparison import compare
from benchmarks.demo import AGENT, TITLES
from benchmarks.report import Http, draw, table, write_summary

RIVALS = ("silence", "uniform", "best_constant", "rule_book")


@pytest.fixture
def comparison():
    random = np.random.default_rng(5)
    people = random.normal(600, 200, 40)
    weekly = {name: people + random.normal(0, 20, 40) for name in (AGENT, *RIVALS)}
    return compare(weekly, days=14, agent=AGENT)


def test_the_summary_holds_what_was_promised(comparison, tmp_path):
    path = tmp_path / "summary.json"
    lineage = {"seed": 7, "commit": "abc"}
    write_summary(path, lineage, Http(2500, 0, 3.5, 20.0), comparison, comparison)
    summary = json.loads(path.read_text())
    assert (summary["seed"], summary["commit"]) == (7, "abc")
    assert summary["http"] == {"requests": 2500, "errors": 0, "p50_ms": 3.5, "p99_ms": 20.0}
    values = summary["value_per_user_week_cents"]
    assert list(values) == [AGENT, *RIVALS]
    estimates = [*values.values(), summary["lift_over_rule_book"]]
    estimates += [summary[f"agent_minus_{name}"] for name in RIVALS]
    estimates += [summary["fallen"][f"agent_minus_{name}"] for name in RIVALS]
    for each in estimates:
        assert each["low"] <= each["mean"] <= each["high"]
    lift = summary["agent_minus_rule_book"]["mean"] / summary["lift_denominator_cents"]
    assert summary["lift_over_rule_book"]["mean"] == pytest.approx(lift)
    assert [each.name for each in tmp_path.iterdir()] == ["summary.json"]


def test_the_table_shows_every_policy_its_interval_and_the_notes(comparison):
    console = Console(width=80, file=StringIO())
    console.print(table(comparison, comparison, TITLES, AGENT, "the notes"))
    text = console.file.getvalue()
    assert "the notes" in text
    for name, value in comparison.values.items():
        row = next(line for line in text.splitlines() if f" {TITLES[name]} " in line)
        assert f"{value.mean:,.0f} [{value.low:,.0f}, {value.high:,.0f}]" in row


def test_the_picture_is_written_and_nothing_is_left_beside_it(comparison, tmp_path):
    draw(comparison, TITLES, AGENT, tmp_path / "lift.png")
    assert (tmp_path / "lift.png").read_bytes().startswith(b"\x89PNG")
    assert [each.name for each in tmp_path.iterdir()] == ["lift.png"]
