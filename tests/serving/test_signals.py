"""Requests that tell signals in place of the scene."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from agents.__main__ import main as agents
from envs.scene_reader import HOURS, SceneCounts
from serving.journal.draining import JournalWriter
from serving.journal.files import JournalFiles
from serving.journal.rows import DECISIONS
from simulators.__main__ import main as simulators
from tests.serving.live import NOON, running

RUN = ["--policy", "silence", "--days", "7", "--signals", "--seed", "3", "--json", "--users"]


def scene_names(catalogue):
    return tuple(scene.name for scene in catalogue.scenes)


@pytest.fixture(scope="module")
def by_hour(catalogue):
    """A reader to whom the clock says everything, and one word is a sure sign of the mall."""
    names = scene_names(catalogue)
    night, home, mall = (names.index(name) for name in ("night", "home_evening", "mall"))
    hours = np.zeros((HOURS, len(names)), np.int64)
    hours[np.arange(HOURS), np.where(np.arange(HOURS) % 24 < 6, night, home)] = 1_000
    escalator = np.zeros(len(names), np.int64)
    escalator[mall] = 10**9
    words = {"escalator": tuple(escalator.tolist()), "still": (10**6,) * len(names)}
    return SceneCounts(
        scenes=names,
        hours=tuple(tuple(row) for row in hours.tolist()),
        signals={"motion": words},
    ).model_dump_json()


def signals_of(row):
    return {
        name.removeprefix("signal_"): word
        for name, word in row.items()
        if name.startswith("signal_") and word != "missing"
    }


@pytest.mark.slow
def test_the_scenes_of_people_never_met_are_read_as_well_as_they_were_said_to_be(
    redis_server, redis_client, catalogue, tmp_path
):
    """The world's people, learnt from and asked for over HTTP."""
    learnt, met, out = (tmp_path / name for name in ("learnt.parquet", "met.parquet", "s.json"))
    assert simulators(["run", *RUN, "500", "--out", str(learnt)]) == 0
    assert simulators(["run", *RUN, "40", "--first-user", "9000", "--out", str(met)]) == 0
    assert agents(["scenes", str(learnt), "--out", str(out), "--json"]) == 0
    rows = pq.read_table(met).to_pylist()[:1_000]
    offers = [
        {
            "request_id": f"r{number}",
            "user_id": f"u{number}",
            "signals": signals_of(row),
            "now": row["time"].isoformat(),
            "time_zone": "Europe/Berlin",
        }
        for number, row in enumerate(rows)
    ]
    settings = {"scenes": out.read_text(), "redis_timeout_ms": 5_000}
    with running(redis_server.url, catalogue, **settings) as service:
        answers = service.client.post("/v1/offers:batch", json={"offers": offers})
    decisions = answers.json()["decisions"]
    right = [
        decision["scene"] == row["scene"] for decision, row in zip(decisions, rows, strict=True)
    ]
    chances = [decision["scene_chance"] for decision in decisions]
    assert len(right) == 1_000 and not any(decision["degraded"] for decision in decisions)
    # 40 people: the error of either is about .025
    assert np.mean(right) > 0.65
    assert abs(np.mean(right) - np.mean(chances)) < 0.1


@pytest.mark.slow
def test_simulated_users_tell_what_their_apps_have(
    redis_server, redis_client, catalogue, tmp_path, capsys
):
    moments, out, out_json = (tmp_path / name for name in ("m.parquet", "s.json", "t.json"))
    assert simulators(["run", *RUN, "100", "--out", str(moments)]) == 0
    assert agents(["scenes", str(moments), "--out", str(out), "--json"]) == 0
    traffic = ["--users", "8", "--days", "2", "--signals", "--json", "--out", str(out_json)]
    settings = {"scenes": out.read_text(), "redis_timeout_ms": 5_000}
    with running(redis_server.url, catalogue, **settings) as service:
        assert simulators(["traffic", "--url", service.url, *traffic]) == 0
    result = json.loads(out_json.read_text())
    assert result["signals"] and result["decisions"] > 20
    assert (result["errors"], result["degraded"]) == (0, 0)
    with running(redis_server.url, catalogue) as service:
        assert simulators(["traffic", "--url", service.url, *traffic]) == 2
    assert "no_scene_reader" in capsys.readouterr().err


def test_the_hour_is_the_users_own_also_where_the_zone_was_told_before(
    redis_server, redis_client, catalogue, by_hour
):
    now = "2025-03-03T20:00:00Z"  # five in the morning in Tokyo
    with running(redis_server.url, catalogue, "constant:content/email", scenes=by_hour) as s:
        asked = {"scene": None, "signals": {}, "now": now}
        assert s.offer("r1", **asked)["scene"] == "home_evening"
        assert s.offer("r2", **asked, time_zone="Asia/Tokyo")["scene"] == "night"
        assert s.offer("r3", **asked)["scene"] == "night"


def test_a_scene_that_is_read_counts_as_one_that_is_told(
    redis_server, redis_client, catalogue, by_hour, tmp_path
):
    sign = {"motion": "escalator"}
    with running(redis_server.url, catalogue, "uniform", scenes=by_hour) as service:
        told = service.offer("r1", "told", scene="mall")
        read = service.offer("r1", "read", scene=None, signals=sign)
        assert (told["scene"], told["scene_chance"]) == ("mall", None)
        assert read["scene"] == "mall" and 0.9 < read["scene_chance"] <= 1
        assert read["refused"] == told["refused"]
        assert service.offer("r1", "read", scene=None, signals=sign) == read
        looked_up = [
            service.client.get(f"/v1/decisions/{each['decision_id']}").json()
            for each in (told, read)
        ]
    assert looked_up[0]["why"] == looked_up[1]["why"]
    assert looked_up[1]["scene"] == "mall" and looked_up[1]["decision"] == read
    files = JournalFiles(tmp_path, catalogue)
    writer = JournalWriter(redis_server.url, catalogue, files)
    writer.drain()
    writer.close()
    kept = {row["decision_id"]: row for row in files.rows(DECISIONS).to_pylist()}
    rows = [kept[each["decision_id"]] for each in (told, read)]
    assert rows[0]["scene"] == rows[1]["scene"]
    assert [row["scene_chance"] for row in rows] == [None, read["scene_chance"]]
    assert "escalator" not in json.dumps(rows[1], default=str)  # the scene is kept, no signal


@pytest.mark.parametrize(
    ("change", "code", "field", "said"),
    [
        ({}, "missing_field", "scene", "scene or signals is required"),
        ({"scene": "mall", "signals": {}}, "scene_and_signals", "signals", "not both"),
        ({"signals": {"mood": "good"}}, "unknown_signal", "signals", "known are motion"),
        ({"signals": {"motion": "x" * 40}}, "unknown_signal_word", "signals.motion", "escalator"),
        ({"signals": {"motion": 3}}, "invalid_value", "signals.motion", "string"),
        ({"signals": ["motion"]}, "invalid_value", "signals", "an object"),
        ({"signals": {str(n): "a" for n in range(33)}}, "invalid_value", "signals", "32"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(
    redis_server, redis_client, catalogue, by_hour, change, code, field, said
):
    offer = {"request_id": "r1", "user_id": "u1", "now": NOON} | change
    good = {"request_id": "r2", "user_id": "u2", "now": NOON, "scene": "mall"}
    with running(redis_server.url, catalogue, scenes=by_hour) as service:
        alone = service.client.post("/v1/offers", json=offer)
        batch = service.client.post("/v1/offers:batch", json={"offers": [good, offer]})
    for answer, place in ((alone, ""), (batch, "offers.1.")):
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["field"]) == (422, code, place + field)
        assert said in error["message"]
    assert not list(redis_client.scan_iter("sl:*:d:*"))


def test_a_service_without_a_reader_says_how_to_get_one(live):
    offer = {"request_id": "r1", "user_id": "u1", "signals": {"motion": "still"}}
    error = live.client.post("/v1/offers", json=offer).json()["error"]
    assert (error["code"], error["field"]) == ("no_scene_reader", "signals")
    assert "--scenes" in error["message"]
