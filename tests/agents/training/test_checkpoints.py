"""Checkpoints are whole, the last ones stay, and only the same training goes on from them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.__main__ import main
from agents.learners import LEARNERS
from agents.policy import load_bundle
from agents.training.checkpoints import KEPT, Checkpoints, Origin, check_folder, find_checkpoint
from envs.errors import InputError
from tests.agents.rationing import Rationing

pytestmark = [
    pytest.mark.slow,  # starts Ray and trains
    pytest.mark.usefixtures("small_ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
ROOT = Path(__file__).parents[3]
ORIGIN = Origin("q", "a" * 64)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def make(**training: Any) -> Any:
    config = LEARNERS["q"].make().environment(Rationing).debugging(seed=0, log_level="ERROR")
    config.env_runners(num_envs_per_env_runner=16, rollout_fragment_length=4)
    small = {"hidden": (8,), "updates": 2, "first_rows": 300, "silence_steps": 0}
    config.training(reward="sampled", train_batch_size_per_learner=32, **(small | training))
    return config.build_algo()


@pytest.fixture(scope="module")
def algorithm(small_ray: None) -> Iterator[Any]:
    algorithm = make()
    yield algorithm
    algorithm.stop()


def test_the_last_checkpoints_stay_and_the_folder_stands_for_the_last(
    algorithm: Any, tmp_path: Path
) -> None:
    left = Checkpoints(tmp_path, ORIGIN, every_s=60.0)
    for number in range(1, KEPT + 3):
        left.keep(algorithm)
        assert find_checkpoint(tmp_path, ORIGIN).name == f"{number:06d}"
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"{number:06d}" for number in range(3, KEPT + 3)]
    assert find_checkpoint(tmp_path / names[0]) == tmp_path / names[0]


def test_a_training_that_goes_on_counts_further(algorithm: Any, tmp_path: Path) -> None:
    for _ in range(2):  # two processes, one after the other
        Checkpoints(tmp_path, ORIGIN, every_s=60.0).keep(algorithm)
    assert find_checkpoint(tmp_path).name == "000002"


def test_what_a_killed_process_had_half_written_is_not_found(
    algorithm: Any, tmp_path: Path
) -> None:
    left = Checkpoints(tmp_path, ORIGIN, every_s=60.0)
    left.keep(algorithm)
    shutil.copytree(tmp_path / "000001", tmp_path / ".000002.4711")
    assert find_checkpoint(tmp_path).name == "000001"
    left.keep(algorithm)
    assert find_checkpoint(tmp_path).name == "000002"


def test_checkpoints_are_left_when_they_are_due(algorithm: Any, tmp_path: Path) -> None:
    clock = Clock()
    left = Checkpoints(tmp_path, ORIGIN, every_s=10.0, clock=clock)
    for seconds, last in ((9.0, None), (2.0, "000001"), (9.0, "000001"), (2.0, "000002")):
        clock.now += seconds
        left.keep_when_due(algorithm)
        assert max((path.name for path in tmp_path.iterdir()), default=None) == last


def test_nothing_is_left_without_a_folder(
    algorithm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    left = Checkpoints(None, ORIGIN, every_s=0.0)
    left.keep_when_due(algorithm)
    left.keep(algorithm)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("other", "says"),
    [(Origin("lints", "a" * 64), "learner lints"), (Origin("q", "b" * 64), "catalogue bbbb")],
)
def test_another_training_does_not_go_on_from_it(
    algorithm: Any, tmp_path: Path, other: Origin, says: str
) -> None:
    Checkpoints(tmp_path, ORIGIN, every_s=60.0).keep(algorithm)
    with pytest.raises(InputError, match=says):
        find_checkpoint(tmp_path, other)


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"thesis\.txt is a file"):
        check_folder(tmp_path / "thesis.txt")


def test_nothing_is_learnt_after_a_restore_until_the_memory_is_filled_anew(tmp_path: Path) -> None:
    first = make()
    for _ in range(10):
        first.train()
    Checkpoints(tmp_path, ORIGIN, every_s=60.0).keep(first)
    learnt = first.policy().weights()
    first.stop()
    again = make(first_rows=300)
    again.restore_from_path(find_checkpoint(tmp_path).as_posix())
    known = again.sampled_steps()
    while again.sampled_steps() - known < 200:
        again.train()
    same = again.policy().weights()
    for _ in range(5):
        again.train()
    later = again.policy().weights()
    again.stop()
    assert all(np.array_equal(array, same[name]) for name, array in learnt.items())
    assert not all(np.array_equal(array, later[name]) for name, array in learnt.items())


def test_a_training_that_was_killed_goes_on_from_its_last_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept"
    given = ["train", "q", "--preset", "small", "--evaluate-users", "0", "--json"]
    endless = ["--steps", "1000000000", "--checkpoint", str(kept), "--checkpoint-seconds", "1"]
    training = subprocess.Popen(
        [sys.executable, "-m", "agents", *given, *endless, "--out", str(tmp_path / "never")],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        patience = time.monotonic() + 120
        while not (kept / "000002").exists() and time.monotonic() < patience:
            assert training.poll() is None
            time.sleep(0.1)
    finally:
        os.killpg(training.pid, signal.SIGKILL)
        training.wait()
    assert not (tmp_path / "never").exists()
    out = tmp_path / "policy"
    assert main([*given, "--steps", "9000", "--resume", str(kept), "--out", str(out)]) == 0
    assert json.loads(capsys.readouterr().out)["figures"]["steps"] >= 9000
    assert load_bundle(out).manifest.figures["steps"] >= 9000


def test_a_training_begun_anew_counts_its_steps_from_the_very_beginning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = []
    for steps in (20_000, 40_000):  # the second is the first one, begun anew
        given = ["train", "q", "--preset", "small", "--evaluate-users", "0", "--json", "--go-on"]
        places = ["--checkpoint", str(tmp_path / "kept"), "--out", str(tmp_path / "policy")]
        assert main([*given, *places, "--steps", str(steps)]) == 0
        taken.append(json.loads(capsys.readouterr().out)["figures"]["steps"])
    assert 20_000 <= taken[0] < 40_000 <= taken[1] < 20_000 + 40_000


@pytest.mark.parametrize("beside", [[], ["--checkpoint", "kept", "--resume", "kept"]])
def test_going_on_asks_for_the_folder_of_checkpoints_alone(
    beside: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["train", "q", "--go-on", "--out", str(tmp_path / "policy"), *beside]) == 2
    assert "--go-on goes on from --checkpoint" in capsys.readouterr().err
