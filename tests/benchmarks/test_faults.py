import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from agents.policy import load_bundle
from benchmarks.fault_kinds import FAULTS, small_disk
from benchmarks.fault_redis import FaultyRedis
from benchmarks.faults import broken_bundle, broken_promises
from benchmarks.processes import command_line, processes, resident_bytes, started_by
from envs.errors import InputError

ROOT = Path(__file__).parent.parent.parent
FINE = {
    **dict.fromkeys(("decisions_lost", "events_lost", "duplicates", "wrong_answers"), 0),
    "recovered_s": 1.0,
    "notes": {},
}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, []),
        ({"decisions_lost": 2}, ["x: decisions lost: 2"]),
        ({"wrong_answers": 1}, ["x: wrong answers: 1"]),
        ({"recovered_s": None}, ["x: had not recovered when the load ended"]),
        ({"followed_s": 4.0}, []),
        ({"followed_s": 6.0}, ["x: all replicas followed after 6.0 s"]),
        ({"followed_s": None}, ["x: all replicas followed never"]),
        ({"notes": {"broken": "PUT was answered with 500"}}, ["x: PUT was answered with 500"]),
    ],
)
def test_a_broken_promise_is_named(more, said):
    assert broken_promises({"x": FINE | more}) == said


def test_a_process_is_found_by_what_started_it_and_by_its_words():
    sleeping = "import sys, time; sys.stdin.read()"
    command = [sys.executable, "-c", sleeping, "a word of this test"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as child:
        assert child.pid in started_by(os.getpid())
        assert processes(os.getpid(), "a word of this test") == [child.pid]
        assert processes(child.pid, "a word of this test") == []
        assert resident_bytes(child.pid) > 2**20
        child.stdin.close()
    assert command_line(child.pid) == "" and resident_bytes(child.pid) == 0


def test_a_redis_that_was_killed_comes_back_with_what_it_had(tmp_path):
    with FaultyRedis(tmp_path / "redis", "always") as faulty:
        with redis.Redis.from_url(faulty.url) as client:
            client.set("kept", "1")
        faulty.kill()
        faulty.start_again()
        with redis.Redis.from_url(faulty.url) as client:
            assert client.get("kept") == b"1"


def test_the_broken_bundle_is_one_that_is_refused(tmp_path):
    with pytest.raises(InputError):
        load_bundle(broken_bundle(tmp_path / "broken"))


def test_a_small_disk_is_given_back(tmp_path):
    with small_disk(tmp_path / "disk") as mounted:
        assert os.path.ismount(tmp_path / "disk") is mounted
    assert not os.path.ismount(tmp_path / "disk")


@pytest.mark.promise("faults-under-load")
@pytest.mark.slow
@pytest.mark.parametrize("fault", ["replica_killed", "redis_killed"])
def test_a_short_fault_loses_nothing(fault):
    """Each takes a minute; the command runs all of them."""
    assert fault in FAULTS
    command = [sys.executable, "-m", "benchmarks.faults", "--faults", fault, "--json"]
    command += ["--before-s", "2", "--hold-s", "2", "--kills", "3", "--rate", "30"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["broken"] == []
    assert found["faults"][fault]["calls"] > 0
