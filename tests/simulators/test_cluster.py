from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from envs.errors import InputError
from simulators.cluster import everywhere, quiet_ray

ROOT = Path(__file__).parent.parent.parent


def scaled(number: int, factor: int) -> int:
    return factor * number


def scaled_unless_killed(number: int, folder: Path) -> int:
    """Dies as if the machine had taken the worker away, the first time it is given 3."""
    mark = folder / f"{os.getpid()}.pid"
    if number == 3 and not list(folder.glob("*.pid")):
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 10 * number


def total(factor: int, numbers: np.ndarray) -> int:
    return int(factor * numbers.sum())


def test_without_workers_everything_is_done_here_in_order() -> None:
    told: list[float] = []
    results = everywhere(partial(scaled, factor=3), range(4), progress=told.append)
    assert list(results) == [0, 3, 6, 9]
    assert told == [0.25, 0.5, 0.75, 1.0]


def test_ray_is_not_loaded_by_who_does_not_ask_for_it() -> None:
    rooms = "simulators.__main__, simulators.run, simulators.replay, simulators.shards"
    code = f"import sys, {rooms}, simulators.cluster; print('ray' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.strip() == "False", run.stderr


@pytest.mark.slow
def test_ray_gives_the_same_results_in_the_same_order_even_when_a_worker_is_killed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with quiet_ray(None, 2):
        told: list[float] = []
        results = everywhere(partial(scaled, factor=3), range(9), workers=2, progress=told.append)
        assert list(results) == [3 * number for number in range(9)]
        assert told == sorted(told) and told[-1] == 1.0
        fragile = partial(scaled_unless_killed, folder=tmp_path)
        assert list(everywhere(fragile, range(9), workers=2)) == [10 * n for n in range(9)]
        assert len(list(tmp_path.glob("*.pid"))) == 1
        with_array = partial(total, numbers=np.arange(5))
        assert list(everywhere(with_array, [1, 2], workers=2)) == [10, 20]
        assert list(everywhere(with_array, [], workers=2)) == []
    assert capfd.readouterr().out == ""


@pytest.mark.slow
def test_a_ray_that_is_there_already_is_not_taken_for_another_cluster() -> None:
    import ray

    with quiet_ray(None, 1):
        there = ray.get_runtime_context().gcs_address
        with pytest.raises(InputError, match=rf"{there}, not to 127\.0\.0\.1:1"):
            list(everywhere(partial(scaled, factor=3), [1], address="127.0.0.1:1"))
        assert list(everywhere(partial(scaled, factor=3), [1, 2], address=there)) == [3, 6]
        assert ray.is_initialized()
    assert not ray.is_initialized()
