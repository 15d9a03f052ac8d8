from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.baselines import make_baseline
from envs.catalogue import Catalogue
from envs.decisions import Policy
from simulators.__main__ import load_policy, main
from simulators.cluster import quiet_ray
from simulators.content import PART_USERS
from simulators.replay import LoadPolicy, world_of
from simulators.run import RunConfig, run_rollout
from simulators.shards import shards_of
from simulators.trace import read_trace

ROOT = Path(__file__).parent.parent.parent
RUN = RunConfig(users=2 * PART_USERS + 40, days=1.0, seed=3, json=True)
SHORT = RunConfig(users=9, days=3.0, seed=3, json=True)


def sha256(config: RunConfig, out: Path, load: LoadPolicy = load_policy) -> str:
    run_rollout(replace(config, out=str(out)), load)
    return hashlib.sha256(out.read_bytes()).hexdigest()


class Fragile:
    """Uniform, but the worker that meets a certain user first is taken away while it plays."""

    name = "uniform"

    def __init__(self, catalogue: Catalogue, folder: Path) -> None:
        self._policy, self._folder = make_baseline("uniform", catalogue), folder
        self._driver, self._calls = os.getpid(), 0

    def probabilities(
        self, observations: NDArray[np.float32], mask: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        self._calls += 1
        worker = os.getpid()
        if self._calls == 4 and worker != self._driver and not list(self._folder.iterdir()):
            (self._folder / str(worker)).touch()
            os.kill(worker, signal.SIGKILL)
        return self._policy.probabilities(observations, mask)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, 4])
def test_the_file_is_the_same_byte_for_byte_for_any_batch_size(rows: int, tmp_path: Path) -> None:
    together = sha256(SHORT, tmp_path / "together.parquet")
    assert sha256(replace(SHORT, batch_size=rows), tmp_path / "apart.parquet") == together


def test_users_are_cut_into_whole_parts_whatever_the_batch_size_and_workers() -> None:
    users = np.arange(5 * PART_USERS + 1)
    for rows, workers, sizes in (
        (1, 0, [1, 1, 1, 1, 1, 1]),
        (3 * PART_USERS, 0, [3, 3]),
        (8192, 0, [6]),
        (8192, 3, [2, 2, 2]),
        (8192, 20, [1, 1, 1, 1, 1, 1]),
    ):
        shards = shards_of(users, rows, workers)
        assert np.array_equal(np.concatenate(shards), users)
        assert all(len(shard) % PART_USERS == 0 for shard in shards[:-1])
        assert [-(-len(shard) // PART_USERS) for shard in shards] == sizes


def test_a_run_holds_the_parts_one_after_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_rollout(replace(RUN, out=str(tmp_path / "whole.parquet")), load_policy)
    whole = json.loads(capsys.readouterr().out)
    run_rollout(replace(RUN, out=f"{tmp_path}/folder/", batch_size=PART_USERS), load_policy)
    folder = json.loads(capsys.readouterr().out)
    trace = read_trace(tmp_path / "whole.parquet")
    assert trace.table.equals(read_trace(tmp_path / "folder").table)
    assert trace.info.content_hash == whole["content_hash"] == folder["content_hash"]
    assert "batch" not in trace.info.lineage["command"]
    for name in ("value_per_user_week_cents", "expected_per_user_week_cents", "decisions"):
        assert whole[name] == folder[name], name
    total = trace.column("net_cents").sum() / RUN.users * 7
    assert np.isclose(whole["value_per_user_week_cents"]["mean"], total)
    assert main(["replay", str(tmp_path / "folder"), "--json"]) == 0


def test_stress_and_signals_are_kept_and_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trace.parquet"
    stress = ("drift:0.2", "failed_channel:push:0:2", "missing_signals:0.5")
    run_rollout(replace(SHORT, out=str(path), stress=stress, signals=True), load_policy)
    plain = json.loads(capsys.readouterr().out)
    trace = read_trace(path)
    assert trace.info.stress == stress and trace.info.signals
    assert "--stress drift:0.2 failed_channel:push:0:2" in trace.info.lineage["command"]
    places = trace.table.column("signal_place_type").to_pylist()
    assert "missing" in places and len(set(places)) > 2
    assert main(["replay", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["equal"] is True
    run_rollout(replace(SHORT, stress=stress), load_policy)
    unsensed = json.loads(capsys.readouterr().out)
    for name in ("value_per_user_week_cents", "decisions"):  # who looks changes nothing
        assert unsensed[name] == plain[name]


def test_a_budget_binds_in_a_run(tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    config = RunConfig(users=40, days=14.0, preset="budget", out=str(path), json=True)
    run_rollout(config, load_policy)
    trace = read_trace(path)
    world = world_of(trace)
    budget = world.preset.budget_cents_per_user_week
    assert budget is not None
    spent = np.bincount(
        trace.column("user"),
        trace.column("offer_cost_cents") + trace.column("contact_cost_cents"),
    )
    assert 0 < spent.max() <= 2 * budget


@pytest.mark.slow
def test_workers_make_the_same_file_even_when_one_of_them_is_killed(tmp_path: Path) -> None:
    here = sha256(RUN, tmp_path / "here.parquet")
    marks = tmp_path / "marks"
    marks.mkdir()

    def load_fragile(spec: str, catalogue: Catalogue) -> Policy:
        return Fragile(catalogue, marks)

    with quiet_ray(None, 3):
        for workers in (1, 3):
            config = replace(RUN, workers=workers)
            assert sha256(config, tmp_path / f"{workers}.parquet") == here
        killed = replace(RUN, workers=2)
        assert sha256(killed, tmp_path / "killed.parquet", load_fragile) == here
    assert len(list(marks.iterdir())) == 1


@pytest.mark.slow
def test_a_cluster_that_is_already_there_makes_the_same_file(tmp_path: Path) -> None:
    here = sha256(RUN, tmp_path / "here.parquet")
    with quiet_ray(None, 2):
        import ray

        address = ray.get_runtime_context().gcs_address
        out = tmp_path / "there.parquet"
        given = ["--users", str(RUN.users), "--days", "1", "--seed", "3", "--json"]
        command = [sys.executable, "-m", "simulators", "run", *given, "--address", address]
        ran = subprocess.run(
            [*command, "--out", str(out)], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["users"] == RUN.users
    assert hashlib.sha256(out.read_bytes()).hexdigest() == here
