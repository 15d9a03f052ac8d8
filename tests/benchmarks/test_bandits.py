"""Bandits against Vowpal Wabbit: the rounds, the players, the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.bandit_players import Ours, as_text, play
from benchmarks.bandit_settings import entries
from benchmarks.bandits import best_against_best, main
from benchmarks.real_logs import RealLog, real_logs
from benchmarks.rounds import Rounds, log_rounds, world_rounds

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"


def known_rounds(rounds: int, seed: int = 0) -> Rounds:
    """Three actions, of which the second earns the most where the only feature is positive."""
    seen = np.random.default_rng(seed).uniform(-1, 1, (rounds, 1)).astype(np.float32)
    means = np.concatenate([np.full((rounds, 1), 0.5), 0.5 + seen, np.zeros((rounds, 1))], axis=1)
    mask = np.ones((rounds, 3), np.bool_)
    return Rounds("known", seen, mask, means, means, (0.0, 1.0), "points")


def test_the_regret_of_the_best_allowed_action_is_nothing() -> None:
    rounds = world_rounds(300, seed=1)
    rows = np.arange(len(rounds))
    assert rounds.means is not None and len(rounds) == 300
    best = np.where(rounds.mask, rounds.means, -np.inf).argmax(axis=1)
    chances = np.eye(rounds.mask.shape[1])[best]
    assert np.allclose(rounds.regret(rows, chances, best), 0.0)
    silent = np.eye(rounds.mask.shape[1])[np.zeros(len(rows), int)]
    assert rounds.regret(rows, silent, np.zeros(len(rows), int)).mean() > 0


def test_the_same_seed_poses_the_same_rounds() -> None:
    first, again, other = (world_rounds(100, seed) for seed in (3, 3, 4))
    assert np.array_equal(first.observations, again.observations)
    assert np.array_equal(first.rewards, again.rewards)
    assert not np.array_equal(first.observations, other.observations)


def test_replay_answers_only_what_the_log_took_and_without_bias() -> None:
    # The first action is taken four times as often and the log says so. Whoever plays at random
    # earns the mean over actions: 5 standard errors, one false alarm in a million runs.
    rng = np.random.default_rng(5)
    actions = rng.choice(3, 30_000, p=[2 / 3, 1 / 6, 1 / 6])
    chance = np.array([0.2, 0.5, 0.8])[actions]
    log = RealLog(
        "made", np.zeros((30_000, 1), np.float32), actions,
        np.array([2 / 3, 1 / 6, 1 / 6])[actions], (rng.random(30_000) < chance).astype(float),
        3, "points",
    )  # fmt: skip
    rounds = log_rounds(log, 12_000, seed=0)
    rows, played = np.arange(len(rounds)), rng.integers(3, size=len(rounds))
    answers = rounds.answers(rows, played)
    known = ~np.isnan(answers)
    assert abs(known.mean() - 1 / 3) < 5 * (2 / 9 / len(rows)) ** 0.5
    assert abs(answers[known].mean() - 0.5) < 5 * 0.5 / known.sum() ** 0.5
    assert log.best_arm() == pytest.approx(0.8, abs=0.04)


def test_ours_stops_regretting_what_is_linear() -> None:
    rounds = known_rounds(2000)
    settings = {"ridge": 1.0, "floor": 0.0, "spread": 1.0}
    game = play(rounds, Ours(rounds, "thompson", settings), seed=0)
    assert game.learnt == 2000
    assert game.regret[-500:].mean() < 0.1 * game.regret[:50].mean()


def test_vowpal_wabbit_reads_the_text_and_learns_the_same() -> None:
    pytest.importorskip("vowpalwabbit", reason="vowpalwabbit is in the extra `bench`")
    rounds = known_rounds(2000)
    entry = entries()["vw epsilon"][0]
    game = play(rounds, entry.make(rounds, as_text(rounds), 0), seed=0)
    assert game.regret[-500:].mean() < 0.5 * game.regret[:50].mean()


def test_real_logs_have_the_propensities_that_their_shares_show() -> None:
    logs = real_logs(DATA)
    if not logs:
        pytest.skip("the real logs are not in ../shared/data")
    for log in logs:
        for arm in range(log.arms):
            taken = log.actions == arm
            share = log.propensities[taken].mean()
            assert log.propensities[taken] == pytest.approx(share)
            error = (share * (1 - share) / len(taken)) ** 0.5
            assert abs(taken.mean() - share) < 5 * error, (log.name, arm)


@pytest.mark.slow
def test_the_command_prints_one_object_with_paired_differences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--rounds", "200", "--seeds", "2", "--tuning-seeds", "1", "--logs", str(tmp_path)]
    assert main([*given, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {each["problem"] for each in result["results"]} == {"world, default"}
    learners = {each["learner"] for each in result["results"]}
    assert {"lints", "linucb", "squarecb", "epsgreedy"} <= learners
    assert all(each["regret"]["mean"] >= 0 for each in result["results"])
    assert bool(result["best_of_ours_less_best_of_vw"]) == result["vw_installed"]
    assert best_against_best([]) == {}


def test_too_few_seeds_are_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "1"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
