from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from agents.baselines import Uniform
from agents.shipping.pieces import pieces_of
from benchmarks.scoring import ScoringBenchmark, best_of, ratios, users_file
from envs.catalogue import load_catalogue
from simulators.make import world_factory
from simulators.snapshot import Life, people_after


def test_a_file_has_as_many_users_as_asked_for_each_under_a_name_of_its_own(
    tmp_path: Path,
) -> None:
    lives = [people_after(np.arange(40), Life(world_factory(), 0, Uniform(), 1.0))]
    path = users_file(ScoringBenchmark(), tmp_path / "users.parquet", lives, 100)
    names = pq.read_table(path).column("user_id").to_pylist()
    assert len(set(names)) == len(names) == 100
    pieces = pieces_of(path, load_catalogue())
    assert sum(piece.rows for piece in pieces) == 100
    assert max(piece.rows for piece in pieces) == lives[0].num_rows


def test_of_several_runs_the_fastest_counts_and_the_most_memory() -> None:
    runs = [
        {"per_second": speed, "per_cpu_second": 1 / speed, "peak_worker_mb": speed,
         "peak_driver_mb": 9 - speed}
        for speed in (1.0, 4.0, 2.0)
    ]  # fmt: skip
    assert best_of(iter(runs)) == {
        "per_second": 4.0, "per_cpu_second": 1.0, "peak_worker_mb": 4.0, "peak_driver_mb": 8.0,
    }  # fmt: skip


def test_ratios_are_to_the_bare_policy_and_to_the_smaller_file() -> None:
    floor = {"per_second": 400.0, "per_cpu_second": 500.0}
    small = {"users": 100, "seconds": 3.0, "peak_worker_mb": 200.0, "peak_driver_mb": 100.0}
    whole = {"users": 400, "seconds": 4.5, "per_second": 300.0, "per_cpu_second": 250.0,
             "peak_worker_mb": 210.0, "peak_driver_mb": 100.0}  # fmt: skip
    found = ratios({"floor": floor, "quarter": small, "whole": whole}, workers=2)
    assert found == {
        "speed_of_floor": 0.75,
        "speed_of_floor_a_core": 0.5,
        "further_per_second": 200.0,
        "two_cores_alone_per_second": 500.0,
        "worker_memory": pytest.approx(1.05),
        "driver_memory": 1.0,
    }
