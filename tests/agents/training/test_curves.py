"""The curves of a training, as TensorBoard reads them."""

import math
from pathlib import Path
from typing import Any

import pytest

from agents.__main__ import main
from agents.training.curves import EVERY_S, Curves, curves_beside
from tests.agents.events import curves


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def iteration(loss: float, **learner: Any) -> dict[str, Any]:
    """The figures that RLlib gives of an iteration, as far as they matter."""
    return {
        "learners": {
            "__all_modules__": {"num_env_steps_trained": 64},
            "default_policy": {
                "loss": loss, "num_module_steps_trained": 64, "weights_seq_no": 3.0,
                "num_module_steps_trained_lifetime_throughput": {"since": 1.0}, **learner,
            },
        },
        "env_runners": {"episode_return_mean": math.nan},
        "fault_tolerance": {"num_healthy_workers": 2, "num_remote_worker_restarts": 1},
    }  # fmt: skip


def test_what_is_learnt_is_drawn_over_decisions_with_speed_and_exploration(tmp_path: Path) -> None:
    clock = Clock()
    with Curves(tmp_path, clock) as drawn:
        for steps, loss in ((100, 9.0), (300, 4.0), (700, 2.0)):
            drawn.draw(steps, iteration(loss), {"epsilon": 1.0 / steps})
            clock.now += 2 * EVERY_S
    found = curves(tmp_path)
    assert found["learning/loss"] == [(300, 4.0), (700, 2.0)]
    assert found["speed/steps_per_s"] == [(300, 100 / EVERY_S), (700, 200 / EVERY_S)]
    assert [steps for steps, _ in found["exploration/epsilon"]] == [300, 700]
    assert found["world/runner_restarts"] == [(300, 1.0), (700, 1.0)]
    assert set(found) == {
        "learning/loss", "speed/steps_per_s", "exploration/epsilon", "world/runners",
        "world/runner_restarts",
    }  # fmt: skip


def test_points_that_are_too_near_are_left_out(tmp_path: Path) -> None:
    clock = Clock()
    with Curves(tmp_path, clock) as drawn:
        for steps in range(100):
            drawn.draw(steps, iteration(1.0), {})
            clock.now += EVERY_S / 10
    assert 8 <= len(curves(tmp_path)["learning/loss"]) <= 10


def test_what_a_learner_cannot_say_yet_is_left_out(tmp_path: Path) -> None:
    clock = Clock()
    with Curves(tmp_path, clock) as drawn:
        drawn.draw(0, {}, {})
        clock.now += EVERY_S
        drawn.draw(10, iteration(math.inf, value_mean=7.0), {})
    found = curves(tmp_path)
    assert "learning/loss" not in found
    assert found["learning/value_mean"] == [(10, 7.0)]


def test_an_evaluation_is_drawn_with_its_interval(tmp_path: Path) -> None:
    with Curves(tmp_path) as drawn:
        gain = {"mean": 12.0, "low": 10.0, "high": 14.0}
        drawn.evaluated(500, {"gain_over_silence": gain, "evaluation": {"users": 300}, "steps": 1})
    assert curves(tmp_path) == {
        f"evaluation/gain_over_silence/{name}": [(500, value)] for name, value in gain.items()
    }


@pytest.mark.slow
@pytest.mark.usefixtures("small_ray")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_training_draws_beside_its_bundle(tmp_path: Path) -> None:
    out = tmp_path / "policy"
    given = ["train", "q", "--preset", "small", "--out", str(out), "--seconds", "8", "--json"]
    assert main([*given, "--evaluate-users", "20", "--days", "2"]) == 0
    found = curves(curves_beside(out))
    assert {"learning/loss", "learning/value_mean", "speed/steps_per_s"} <= set(found)
    assert {"exploration/epsilon", "evaluation/gain_over_silence/mean"} <= set(found)
    steps = [step for step, _ in found["speed/steps_per_s"]]
    assert steps == sorted(set(steps))
    assert all(0 < value <= 1 for _, value in found["exploration/epsilon"])
