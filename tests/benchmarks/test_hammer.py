import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.hammer import broken_promises, counted
from benchmarks.hammer_clients import Seen
from benchmarks.journals import Journal
from envs.catalogue import load_catalogue

ROOT = Path(__file__).parent.parent.parent
CATALOGUE = load_catalogue()
KEPT = {
    "decision_id": "u-1",
    "action": CATALOGUE.action_index("gift/push"),
    "period": 4,
    "time": 0,
    "scene": 0,
}


def answer(decision_id="u-1", action="gift/push", degraded=False):
    return {"decision_id": decision_id, "action": action, "degraded": degraded, "refused": {}}


def test_what_holds_breaks_no_promise():
    seen = Seen()
    for _ in range(2):
        seen.note("r1", answer())
    seen.note("r2", answer("u-2", "silence", degraded=True))
    row = counted(CATALOGUE, Journal([KEPT], [], 0), seen, budget_cents=150)
    assert (row["repeated"], row["missing_in_journal"], row["answered_otherwise"]) == (1, 0, 0)
    assert row["degraded_share"] == 1 / 3
    assert row["spent_of_budget"] == {4: 1.0}
    assert broken_promises({"hammered": row}) == []


@pytest.mark.parametrize(
    ("answers", "budget_cents", "said"),
    [
        ([answer("u-9")], 150, "missing in journal: 1"),
        ([answer(action="gift/email")], 150, "answered otherwise: 1"),
        ([answer(), answer(action="silence")], 150, "answered otherwise: 1"),
        ([answer()], 149, "overspent cents: 1"),
    ],
)
def test_a_broken_promise_is_named(answers, budget_cents, said):
    seen = Seen()
    for one in answers:
        seen.note("r1", one)
    row = counted(CATALOGUE, Journal([KEPT], [], 0), seen, budget_cents)
    assert broken_promises({"hammered": row}) == [f"hammered: {said}"]


def test_an_activation_that_the_journal_lacks_is_named():
    seen = Seen(activated={"u-1", "u-2"})
    journal = Journal([KEPT], [], 0, {"u-1": ("activated", 3)})
    row = counted(CATALOGUE, journal, seen, budget_cents=150)
    assert broken_promises({"hammered": row}) == ["hammered: activations missing: 1"]


def test_spend_that_ends_beside_its_plan_is_named():
    planned = {"decisions": 1, "share_of_plan": {5: 0.995, 6: 0.98, 7: 1.0}}
    assert broken_promises({"planned": planned}) == [
        "planned: period 6 ended at 98.00% of its plan"
    ]


@pytest.mark.promise("caps-exact")
@pytest.mark.slow
def test_a_short_hammering_breaks_no_promise():
    command = [sys.executable, "-m", "benchmarks.hammer", "--seconds", "5", "--replicas", "2"]
    command += ["--clients", "16", "--plan-periods", "0", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["broken"] == []
    assert found["hammered"]["decisions"] > 0
