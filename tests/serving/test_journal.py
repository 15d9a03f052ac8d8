"""Decisions and outcomes on their way from Redis to the log."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import redis

from envs.clock import DAY, parse_time
from envs.errors import InputError
from serving.journal import JournalThread, JournalWriter
from serving.journal_files import JournalFiles
from serving.outcomes import Outcome, Taken, results
from simulators.logs.logged import read_log
from tests.serving.live import running

ROOT = Path(__file__).parents[2]


@pytest.fixture
def writer(redis_server, catalogue, tmp_path):
    writer = JournalWriter(redis_server.url, catalogue, JournalFiles(tmp_path, catalogue))
    yield writer
    writer.close()


def bought(decision, cents, time="2025-03-03T13:00:00Z", **more):
    return {
        "event_id": f"bought {decision['decision_id']} {time}",
        "user_id": "u1",
        "kind": "bought",
        "time": time,
        "amount_cents": cents,
    } | more


def left(redis_client):
    return sum(redis_client.xlen(stream) for stream in redis_client.scan_iter("sl:*:j"))


def test_the_log_holds_what_was_decided_and_seen(live, redis_client, writer, catalogue, tmp_path):
    decisions = [
        live.offer(f"r{number}", f"u{number}", attributes={"member_tier": "gold"})
        for number in range(40)
    ]
    assert writer.drain() == 40
    assert left(redis_client) == 0
    assert JournalFiles(tmp_path, catalogue).merge() == 40
    log = read_log(tmp_path / "journal.parquet", catalogue)
    rows = {decision: row for row, decision in enumerate(log.decision_ids)}
    for decision in decisions:
        row = rows[decision["decision_id"]]
        assert catalogue.actions[log.actions[row]].name == decision["action"]
        assert log.propensities[row] == decision["propensity"]
        refused = sum(~log.mask[row])
        assert 0 < refused <= sum(decision["refused"].values())
        assert catalogue.scenes[log.scenes[row]].name == "commute"
        assert log.times[row] == parse_time("2025-03-03T12:00:00Z")
        assert log.attributes[row, 0] == 2
        assert np.isnan(log.attributes[row, 1])
    assert np.isnan(log.rewards).all()
    assert not log.degraded.any()


def test_a_reward_is_known_once_its_window_is_over(
    redis_server, redis_client, writer, catalogue, tmp_path
):
    with running(redis_server.url, catalogue, "constant:gift/email", redis_timeout_ms=5000) as live:
        first = live.offer("r1")
        live.tell(bought(first, 2_000, offer="gift", channel="email"))
        second = live.offer("r2", now="2025-03-12T12:00:00Z")
    writer.drain()
    files = JournalFiles(tmp_path, catalogue)
    files.merge()
    log = read_log(files.log, catalogue)
    reward = dict(zip(log.decision_ids, log.rewards, strict=True))
    gift, email = catalogue.offers[catalogue.offer_index("gift")], catalogue.channels[2]
    assert reward[first["decision_id"]] == round(2_000 * 0.35) - gift.cost_cents - email.cost_cents
    assert np.isnan(reward[second["decision_id"]])
    assert log.outcomes["bought"].tolist()[0] == 1
    assert log.outcomes["amount_cents"].tolist()[0] == 2_000
    assert len(log.learnable()) == 1
    files.merge(outcome_days=1e-4)
    assert not np.isnan(read_log(files.log, catalogue).rewards[0])


def test_degraded_decisions_are_marked(live, writer, catalogue, tmp_path):
    class Broken:
        name = "broken"

        def probabilities(self, observations, mask):
            raise RuntimeError("the model is gone")

    live.service.serve_policy(Broken())
    live.offer()
    writer.drain()
    files = JournalFiles(tmp_path, catalogue)
    files.merge()
    assert read_log(files.log, catalogue).degraded.tolist() == [True]


def test_a_writer_that_is_killed_loses_nothing(
    live, redis_client, catalogue, tmp_path, redis_server
):
    """It has taken entries out of the streams and dies before it has written them."""
    sent = {live.offer(f"r{number}", f"u{number}")["decision_id"] for number in range(30)}
    code = (
        "import sys, signal\n"
        "from pathlib import Path\n"
        "from envs.catalogue import load_catalogue\n"
        "from serving.journal import JournalWriter\n"
        "from serving.journal_files import JournalFiles\n"
        "catalogue = load_catalogue()\n"
        "files = JournalFiles(Path(sys.argv[2]), catalogue)\n"
        "writer = JournalWriter(sys.argv[1], catalogue, files)\n"
        "print(len(writer.take()), len(writer.take()), flush=True)\n"
        "signal.pause()\n"
    )
    command = [sys.executable, "-c", code, redis_server.url, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().split() == ["30", "0"]
        os.kill(process.pid, signal.SIGKILL)
    assert left(redis_client) == 30
    files = JournalFiles(tmp_path, catalogue)
    JournalThread(JournalWriter(redis_server.url, catalogue, files)).stop()
    assert left(redis_client) == 0
    files.merge()
    assert set(read_log(files.log, catalogue).decision_ids) == sent


def test_what_is_written_twice_is_in_the_log_once(live, writer, catalogue, tmp_path):
    decision = live.offer()
    live.tell(bought(decision, 1_000))
    live.offer("later", now="2025-04-01T12:00:00Z")
    taken = writer.take()
    files = JournalFiles(tmp_path, catalogue)
    for _ in range(2):  # as after a crash between writing and forgetting
        files.add(taken.decisions, taken.outcomes)
    assert files.merge() == 2
    log = read_log(files.log, catalogue)
    assert len(log) == 2
    assert log.outcomes["amount_cents"][0] == 1_000


def test_what_could_not_be_written_is_written_with_the_next_try(
    live, redis_client, writer, catalogue, tmp_path
):
    live.offer("r1")
    (tmp_path / "journal").write_text("a file where the folder would be")
    with pytest.raises(OSError):
        writer.drain()
    assert left(redis_client) == 1
    (tmp_path / "journal").unlink()
    live.offer("r2")
    while writer.drain():
        pass
    assert left(redis_client) == 0
    assert JournalFiles(tmp_path, catalogue).merge() == 2


def test_entries_whose_delivery_was_lost_are_taken_with_the_next_try(
    live, redis_client, writer, catalogue, tmp_path, monkeypatch
):
    """Redis handed them over, and the connection broke before they arrived."""
    live.offer("r1")
    client = writer._redis

    class Breaking:
        def __getattr__(self, name):
            return getattr(client, name)

        def xreadgroup(self, *arguments):
            reply = client.xreadgroup(*arguments)
            if any(entries for _, entries in reply):
                raise redis.ConnectionError("broken")
            return reply

    monkeypatch.setattr(writer, "_redis", Breaking())
    with pytest.raises(redis.ConnectionError):
        writer.drain()
    monkeypatch.setattr(writer, "_redis", client)
    assert writer.drain() == 1
    assert left(redis_client) == 0
    assert JournalFiles(tmp_path, catalogue).merge() == 1


def test_a_part_that_was_not_finished_is_not_read(live, writer, catalogue, tmp_path):
    live.offer()
    writer.drain()
    part = next((tmp_path / "journal").glob("*/decisions-*.parquet"))
    (part.parent / f".{part.name}.1.partial").write_bytes(part.read_bytes()[:100])
    assert JournalFiles(tmp_path, catalogue).merge() == 1


def test_a_folder_without_a_journal_says_so(tmp_path):
    with pytest.raises(InputError, match="holds no journal"):
        JournalFiles.latest(tmp_path)


def test_the_lag_counts_what_is_not_in_parquet_yet(live, writer):
    live.offer()
    assert "scenelift_journal_lag 1.0" in live.client.get("/metrics").text
    writer.drain()
    assert "scenelift_journal_lag 0.0" in live.client.get("/metrics").text


def taken(*decisions):
    """Decisions (id, user, time in days, action)."""
    ids, users, days, actions = zip(*decisions, strict=True)
    return Taken(ids, users, np.asarray(days, np.int32) * DAY, np.asarray(actions, np.int64))


def test_an_event_belongs_to_the_decision_it_names_else_to_the_offer_else_to_the_latest(catalogue):
    gift = catalogue.action_index("gift/push")
    decisions = taken(("a", "u", 0, gift), ("b", "u", 1, 0), ("c", "u", 2, 0), ("x", "v", 2, 0))
    outcomes = [
        Outcome("u", "1", "bought", 3 * DAY, amount_cents=1, decision="b"),
        Outcome("u", "2", "bought", 3 * DAY, amount_cents=10, offer="gift", channel="push"),
        Outcome("u", "3", "bought", 3 * DAY, amount_cents=100),
        Outcome("u", "4", "bought", -DAY, amount_cents=1000),
        Outcome("w", "5", "bought", 3 * DAY, amount_cents=10000),
    ]
    came = results(catalogue, decisions, outcomes, 7 * DAY)
    assert came.counts["amount_cents"].tolist() == [10, 1, 100, 0]


def test_rewards_count_margin_discount_gift_send_refund_and_opt_out(catalogue):
    sms = catalogue.action_index("off20/sms")
    outcomes = [
        Outcome(
            "u", "1", "bought", 1, offer="off20", channel="sms", amount_cents=800, discount=0.2
        ),
        Outcome("u", "2", "refunded", 2, decision="a", amount_cents=100),
        Outcome("u", "3", "opted_out", 3, decision="a", channel="sms"),
    ]
    came = results(catalogue, taken(("a", "u", 0, sms)), outcomes, DAY)
    channel = catalogue.channels[catalogue.channel_index("sms")]
    parts = came.parts
    assert parts.margin_cents.tolist() == [350 - 35]  # 35 % of the list price, less the refund
    assert parts.offer_cost_cents.tolist() == [200]
    assert parts.contact_cost_cents.tolist() == [channel.cost_cents]
    assert parts.opt_out_cost_cents.tolist() == [channel.opt_out_cost_cents]
    assert not came.known.any()


def test_the_log_has_the_columns_that_are_agreed(live, writer, catalogue, tmp_path):
    live.offer()
    writer.drain()
    files = JournalFiles(tmp_path, catalogue)
    files.merge()
    names = pq.read_schema(files.log).names
    agreed = "decision_id user_id time scene action propensity observation mask reward degraded"
    assert names[:10] == agreed.split()
