"""The bench: what it measures adds up, and it leaves nothing behind."""

from __future__ import annotations

import json
import stat
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from envs.encoding import Encoding
from simulators.journey import Journey
from simulators.speed.bench import BenchConfig, measure
from simulators.speed.peers import PEERS, peer_python, peer_speed
from simulators.speed.resident import measure_memory
from simulators.speed.stopwatch import PARTS, Stopwatch


def test_the_shares_of_all_parts_add_up_to_one(tmp_path: Path) -> None:
    short = {"users": 50, "steps": 4, "repeats": 2, "memory_users": 0}
    bench = measure(BenchConfig(peers=tmp_path, json=True, **short))
    assert set(bench.shares) == {"action choice", *PARTS}
    assert sum(bench.shares.values()) == pytest.approx(1.0)
    assert bench.shares["encode"] > 0 and min(bench.shares.values()) >= 0
    assert bench.speed.lowest <= bench.speed.median <= bench.speed.highest
    assert bench.memory is None and bench.peers == dict.fromkeys(PEERS)
    json.dumps(asdict(bench))


def test_the_stopwatch_leaves_the_functions_as_they_were() -> None:
    encode, drawn = Encoding.encode, vars(Journey)["drawn"]
    with Stopwatch(PARTS):
        assert Encoding.encode is not encode
    assert Encoding.encode is encode and vars(Journey)["drawn"] is drawn


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_is_measured_by_its_own_python(tmp_path: Path, peer: str) -> None:
    assert peer_speed(tmp_path, peer) is None
    python = peer_python(tmp_path, peer)
    python.parent.mkdir(parents=True)
    python.write_text(f"#!{sys.executable}\nprint('loading')\nprint(125.5)\n")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    assert peer_speed(tmp_path, peer) == 125.5
    python.write_text(f"#!{sys.executable}\nraise SystemExit(1)\n")
    assert peer_speed(tmp_path, peer) is None


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell")
def test_a_million_users_take_less_than_half_a_gigabyte() -> None:
    memory = measure_memory(200_000, seed=0, preset="default")
    assert memory is not None and memory.users == 200_000
    assert 0.3 < memory.gigabytes_per_million <= 0.5 < memory.peak_gigabytes_per_million
