import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.connections import Reply
from benchmarks.fuzz import (
    Tally,
    _try,
    broken_promises,
    documented,
    fuzz_bundles,
    fuzz_catalogues,
    require_schemathesis,
    wrong_bodies,
)
from envs.errors import InputError

ROOT = Path(__file__).parent.parent.parent
FAILURE = b'{"error":{"code":"c","message":"m","field":null}}'


@pytest.mark.promise("fuzzed")
def test_a_bundle_made_wrong_is_refused_with_the_documented_error(tmp_path):
    tally = fuzz_bundles(tmp_path, count=100, seed=3)
    assert tally.crashes == []
    assert tally.refused > 20


@pytest.mark.promise("fuzzed")
def test_a_catalogue_made_wrong_is_refused_with_the_documented_error():
    tally = fuzz_catalogues(count=30, seed=3)
    assert tally.crashes == []
    assert tally.refused > 10


@pytest.mark.parametrize(
    ("error", "crashed"),
    [(None, 0), (InputError("no"), 0), (InputError("a\nb"), 1), (OSError(), 1)],
)
def test_only_a_documented_error_of_one_line_is_a_refusal(error, crashed):
    def attempt():
        if error:
            raise error

    tally = Tally()
    _try(tally, attempt, InputError)
    assert (tally.crashed, tally.taken + tally.refused) == (crashed, 1 - crashed)


@pytest.mark.parametrize(
    ("reply", "good"),
    [
        (Reply(422, FAILURE), True),
        (Reply(500, FAILURE), False),
        (Reply(422, b"Internal Server Error"), False),
        (Reply(422, b'{"detail":"x"}'), False),
        (Reply(404, b'{"error":"x"}'), False),
    ],
)
def test_a_refusal_is_documented_by_its_status_and_shape(reply, good):
    assert documented(reply) is good


def test_wrong_bodies_go_to_every_route_and_are_made_again_by_the_seed():
    made = list(wrong_bodies(200, random.Random(1)))
    assert made == list(wrong_bodies(200, random.Random(1)))
    assert {path for path, _ in made} == {"/v1/offers", "/v1/offers:batch", "/v1/events"}


def test_what_went_wrong_is_named():
    fine = {"crashed": 0}
    found = {"bundles": fine, "catalogues": {"crashed": 2, "crashes": ["X: y"]}, "calls": fine}
    failure = {"title": "Server error", "code": "ST101", "count": 1, "operations": ["GET /x"]}
    found["schemathesis"] = {
        "app": {"failures": [failure], "errors": [], "exit_status": 1},
        "nobody": {"failures": [], "errors": [], "exit_status": 1},
    }
    assert broken_promises(found) == [
        "catalogues: 2 crashed, such as X: y",
        "as app: Server error (ST101): 1: GET /x",
        "as nobody: schemathesis ended with 1",
    ]


@pytest.mark.promise("fuzzed")
@pytest.mark.slow
def test_a_short_fuzzing_finds_nothing():
    try:
        require_schemathesis()
    except InputError:
        pytest.skip("schemathesis is not installed (pip install -e '.[bench]')")
    command = [sys.executable, "-m", "benchmarks.fuzz", "--examples", "5", "--bodies", "300"]
    command += ["--bundles", "200", "--catalogues", "100", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert json.loads(done.stdout)["broken"] == [], done.stderr
    assert done.returncode == 0
