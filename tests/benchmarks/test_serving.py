import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.serving import DEGRADED, ratios

ROOT = Path(__file__).parent.parent.parent


def way(per_second, p99_ms):
    return {"throughput": {"per_second": per_second}, "half": {"p99_ms": p99_ms}}


def test_ratios_are_of_one_repeat_and_their_median_counts():
    repeats = [
        {"ours": way(500, 30), "floor": way(1000, 10), "batch": {"per_second": 9}},
        {"ours": way(300, 20), "floor": way(1000, 10), "batch": {"per_second": 7}},
        {"ours": way(40, 80), "floor": way(100, 10), "batch": {"per_second": 8}},
    ]
    found = ratios(repeats)
    assert found["throughput_of_floor"] == {"median": 0.4, "low": 0.3, "high": 0.5}
    assert found["p99_of_floor"]["median"] == 3.0
    assert found["batch_per_second"]["median"] == 8
    assert "throughput_of_plain" not in found, "it was not measured"


@pytest.mark.slow
def test_a_short_run_measures_the_floor_and_ours_under_uvicorn():
    if shutil.which("wrk") is None:
        pytest.skip("wrk is not installed on this machine (Debian: wrk)")
    command = [sys.executable, "-m", "benchmarks.serving", "--seconds", "1", "--warm-seconds", "1"]
    command += ["--repeats", "1", "--ways", "floor", "plain", "--batch", "0", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for name in ("floor", "plain"):
        row = found["repeats"][0][name]
        assert row["throughput"]["per_second"] > 0
        assert row["throughput"]["refused"] == row["half"]["failed"] == 0
    assert {"commit", "command", "machine", "card"} <= set(found["lineage"])


@pytest.mark.slow
def test_without_wrk_one_line_says_what_to_install():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.serving"],
        cwd=ROOT, capture_output=True, text=True, env={"PATH": "/nowhere"},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "error: wrk is not installed: apt-get install wrk\n"


def test_degraded_answers_are_counted_over_all_reasons():
    text = (
        "# HELP scenelift_degraded_total x\n"
        'scenelift_degraded_total{reason="redis"} 3.0\n'
        'scenelift_degraded_total{reason="race"} 2.0\n'
        "scenelift_degraded_created 5.0\n"
    )
    assert [float(number) for number in DEGRADED.findall(text)] == [3.0, 2.0]
