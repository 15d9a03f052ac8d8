import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.__main__ import main
from simulators.oracle.tabular import finite_model
from simulators.presets import find_preset
from simulators.world import START

Result = dict[str, Any]
Evaluate = Callable[..., Result]

TABULAR = find_preset("tabular")
SHORT = ["--preset", "tabular", "--users", "20", "--days", "7", "--workers", "0"]
ESTIMATES = (
    "value_per_user_week_cents",
    "gap_closed",
    "expected_value_per_user_week_cents",
    "expected_gap_closed",
    "gain_over_silence",
    "expected_gain_over_silence",
    "gain_over_best_constant",
    "expected_gain_over_best_constant",
)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("oracle")


@pytest.fixture
def evaluate(
    kept: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Evaluate:
    """The command, with little effort to tune rivals: they need not be at their very best."""
    for users in ("SEVERAL", "FEW", "MANY"):
        monkeypatch.setattr(f"simulators.oracle.tuning.{users}", 10)
    monkeypatch.setattr("simulators.oracle.tuning.DAYS", 10.0)

    def run(*given: str) -> Result:
        assert main(["evaluate", *given, "--kept", str(kept), "--json"]) == 0
        found: Result = json.loads(capsys.readouterr().out)
        return found

    return run


@pytest.mark.slow
def test_it_prints_one_object_with_every_rival(evaluate: Evaluate) -> None:
    found = evaluate("silence", "constant:gift/push", *SHORT, "--seeds", "2")
    rivals = {"silence", "uniform", "best_constant", "rule_book", "myopic", "myopic_priced"}
    assert set(found["policies"]) == rivals | {"oracle", "constant:gift/push"}
    assert (found["preset"], found["users"], found["seeds"]) == ("tabular", 20, [0, 1])
    for row in found["policies"].values():
        for name in ESTIMATES:
            assert row[name]["low"] <= row[name]["mean"] <= row[name]["high"]
        assert row["spend_per_user_week_cents"] >= 0
    assert found["policies"]["silence"]["spend_per_user_week_cents"] == 0
    assert found["best_constant"] == found["tuned"]["best_constant"]["action"]
    assert found["best_rival"] in rivals and found["gap"]["expected"]["mean"] > 0
    assert found["catalogue_hash"] == TABULAR.load_catalogue().hash and found["encoding_hash"]
    assert found["lineage"]["commit"] and found["lineage"]["command"]


@pytest.mark.slow
def test_silence_closes_nothing_and_the_exact_optimum_all(evaluate: Evaluate) -> None:
    found = evaluate(*SHORT)
    for name, closed in (("silence", 0.0), ("oracle", 1.0)):
        for column in ("gap_closed", "expected_gap_closed"):
            estimate = found["policies"][name][column]
            assert estimate == pytest.approx({"mean": closed, "low": closed, "high": closed})
    value = found["policies"]["oracle"]["expected_value_per_user_week_cents"]
    exact = found["exact"]["oracle"]
    assert value == pytest.approx({"mean": exact, "low": exact, "high": exact})


@pytest.mark.slow
def test_the_myopic_policy_closes_what_the_exact_model_says(evaluate: Evaluate) -> None:
    """Twice the half-width of a 95 % interval: missed once in 11,000 times."""
    model = finite_model(TABULAR, TABULAR.load_catalogue(), START)
    best, myopic, silence = (
        model.value_cents(values)
        for values in (
            model.best().values,
            model.values_of(model.myopic()),
            model.values_of(0 * model.myopic()),
        )
    )
    given = ["--preset", "tabular", "--users", "100", "--days", "200", "--workers", "0"]
    closed = evaluate(*given)["policies"]["myopic"]["expected_gap_closed"]
    half = closed["high"] - closed["mean"]
    assert abs(closed["mean"] - (myopic - silence) / (best - silence)) < 2 * half
    assert half < 0.03


@pytest.mark.slow
def test_the_same_policy_twice_gets_the_same_figures(evaluate: Evaluate) -> None:
    found = evaluate("first=uniform", "second=uniform", *SHORT)["policies"]
    assert found["first"] == found["second"] == found["uniform"]


@pytest.mark.slow
def test_a_learner_is_summed_up_over_its_training_seeds(evaluate: Evaluate) -> None:
    found = evaluate("pair=constant:gift/push", "pair=constant:content/push", *SHORT)
    group = found["over_training_seeds"]["pair"]
    means = [found["policies"][name]["expected_gap_closed"]["mean"] for name in group["members"]]
    assert group["members"] == ["pair=constant:gift/push", "pair=constant:content/push"]
    closed = group["expected_gap_closed"]
    assert closed["mean"] == pytest.approx(sum(means) / 2)
    assert closed["low"] < min(means) and max(means) < closed["high"]


@pytest.mark.slow
def test_what_was_kept_is_what_is_computed(evaluate: Evaluate, tmp_path: Path) -> None:
    kept, anew = evaluate(*SHORT), evaluate(*SHORT, "--kept", str(tmp_path))
    assert kept["policies"] == anew["policies"]


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["tabular", "small"])  # exact, and planned
def test_neither_the_number_of_workers_nor_what_is_kept_matters(
    preset: str, evaluate: Evaluate, tmp_path: Path
) -> None:
    given = ["constant:content/push", "--preset", preset, "--each", "1", "--users", "6"]
    given += ["--days", "7"]
    alone = evaluate(*given, "--workers", "0", "--kept", str(tmp_path / "alone"))
    several = evaluate(*given, "--workers", "3", "--kept", str(tmp_path / "several"))
    names = set(alone["policies"]) - {
        "best_constant",
        "myopic_priced",
    }  # Ray tunes with more effort
    for name in names:
        assert _but_rivals(alone["policies"][name]) == _but_rivals(several["policies"][name])


def _but_rivals(row: Result) -> Result:
    return {name: value for name, value in row.items() if "best" not in name}


@pytest.mark.slow
def test_planners_take_part_on_request_and_the_shares_are_drawn(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    picture = tmp_path / "shares.png"
    found = evaluate(*SHORT, "--planners", "--plot", str(picture))
    assert {"no_information", "filtered"} <= set(found["policies"])
    assert found["policies"]["filtered"]["expected_gap_closed"]["mean"] > 0.5
    assert picture.read_bytes().startswith(b"\x89PNG")
    again = evaluate(*SHORT, "--planners")
    assert again["policies"] == found["policies"]


@pytest.mark.slow
def test_the_table_names_everybody(
    kept: Path,
    evaluate: Evaluate,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evaluate(*SHORT)
    monkeypatch.setenv("COLUMNS", "200")
    given = ["deep=uniform", "deep=constant:gift/push", *SHORT, "--kept", str(kept)]
    assert main(["evaluate", *given]) == 0
    shown = capsys.readouterr().out
    for name in ("oracle", "silence", "best_constant", "deep=uniform", "mean of 2"):
        assert name in shown


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["nobody"], "no policy 'nobody'"),
        (["--users", "1"], "--users 1 are too few"),
        (["--users", "27"], "--users 27 are too few"),
        (["--seeds", "0"], "--seeds 0"),
        (["--days", "0.5"], "--days 0.5"),
        (["--each", "0"], "--each 0"),
        (["--budget-price", "-1"], "--budget-price -1"),
        (["--preset", "atlantis"], "atlantis"),
        (["--catalogue", "nowhere.yaml"], "nowhere.yaml"),
        (["oracle=uniform"], "oracle names a policy already"),
        (["--kept", "README.md/kept"], "README.md/kept"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_in_one_line(
    given: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["evaluate", "--kept", str(tmp_path), *given, "--json"]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
