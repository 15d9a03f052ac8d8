import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agents.baselines import make_baseline
from agents.judging.field import Field, play
from benchmarks.demo import free_port, judge
from envs.catalogue import load_catalogue

ROOT = Path(__file__).parent.parent.parent


def test_the_agent_is_paired_with_its_rivals_by_user_and_luck():
    field = Field(load_catalogue(), users=12, days=7.0, seeds=(4,))
    silence = make_baseline("silence", field.catalogue)
    fallen = replace(field, cents="net_cents")
    traffic = {each.cents: play(each, silence).value for each in (field, fallen)}  # one week
    for each in (field, fallen):
        judged = judge(
            each,
            traffic,
            {"silence": silence, "uniform": make_baseline("uniform", field.catalogue)},
        )
        assert (judged.differences["silence"].low, judged.differences["silence"].high) == (0, 0)
        assert judged.differences["uniform"].mean != 0


def test_a_taken_port_gives_way_to_a_free_one():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        assert free_port(taken) not in (taken, 0)
    assert free_port(taken) == taken


@pytest.mark.slow
def test_a_failing_step_ends_the_demo_with_one_line(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.demo", "--train-seconds", "-1", "--out", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, env=os.environ | {"DEMO_EXIT": "1"},
    )  # fmt: skip
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1] == "error: training failed with exit status 2"
    assert "Traceback" not in run.stderr
