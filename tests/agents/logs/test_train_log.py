"""Training from a log of decisions alone, as the command does it."""

from pathlib import Path

import numpy as np
import pytest

from agents.__main__ import main
from agents.policy import load_bundle
from envs.catalogue import load_catalogue
from envs.encoding import Encoding
from simulators.logs.logged import Log, write_log

pytestmark = [
    pytest.mark.slow,  # starts Ray and trains
    pytest.mark.usefixtures("small_ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
CATALOGUE = load_catalogue(Path("simulators/logs/campaigns/hillstrom.yaml"))
CHANCES = np.array([0.1, 0.3, 0.2])
"""Of a visit, by action: the second is the best."""


def campaign(n: int) -> Log:
    """Actions at a third each; every tenth reward is unknown, every tenth decision degraded."""
    rng = np.random.default_rng(0)
    actions = rng.integers(3, size=n)
    rewards = (rng.random(n) < CHANCES[actions]).astype(float)
    rewards[::10] = np.nan
    degraded = np.zeros(n, bool)
    degraded[5::10] = True
    rewards[degraded] = 1_000.0  # would decide everything if it were learnt from
    return Log(
        catalogue=CATALOGUE,
        decision_ids=np.asarray([f"d{i}" for i in range(n)], object),
        user_ids=np.asarray([f"u{i}" for i in range(n)], object),
        times=np.arange(n, dtype=np.int32),
        scenes=np.zeros(n, np.int16),
        actions=actions,
        propensities=np.full(n, 1 / 3),
        observations=np.zeros((n, Encoding(CATALOGUE).width), np.float32),
        mask=np.ones((n, 3), bool),
        rewards=rewards,
        attributes=np.full((n, len(CATALOGUE.attributes)), np.nan),
        degraded=degraded,
        reward_unit="visits",
    )


def test_a_log_teaches_the_best_action_and_only_its_sound_rows_count(tmp_path: Path) -> None:
    log = campaign(20_000)
    write_log(log, tmp_path / "log.parquet")
    given = ["train", "lints", "--log", str(tmp_path / "log.parquet"), "--floor", "0"]
    assert main([*given, "--out", str(tmp_path / "policy"), "--json"]) == 0
    bundle = load_bundle(tmp_path / "policy")
    row = bundle.policy.probabilities(log.observations[:1], log.mask[:1])[0]
    assert row[1] > 0.99
    assert bundle.catalogue.hash == CATALOGUE.hash
    assert bundle.manifest.figures["steps"] == 16_000
    assert bundle.manifest.figures["reward_unit"] == "visits"
    means = bundle.policy.scores(log.observations[:1])[0][0]
    np.testing.assert_allclose(means, CHANCES, atol=0.04)  # 5 standard errors


@pytest.mark.parametrize("learner", ["linucb", "squarecb", "epsgreedy", "neurallinear"])
def test_every_bandit_learns_the_best_action_from_a_log(learner: str, tmp_path: Path) -> None:
    log = campaign(20_000)
    write_log(log, tmp_path / "log.parquet")
    given = ["train", learner, "--log", str(tmp_path / "log.parquet"), "--floor", "0"]
    given += ["--weight-limit", "5", "--half-life", "20000"]
    assert main([*given, "--out", str(tmp_path / "policy"), "--json"]) == 0
    policy = load_bundle(tmp_path / "policy").policy
    row = policy.probabilities(log.observations[:1], log.mask[:1])[0]
    assert row[1] > 0.9
    means = policy.scores(log.observations[:1])[0][0]
    np.testing.assert_allclose(means, CHANCES, atol=0.05)  # 5 standard errors, half as many rows


def test_a_log_of_another_catalogue_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_log(campaign(100), tmp_path / "log.parquet")
    given = ["train", "lints", "--log", str(tmp_path / "log.parquet"), "--out", str(tmp_path / "p")]
    assert main([*given, "--catalogue", "envs/default.yaml"]) == 2
    assert "another catalogue" in capsys.readouterr().err


def test_conservative_q_learning_is_trained_from_a_log_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = campaign(4_000)
    write_log(log, tmp_path / "log.parquet")
    given = ["train", "cql", "--out", str(tmp_path / "policy"), "--steps", "200000", "--json"]
    assert main(given) == 2
    assert "cql learns from a log alone: give one with --log" in capsys.readouterr().err
    assert main([*given, "--log", str(tmp_path / "log.parquet"), "--floor", "0"]) == 0
    bundle = load_bundle(tmp_path / "policy")
    figures = bundle.manifest.figures
    assert figures["rows"] == 3_200 and figures["steps"] >= 200_000
    assert not figures["sequential"] and figures["reward_unit"] == "visits"
    row = bundle.policy.probabilities(log.observations[:1], log.mask[:1])[0]
    assert row[1] == 1.0
