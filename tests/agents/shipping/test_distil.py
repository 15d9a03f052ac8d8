import json
from pathlib import Path

import numpy as np
import pytest

from agents.__main__ import main
from agents.policies.exploration import Thompson
from agents.policy import LinearGaussianPolicy, QNetworkPolicy, load_bundle, save_bundle
from envs.catalogue import load_catalogue
from envs.encoding import Encoding
from envs.lineage import lineage

pytestmark = pytest.mark.slow

CATALOGUE = load_catalogue()
WIDTH, ACTIONS = Encoding(CATALOGUE).width, len(CATALOGUE.actions)


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    first = rng.normal(size=(WIDTH, 60)) / np.sqrt(WIDTH)
    last = rng.normal(size=(60, ACTIONS))
    policy = QNetworkPolicy(((first, np.zeros(60)), (last, np.zeros(ACTIONS))), 0.05)
    save_bundle(tmp_path / "teacher", policy, CATALOGUE, lineage(3), {})
    return tmp_path / "teacher"


SMALL = ("--users", "20", "--days", "2", "--steps", "50", "--evaluate-users", "20")


def test_a_student_is_a_bundle_that_says_what_it_lost(
    teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "student"
    assert main(["distil", str(teacher), "--out", str(out), "--json", *SMALL]) == 0
    said = json.loads(capsys.readouterr().out)["figures"]
    bundle = load_bundle(out, served=True)
    assert bundle.manifest.figures == said
    assert bundle.policy.shape == (WIDTH, ACTIONS)
    assert said["parameters"] <= 0.2 * said["teacher_parameters"]
    assert said["smaller_by"] >= 0.8
    assert said["teacher"] == load_bundle(teacher).policy.name
    loss, large = said["loss_of_value_cents"], said["teacher_value_per_user_week_cents"]
    assert loss["mean"] == pytest.approx(large["mean"] - said["value_per_user_week_cents"]["mean"])
    assert loss["low"] <= loss["mean"] <= loss["high"]


@pytest.mark.slow
def test_a_student_of_several_budget_prices_is_judged_at_each(
    teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["distil", str(teacher), "--out", str(tmp_path / "student"), *SMALL]
    assert main([*arguments, "--budget-prices", "0", "0.5"]) == 0
    figures = load_bundle(tmp_path / "student").manifest.figures
    (other,) = figures["at_other_budget_prices"]
    assert (figures["budget_price"], other["budget_price"]) == (0.0, 0.5)
    assert other["value_per_user_week_cents"] != figures["value_per_user_week_cents"]
    said = capsys.readouterr().err
    assert said.count("loss of value") == 2
    assert "at a budget price of 0.5" in said


@pytest.mark.slow
def test_a_student_repeats_with_its_seed(teacher: Path, tmp_path: Path) -> None:
    sums = []
    for name in ("a", "b"):
        assert main(["distil", str(teacher), "--out", str(tmp_path / name), "--json", *SMALL]) == 0
        sums.append(load_bundle(tmp_path / name).manifest.weights_sha256)
    assert sums[0] == sums[1]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--hidden", "60", "60"), "more than 20% of the teacher's 6,331: give narrower ones"),
        (("--hidden", "0"), "1 or more"),
        (("--users", "0"), "1 or more"),
        (("--steps", "0"), "--steps 0 has to be above 0"),
        (("--evaluate-users", "1"), "2 or more"),
        (("--budget-prices", "-1"), "0 or more"),
    ],
)
def test_what_cannot_be_distilled_is_refused_in_one_line(
    options: tuple[str, ...],
    says: str,
    teacher: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["distil", str(teacher), "--out", str(tmp_path / "out"), *options]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_posterior_has_no_layers_to_distil(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    factors = np.zeros((ACTIONS, WIDTH + 1, WIDTH + 1))
    beliefs = LinearGaussianPolicy(np.zeros((ACTIONS, WIDTH + 1)), factors, Thompson(0.01, 0.5))
    save_bundle(tmp_path / "bundle", beliefs, CATALOGUE, lineage(7), {})
    assert main(["distil", str(tmp_path / "bundle"), "--out", str(tmp_path / "out")]) == 2
    assert "only a q_network is distilled" in capsys.readouterr().err
