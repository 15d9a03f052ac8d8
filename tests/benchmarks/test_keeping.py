import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.keeping import broken_promises, event_bodies, growth

ROOT = Path(__file__).parent.parent.parent
MINUTES = np.arange(120) / 12
MEGABYTE = 2.0**20


def test_memory_that_grows_is_told_from_memory_that_only_wanders():
    """Chance of a false alarm: 5 % a side of the interval; the seeds are fixed."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=len(MINUTES)) * 2
    flat = growth(MINUTES, (200 + noise) * MEGABYTE, rng)
    assert flat["low"] < 0 < flat["high"]
    grown = growth(MINUTES, (200 + MINUTES + noise) * MEGABYTE, rng)
    assert grown["low"] > 0
    assert grown["low"] < 1 < grown["high"]


def test_every_user_is_told_of_in_calls_of_one_size():
    bodies = [json.loads(body)["events"] for body in event_bodies(users=10, batch=7)]
    assert [len(events) for events in bodies] == [7, 7, 7, 7, 2]
    events = [event for body in bodies for event in body]
    assert len({event["event_id"] for event in events}) == 30
    assert {event["user_id"] for event in events} == {f"u{user}" for user in range(10)}


@pytest.mark.parametrize(
    ("user_bytes", "low", "said"),
    [
        (900, -0.1, []),
        (900, 0.1, []),
        (1025, -0.1, ["a user takes 1025 bytes in Redis"]),
        (900, 0.3, ["replica 7 grows by 0.50 MB a minute"]),
    ],
)
def test_a_broken_promise_is_named(user_bytes, low, said):
    found = {
        "written": {"failed": 0},
        "keys": {"user": {"keys": 5, "bytes": user_bytes}},
        "memory": {
            "replicas": {"7": {"first_mb": 200.0, "low": low, "mb_a_minute": 0.5}},
            "ended": 0,
        },
    }
    assert broken_promises(found) == said


@pytest.mark.promise("kilobyte")
@pytest.mark.slow
def test_a_thousand_users_take_less_than_a_kilobyte_each():
    command = [sys.executable, "-m", "benchmarks.keeping", "--users", "1000", "--minutes", "0"]
    done = subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["keys"]["user"]["keys"] == found["keys"]["decision"]["keys"] == 1000
    assert found["keys"]["user"]["bytes"] <= 1024
