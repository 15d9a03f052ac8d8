import json
from pathlib import Path

import numpy as np
import pytest

from agents.__main__ import main
from agents.policy import load_bundle

pytestmark = [
    pytest.mark.slow,  # starts Ray and trains
    pytest.mark.usefixtures("small_ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
SHORT = ["--steps", "22000", "--evaluate-users", "0", "--json"]


def train(learner: str, out: Path, *more: str) -> None:
    priced = ["--contact-price", "20"] if learner == "lints" else []
    assert main(["train", learner, "--out", str(out), *SHORT, *priced, *more]) == 0


@pytest.mark.parametrize("learner", ["q", "lints"])
def test_a_run_with_steps_can_be_made_again_bit_for_bit(learner: str, tmp_path: Path) -> None:
    sums = set()
    for name in ("first", "again"):
        train(learner, tmp_path / name)
        sums.add(load_bundle(tmp_path / name).manifest.weights_sha256)
    assert len(sums) == 1
    train(learner, tmp_path / "other", "--seed", "1")
    assert load_bundle(tmp_path / "other").manifest.weights_sha256 not in sums


def test_training_leaves_a_bundle_with_its_lineage_and_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "policy"
    given = ["train", "lints", "--out", str(out), "--steps", "9000", "--floor", "0.07"]
    assert main([*given, "--evaluate-users", "20", "--json", "--seed", "5", "--days", "2"]) == 0
    result = json.loads(capsys.readouterr().out)
    manifest = load_bundle(out).manifest
    assert manifest.figures == result["figures"]
    assert manifest.figures["steps"] >= 9000
    assert manifest.figures["contact_price_cents"] >= 0
    assert set(manifest.figures["gain_over_silence"]) == {"mean", "low", "high"}
    assert manifest.seed == manifest.lineage["seed"] == 5
    assert manifest.settings["floor"] == 0.07


def test_training_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    kept = tmp_path / "checkpoint"
    train("lints", tmp_path / "a", "--checkpoint", str(kept))
    train("lints", tmp_path / "b", "--resume", str(kept))
    first, second = (load_bundle(tmp_path / name).policy for name in "ab")
    # twice the decisions: what is believed is narrower
    assert np.linalg.norm(second.factors) < np.linalg.norm(first.factors)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["q", "--steps", "0"], "--steps 0"),
        (["q", "--seconds", "-1"], "--seconds -1"),
        (["q", "--floor", "1.5"], "--floor 1.5"),
        (["q", "--contact-price", "-5"], "--contact-price -5"),
        (["q", "--runners", "-1"], "--runners -1"),
        (["q", "--preset", "atlantis", "--steps", "9"], "atlantis"),
        (["q", "--log", "nowhere.parquet"], "lints"),
        (["lints", "--log", "nowhere.parquet"], "nowhere.parquet"),
        (["lints", "--half-life", "0"], "--half-life 0"),
        (["q", "--half-life", "9"], "--half-life is for bandits"),
        (["lints", "--weight-limit", "9"], "--weight-limit weighs decisions of a log"),
        (["lints", "--log", "nowhere.parquet", "--reward", "uplift"], "uplift"),
        (["q", "--resume", "nowhere"], "nowhere"),
        (["q", "--resume", "tests"], "no checkpoint at tests"),
        (["q", "--days", "0"], "days 0"),
        (["q", "--catalogue", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_train_refuses_in_one_line(
    given: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["train", *given, "--out", str(tmp_path / "policy")]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert not (tmp_path / "policy").exists()


def test_a_place_that_is_taken_is_refused_before_the_training(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert main(["train", "q", "--out", str(tmp_path)]) == 2  # a minute's training otherwise
    assert "is no bundle" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_teacher_too_large_to_serve_has_to_be_asked_for_before_the_training(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "wide.yaml").write_text("learner: q\nsettings: {hidden: [600, 600]}\n")
    given = ["--settings", str(tmp_path / "wide.yaml"), "--out", str(tmp_path / "q")]
    assert main(["train", "q", "--seconds", "9999", *given]) == 2
    assert "--large" in capsys.readouterr().err
    assert not (tmp_path / "q").exists()
    assert main(["train", "q", "--steps", "1", "--evaluate-users", "0", "--large", *given]) == 0
    assert load_bundle(tmp_path / "q").policy.shape[0] > 0
