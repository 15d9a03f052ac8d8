"""Training against stock DQNs: the learning curves' clock and plateau, the peers, the command."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import pytest

from agents.baselines import make_baseline
from agents.judging.field import Field
from benchmarks.curves import Checkpoints, Curve, Judge, Point, standings
from benchmarks.training import main
from simulators.presets import catalogue_for
from simulators.value import Estimate

IGNORED = pytest.mark.filterwarnings("ignore")  # of RLlib and of SB3, about their own ways


def curve(learner: str, *gains: float) -> Curve:
    points = [
        Point(float(i + 1), 2.0 * i, 100 * i, Estimate(gain, gain, gain, 5))
        for i, gain in enumerate(gains)
    ]
    return Curve(learner, "some", 0, points)


def test_the_plateau_is_our_last_value_and_whoever_never_comes_has_no_time() -> None:
    plateau, found = standings([curve("ours", 10, 96, 100), curve("theirs", 5, 94.9, 94)], "ours")
    assert plateau == 100
    assert [each.seconds for each in found] == [2.0, None]
    assert found[1].final == 94 and found[1].given == 3.0


def test_whoever_falls_back_has_not_held_the_plateau() -> None:
    ours, theirs = curve("ours", 96, 90, 97, 100), curve("theirs", 96, 97, 99, 94)
    _, found = standings([ours, theirs, curve("others", 95, 95, 95, 95)], "ours")
    assert [each.seconds for each in found] == [1.0, 1.0, 1.0]
    assert [each.held for each in found] == [3.0, None, 1.0]


def test_the_clock_stands_still_while_a_policy_is_judged() -> None:
    catalogue = catalogue_for("tabular", None)
    judge = Judge(Field(catalogue, "tabular", 4, 2.0))
    silence = make_baseline("silence", catalogue)
    learnt = Curve("ours", "some", 0)
    checkpoints = Checkpoints(learnt, 0.05, judge, lambda share: None)
    checkpoints.start()
    begun = time.process_time()
    while checkpoints.passed(lambda: silence, lambda: 7):
        np.sort(np.random.default_rng(0).random(1000))
    assert learnt.points[-1].seconds < time.process_time() - begun
    assert all(point.steps == 7 and point.gain.mean == 0 for point in learnt.points)
    assert np.all(np.diff([point.seconds for point in learnt.points]) > 0)


@IGNORED
def test_learners_of_others_earn_what_ours_learns_from() -> None:
    from benchmarks.learnt_signal import LearntSignal

    context = {
        "num_envs": 20, "preset": "default", "days": 28.0,
        "reward": "uplift", "price": 15.0, "scale": 0.01,
    }  # fmt: skip
    env = LearntSignal(context)
    observation, _ = env.reset(seed=1)
    actions = np.where(observation["action_mask"][:, 5] == 1, 5, 0)
    _, rewards, _, _, info = env.step(actions)
    uplift = info["expected_cents"] - info["silence_cents"]
    assert (actions > 0).any()
    assert rewards == pytest.approx(0.01 * (uplift - 15.0 * (actions > 0)))


@IGNORED
def test_sb3_plays_a_masked_action_as_silence() -> None:
    pytest.importorskip("stable_baselines3", reason="stable-baselines3 is in the extra `bench`")
    from agents.policies.q_network import QNetworkPolicy
    from benchmarks.sb3_dqn import PlayedAsSilence

    weight = np.zeros((5, 3))  # two features, three actions: the last one always seems best
    policy = PlayedAsSilence(QNetworkPolicy(((weight, np.array([0.0, 1.0, 2.0])),), 0.0))
    mask = np.array([[True, True, True], [True, True, False]])
    rows = policy.probabilities(np.zeros((2, 2), np.float32), mask)
    assert rows.tolist() == [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]


@IGNORED
@pytest.mark.slow
def test_the_command_measures_both_sides_in_one_run(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--envs", "64", "--runners", "2", "--repeats", "1", "--seconds", "0.2", "--users", "4"]
    assert main([*given, "--preset", "tabular", "--minutes", "0.05", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    for pair in result["paces"]["pairs"]:
        assert pair["sampled_ratio"]["median"] > 0 and pair["trained_ratio"]["median"] > 0
    for shares in result["paces"]["phases"].values():
        assert sum(shares.values()) == pytest.approx(1.0)
    learners = {each["learner"] for each in result["curves"]["standings"]}
    assert learners == {"ours", "rllib dqn"} | ({"sb3 dqn"} if result["sb3_installed"] else set())
    assert "ray" in sys.modules


def test_what_cannot_be_measured_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--minutes", "-1"]) == 2
    assert main(["--preset", "nowhere"]) == 2
    assert capsys.readouterr().err.count("\n") == 2
