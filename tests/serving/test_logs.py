"""What is written down, how often, and what never is."""

import json
import logging

import pytest

from serving.store.redis_server import RedisServer
from serving.watching import logs
from serving.watching.logs import Dam, Outages
from tests.serving.live import running


@pytest.fixture(autouse=True)
def loggers_as_they_were():
    ours = [logging.getLogger(room) for room in logs.ROOMS]
    kept = [(each.handlers[:], each.level, each.propagate) for each in ours]
    for each in ours:
        each.handlers = []
    yield
    for each, (handlers, level, propagate) in zip(ours, kept, strict=True):
        for handler in each.handlers:
            handler.close()
        each.handlers, each.propagate = handlers, propagate
        each.setLevel(level)


@pytest.fixture
def lines(tmp_path):
    logs.start("json", "r1", tmp_path / "logs")
    path = tmp_path / "logs" / "scenelift_r1.log"
    return lambda: [json.loads(line) for line in path.read_text().splitlines()]


class Clock:
    """Time that a test moves."""

    now = 0.0

    def __call__(self):
        return self.now


def test_a_line_is_json_with_time_level_message_and_what_is_known(lines):
    logging.getLogger("serving.decisions.offers").warning(
        "hello %s", "there", extra={"decision_id": "d1"}
    )
    (line,) = lines()
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "WARNING",
        "logger": "serving.decisions.offers",
        "message": "hello there",
        "replica": "r1",
        "decision_id": "d1",
    }


def test_text_names_what_is_known(tmp_path):
    logs.start("text", "r1", tmp_path)
    extra = {"decision_id": "d1", "reason": "redis", "policy": "uniform"}
    logging.getLogger("serving.decisions.offers").warning("degraded", extra=extra)
    text = (tmp_path / "scenelift_r1.log").read_text()
    assert text.endswith("WARNING r1 degraded reason=redis decision_id=d1 policy=uniform\n")


@pytest.mark.parametrize("style", logs.STYLES)
def test_an_error_leaves_its_kind_and_place_but_not_what_the_caller_sent(style, tmp_path):
    logs.start(style, "r1", tmp_path)
    try:
        int("jane.doe@example.org")
    except ValueError as error:
        logging.getLogger("serving.decisions.offers").exception("a decision failed")
        Outages().failed("error", "d1", "uniform", error)
    text = (tmp_path / "scenelift_r1.log").read_text()
    assert "jane" not in text
    assert text.count("ValueError") == 2 and "test_logs.py" in text


def test_starting_again_writes_each_line_once(lines, tmp_path):
    logs.start("json", "r1", tmp_path / "logs")
    logging.getLogger("serving.decisions.offers").info("once")
    assert len(lines()) == 1


def test_an_outage_is_told_once_and_counted_at_its_end(lines):
    clock = Clock()
    outages = Outages(quiet_s=5.0, clock=clock)
    for number in range(100):
        clock.now = number / 10
        outages.failed("redis" if number < 5 else "breaker", f"d{number}", "uniform")
        outages.passed()  # another decision got through: it is not over yet
    clock.now += 5.0
    for _ in range(3):
        outages.passed()
    first, last = lines()
    assert (first["reason"], first["decision_id"]) == ("redis", "d0")
    assert (last["reason"], last["decisions"], last["seconds"]) == ("redis", 100, 9.9)
    outages.failed("redis", "d200", "uniform")
    assert lines()[-1]["decision_id"] == "d200"


def test_another_reason_or_kind_of_error_is_told_beside(lines):
    outages = Outages(clock=Clock())
    for error in (KeyError("a"), KeyError("b"), TypeError("c")):
        outages.failed("error", "d1", "uniform", error)
    outages.failed("race", "d2", "uniform", decisions=7)
    assert [line["reason"] for line in lines()] == ["error", "error", "race"]
    assert [line["level"] for line in lines()] == ["ERROR", "ERROR", "WARNING"]


def test_a_flood_from_one_place_is_dammed_and_counted(lines):
    clock = Clock()
    handler = logging.getLogger("serving").handlers[0]
    handler.filters = [Dam(clock)]
    for number in range(logs.A_MINUTE + 31):
        clock.now = 60.0 * (number // (logs.A_MINUTE + 30))
        logging.getLogger("serving.policies.decide").error("a policy fails")
    logging.getLogger("serving.policies.decide").error("another place")
    assert len(lines()) == logs.A_MINUTE + 2
    assert [line.get("left_out") for line in lines()[-2:]] == [30, None]


def test_an_outage_of_redis_is_one_line_with_its_first_decision(lines, catalogue, tmp_path):
    with (
        RedisServer.start(tmp_path / "redis") as server,
        running(server.url, catalogue, redis_timeout_ms=2_000) as service,
    ):
        service.offer("r0", "jane.doe")
        server.stop()
        first, *_ = [service.offer(f"r{number}", "jane.doe") for number in range(1, 12)]
    told = [line for line in lines() if line["logger"] == "serving.watching.logs"]
    known = [(line["reason"], line["decision_id"], line["policy"]) for line in told]
    assert known == [("redis", first["decision_id"], "uniform")]
    assert "jane" not in json.dumps(lines())
