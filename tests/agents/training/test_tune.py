"""The search for settings: what is searched, what is kept, and that training takes it."""

import inspect
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from agents.__main__ import main
from agents.learners import LEARNERS, LearnerName
from agents.policy import load_bundle
from agents.training.spaces import CONTACT_PRICE, SPACES, defaults_of, read_settings, space_of
from agents.training.trial import RUNGS
from envs.errors import InputError


@pytest.mark.parametrize("learner", SPACES)
def test_a_space_names_settings_of_its_learner_and_holds_their_defaults(
    learner: LearnerName,
) -> None:
    made = LEARNERS[learner].make()
    kinds = [kind for kind in type(made).__mro__ if "training" in vars(kind)]
    takes = {name for kind in kinds for name in inspect.signature(kind.training).parameters}
    assert SPACES[learner].keys() - {CONTACT_PRICE} <= takes
    for name, value in defaults_of(learner).items():
        assert value in SPACES[learner][name], name


def test_a_learner_without_a_space_is_refused() -> None:
    with pytest.raises(InputError, match="no settings of cql"):
        space_of("cql")


def settings_file(folder: Path, **content: Any) -> Path:
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump({"learner": "q", "settings": {"hidden": [8, 8]}} | content))
    return path


def test_settings_are_read_as_they_are_given_to_a_learner(tmp_path: Path) -> None:
    assert read_settings(settings_file(tmp_path), "q") == {"hidden": (8, 8)}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"learner": "lints"}, "settings of lints, not of q"),
        ({"settings": {"luck": 1}}, "q has no setting luck"),
        ({"settings": None}, "no 'settings'"),
    ],
)
def test_other_settings_are_refused(tmp_path: Path, content: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_settings(settings_file(tmp_path, **content), "q")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--trials", "0"], "--trials 0"),
        (["--workers", "-1"], "--workers -1"),
        (["--users", "1"], "--users 1"),
        (["--steps", "0"], "--steps 0"),
        (["--preset", "atlantis"], "atlantis"),
        (["--address", "127.0.0.1:1"], "127.0.0.1:1"),
    ],
)
def test_tune_refuses_in_one_line(
    given: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["tune", "lints", *given, "--out", str(tmp_path / "tune")]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert not (tmp_path / "tune").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("small_ray")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_search_leaves_the_best_settings_their_policy_and_a_table_of_all_trials(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tune"
    given = ["--preset", "small", "--steps", "20000", "--seed", "3", "--json"]
    few = ["--trials", "3", "--workers", "2", "--users", "20", "--evaluate-users", "20"]
    assert main(["tune", "lints", *given, *few, "--days", "7", "--out", str(out)]) == 0
    result = json.loads(capsys.readouterr().out)
    best = yaml.safe_load((out / "best.yaml").read_text())
    table = pd.read_parquet(out / "trials.parquet")
    assert best["learner"] == "lints"
    assert best["settings"] == result["settings"]
    assert set(best["settings"]) == set(SPACES["lints"])
    assert table["trial"].nunique() == result["trials"] == 3
    whole = table[table["rung"] == RUNGS[-1]]
    assert len(whole) == 3 - result["ended_early"]
    chosen = whole.loc[whole["gain"].idxmax()]
    assert result["judged"]["gain"] == chosen["gain"]
    assert all(chosen[f"setting_{name}"] == value for name, value in best["settings"].items())
    assert (whole["steps"] >= 20000).all()
    bundle = load_bundle(out / "policy")
    assert bundle.manifest.figures["settings"] == best["settings"]
    assert bundle.manifest.figures["evaluation"]["users"] == 20
    trained = ["train", "lints", "--settings", str(out / "best.yaml"), *given]
    again = tmp_path / "again"
    assert main([*trained, "--days", "7", "--evaluate-users", "0", "--out", str(again)]) == 0
    same = {path.manifest.weights_sha256 for path in (bundle, load_bundle(again))}
    assert len(same) == 1  # the settings make the same policy once more
