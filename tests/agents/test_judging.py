import json
from pathlib import Path

import numpy as np
import pytest

from agents.__main__ import main
from agents.baselines import Constant, make_baseline
from agents.judging import Field, best_constant, play, summary
from envs.catalogue import load_catalogue

CATALOGUE = load_catalogue()
FIELD = Field(CATALOGUE, users=40, days=3)


def test_a_policy_against_itself_gains_exactly_nothing() -> None:
    silence = make_baseline("silence", CATALOGUE)
    outcomes = {"silence": play(FIELD, silence), "again": play(FIELD, silence)}
    gain = summary(outcomes)["again"]["gain_over_silence"]
    assert gain == {"mean": 0.0, "low": 0.0, "high": 0.0}


def test_every_seed_plays_all_users_once_more() -> None:
    uniform = make_baseline("uniform", CATALOGUE)
    first, second = (play(Field(CATALOGUE, users=20, days=3, seeds=(s,)), uniform) for s in (3, 4))
    both = play(Field(CATALOGUE, users=20, days=3, seeds=(3, 4)), uniform)
    np.testing.assert_array_equal(both.value, np.concatenate([first.value, second.value]))
    np.testing.assert_array_equal(both.spend, np.concatenate([first.spend, second.spend]))


def test_the_best_constant_is_the_one_that_makes_the_most_of_other_people() -> None:
    names = ("content/mini_program", "off20/email", "gift/in_app")
    candidates = [Constant(CATALOGUE.action_index(name), f"constant:{name}") for name in names]
    best = best_constant(FIELD, candidates)
    others = Field(CATALOGUE, users=40, days=3, first_user=1_000_000)
    values = {constant.name: play(others, constant).value.mean() for constant in candidates}
    assert best.name == max(values, key=lambda name: values[name])


@pytest.mark.slow
def test_evaluate_prints_one_object_with_every_rival(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["evaluate", "constant:gift/in_app", "--users", "20", "--days", "2", "--json"]
    assert main(given) == 0
    result = json.loads(capsys.readouterr().out)
    names = {"silence", "uniform", "best_constant", "rule_book", "constant:gift/in_app"}
    assert set(result["policies"]) == names
    assert result["preset"] == "default"
    assert result["seeds"] == [0]
    for row in result["policies"].values():
        value = row["value_per_user_week_cents"]
        assert value["low"] <= value["mean"] <= value["high"]
        assert row["spend_per_user_week_cents"] >= 0
    assert result["policies"]["silence"]["spend_per_user_week_cents"] == 0


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["nobody"], "no policy 'nobody'"),
        (["--users", "1"], "users 1"),
        (["--preset", "atlantis"], "atlantis"),
        (["--catalogue", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_evaluate_refuses_in_one_line(
    given: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["evaluate", *given, "--json"]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
