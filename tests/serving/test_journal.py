"""Decisions and outcomes on their way from Redis to the log."""

import json
import logging
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from envs.clock import DAY, parse_time
from envs.errors import InputError
from serving.journal.draining import JournalWriter
from serving.journal.files import JournalFiles
from serving.journal.rows import DECISIONS, KINDS, MARKS, OUTCOMES, RANKS, REFUSED
from serving.store.keys import Space
from simulators.logs.logged import read_log
from tests.serving.stream import ARRIVED_MS, hashed, record
from tests.serving.written import decision_ids

HOUR_MS = 3_600_000
HOUR = "2025-11-26T14"


def test_each_kind_of_entry_comes_into_files_of_its_hour(writer, stream, files, tmp_path):
    at = f"{ARRIVED_MS}-1"
    decision = stream.decide(hashed(1), at=at, latitude=52.5, longitude=13.4, arm="canary")
    stream.happen(hashed(2), "k1", at=at, amount_cents=500)
    stream.add(hashed(3), "a", json.dumps({"decision": decision, "state": "activated"}), at)
    stream.add(hashed(4), "p", json.dumps({"event_id": "e1", "user": hashed(4)}), at)
    assert writer.drain() == 4
    assert (stream.left(), stream.pending(), writer.drain()) == (0, 0, 0)
    folder = files.described.parent / HOUR
    names = sorted(path.name.partition("-")[0] for path in folder.glob("*.parquet"))
    assert names == ["decisions", "marks", "outcomes", "ranks"]
    row = files.rows(DECISIONS).to_pylist()[0]
    assert (row["decision_id"], row["arm"], row["latitude"]) == (decision, "canary", 52.5)
    assert (row["arrived"], row["shadow"]) == (ARRIVED_MS, None)
    assert files.rows(OUTCOMES)["amount_cents"].to_pylist() == [500]
    assert files.rows(RANKS)["event_id"].to_pylist() == ["e1"]


def test_the_log_holds_what_the_service_decided(live, writer, files, stream, catalogue):
    decisions = [
        live.offer(f"r{number}", f"u{number}", attributes={"member_tier": "gold"})
        for number in range(20)
    ]
    assert "scenelift_journal_lag 20.0" in live.client.get("/metrics").text
    assert writer.drain() == 20
    assert stream.left() == 0
    assert "scenelift_journal_lag 0.0" in live.client.get("/metrics").text
    assert files.merge() == 20
    log = read_log(files.log, catalogue)
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


def test_the_log_holds_what_was_decided_and_what_came_of_it(writer, stream, files, catalogue):
    gift = catalogue.action_index("gift/email")
    first = stream.decide(hashed(1), action=gift, shadow="other", shadow_propensity=0.1)
    stream.decide(hashed(1), 40 * DAY)
    stream.happen(hashed(1), "k", decision=first, amount_cents=2_000, offer="gift")
    writer.drain()
    assert files.merge() == 2
    log = read_log(files.log, catalogue)
    offer, email = catalogue.offers[catalogue.offer_index("gift")], catalogue.channels[2]
    assert log.rewards[0] == round(2_000 * 0.35) - offer.cost_cents - email.cost_cents
    assert np.isnan(log.rewards[1])
    assert log.outcomes["amount_cents"][0] == 2_000
    assert len(log.learnable()) == 1
    row = pq.read_table(files.log).to_pylist()[0]
    assert (row["arm"], row["shadow"], row["shadow_propensity"]) == ("serving", "other", 0.1)
    assert (row["budget_price"], row["reserved_cents"], row["latitude"]) == (0.25, 0, None)


@pytest.mark.promise("not-shown-not-learnt")
def test_an_offer_that_was_never_shown_is_not_in_the_log(writer, stream, files, catalogue):
    user = hashed(1)
    shown, waiting, lapsed = (stream.decide(user, n, deferred=True) for n in range(3))
    stream.mark(shown, "activated")
    stream.mark(lapsed, "lapsed")
    at_once = stream.decide(user, 3)
    writer.drain()
    merged = files.merged()
    assert (merged.decisions, merged.left_out) == (2, 2)
    assert set(read_log(files.log, catalogue).decision_ids) == {shown, at_once}
    stream.mark(waiting, "activated")
    writer.drain()
    assert files.merge() == 3


def test_identities_that_were_linked_are_one_person_in_the_log(writer, stream, files, catalogue):
    device, phone, person, other = (hashed(number) for number in range(4))
    for user in (device, phone, person, other):
        stream.decide(user)
    stream.link(device, phone)
    stream.link(phone, person)
    stream.happen(person, "k", amount_cents=100)
    writer.drain()
    files.merge()
    assert set(read_log(files.log, catalogue).user_ids) == {person, other}


def test_identities_that_lead_to_each_other_are_the_one_of_the_least_name(writer, stream, files):
    for user, person in ((hashed(1), hashed(2)), (hashed(2), hashed(1)), (hashed(3), hashed(2))):
        stream.decide(user)
        stream.link(user, person)
    writer.drain()
    files.merge()
    assert set(pq.read_table(files.log)["user_id"].to_pylist()) == {hashed(1)}


@pytest.mark.promise("journal-once")
def test_what_is_written_twice_is_in_the_log_once(writer, stream, files, catalogue):
    """As after a crash between writing and letting go."""
    stream.decide(hashed(1))
    stream.happen(hashed(1), "k", amount_cents=1_000)
    stream.decide(hashed(2), 40 * DAY)
    taken = writer._reader.read(writer.take())
    for _ in range(2):
        files.add(taken.tables)
    assert files.merge() == 2
    assert read_log(files.log, catalogue).outcomes["amount_cents"][0] == 1_000


@pytest.mark.promise("journal-unreadable")
def test_entries_that_cannot_be_read_are_put_aside_and_block_nothing(
    writer, stream, files, redis_client, catalogue, caplog
):
    user = hashed(1)
    good = record(catalogue, user)
    bad = [
        ("d", b"\xff no record"),
        ("d", replace(good, propensity=0.0).pack()),
        ("d", replace(good, action=10_000).pack()),
        ("d", replace(good, observation=b"\0\0").pack()),
        ("d", replace(good, mask=bytes(len(good.mask))).pack()),
        ("d", replace(good, period=2**63).pack()),
        ("d", replace(good, time="soon").pack()),
        ("e", b"[" * 100_000),
        ("e", json.dumps({"user": "\ud800", "key": "k", "kind": "bought", "time": 1})),
        ("e", json.dumps({"user": user, "key": "k", "kind": "bought", "time": 1, "discount": 1})),
        ("a", json.dumps({"decision": good.decision_id, "state": "perhaps"})),
        ("l", "null"),
        ("x", json.dumps({"users": [1]})),
        ("z", b"what is this"),
    ]
    for name, value in bad:
        stream.add(user, name, value)
    redis_client.xadd(Space(catalogue).stream(user), {"d": good.pack(), "e": b"{}"})
    stream.add(user, "d", good.pack())
    with caplog.at_level(logging.WARNING):
        while writer.drain():
            pass
    assert (stream.left(), stream.pending()) == (0, 0)
    assert decision_ids(files) == [good.decision_id]
    assert files.rows(REFUSED).num_rows == len(bad) + 1
    assert f"{len(bad) + 1} journal entries could not be read" in caplog.text
    assert files.merge() == 1
    assert len(read_log(files.log, catalogue)) == 1


def test_an_hour_that_is_over_becomes_one_file_of_each_kind(
    redis_server, redis_client, catalogue, tmp_path, stream
):
    now_s = [ARRIVED_MS / 1000]
    files = JournalFiles(tmp_path, catalogue, lambda: now_s[0])
    writer = JournalWriter(redis_server.url, catalogue, files)
    for number, at in enumerate((0, 1, HOUR_MS - 1, HOUR_MS)):
        stream.decide(hashed(1), number, at=f"{ARRIVED_MS + at}-1")
        writer.drain()
    assert files.compact() == 0  # its hour goes on
    now_s[0] += 3_600
    assert files.compact() == 2
    assert files.compact() == 0
    hours = [path.parent.name for path in files.parts(DECISIONS)]
    assert hours == [HOUR, "2025-11-26T15"]
    assert len(decision_ids(files)) == 4
    stream.decide(hashed(2), at=f"{ARRIVED_MS}-2")  # late, after an outage say
    writer.drain()
    writer.close()
    assert files.compact() == 1
    assert len(decision_ids(files)) == 5


def test_a_crash_in_the_middle_of_an_hours_turn_leaves_rows_twice_and_the_log_has_them_once(
    writer, stream, files, catalogue, tmp_path
):
    for number in range(3):
        stream.decide(hashed(1), number, at=f"{ARRIVED_MS + number}-1")
        writer.drain()
    parts = {path: path.read_bytes() for path in files.parts(DECISIONS)}
    assert files.compact() == 2
    for path, content in list(parts.items())[1:]:
        path.write_bytes(content)  # as if they had not been removed yet
    assert len(files.parts(DECISIONS)) == 3
    assert len(decision_ids(files)) == 3
    assert JournalFiles(tmp_path, catalogue).compact() == 2
    assert len(decision_ids(files)) == 3
    assert len(pq.read_table(files.parts(DECISIONS)[0])) == 3


def test_a_part_that_was_not_finished_is_not_read_and_is_swept_away(writer, stream, files):
    stream.decide(hashed(1))
    writer.drain()
    part = files.parts(DECISIONS)[0]
    left = part.parent / f".{part.name}.1.partial"
    left.write_bytes(part.read_bytes()[:100])
    assert files.merge() == 1
    files.begin()
    assert not left.exists() and part.exists()


def everything(folder):
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.promise("erasure")
def test_nothing_stays_of_a_user_who_is_erased(writer, stream, files, tmp_path):
    gone, identity, other = hashed(1), hashed(2), hashed(3)
    for user in (gone, identity, other):
        decision = stream.decide(user, deferred=True)
        stream.happen(user, "k", decision=decision)
        stream.mark(decision, "activated")
        stream.rank(user, f"rank of {user}")
        stream.add(user, "d", b"\xff" + user.encode())
    stream.link(identity, gone)
    writer.drain()
    files.merge()
    assert gone.encode() in everything(tmp_path)
    stream.decide(gone, 2)  # told to the journal, and erased before it was written
    stream.erase(gone, identity)
    writer.drain()
    assert (stream.left(), stream.pending()) == (0, 0)
    for kind in (*KINDS, REFUSED):
        assert not any(user in str(files.rows(kind).to_pylist()) for user in (gone, identity))
        assert other in str(files.rows(kind).to_pylist()) or kind is REFUSED
    assert files.rows(REFUSED).num_rows == 1
    assert set(pq.read_table(files.log)["user_id"].to_pylist()) == {other}
    assert files.merge() == 1


def test_a_user_who_comes_back_after_the_erasure_is_kept(writer, stream, files):
    user = hashed(1)
    stream.decide(user, 1, at=f"{ARRIVED_MS}-1")
    stream.erase(user, at=f"{ARRIVED_MS + 5}-1")
    back = stream.decide(user, 2, at=f"{ARRIVED_MS + 9}-1")
    writer.drain()
    assert decision_ids(files) == [back]


def test_an_erasure_waits_for_streams_that_are_behind(writer, stream, files):
    """The identities of a person lie in several streams."""
    person, identity = hashed(1), hashed(2)
    for number in range(700):
        stream.decide(identity, number)
    stream.erase(person, identity)
    writer.drain()
    assert (stream.left(), decision_ids(files)) == (0, [])


def test_an_erasure_waits_for_who_works_on_the_files_and_lets_the_rest_pass(
    writer, stream, files, tmp_path, catalogue
):
    gone, other = hashed(1), hashed(1 + 64)  # of one bucket
    stream.decide(gone)
    stream.erase(gone)
    with JournalFiles(tmp_path, catalogue).alone():
        writer.drain()
        stream.decide(other)
        writer.look_again()
        while writer.drain():
            pass
        assert len(decision_ids(files)) == 2
        assert (stream.left(), stream.pending()) == (1, 1)
    writer.drain()
    assert (stream.left(), stream.pending()) == (0, 0)
    assert decision_ids(files) == [f"{other}-{0:020x}"]


def test_an_erasure_that_was_cut_off_is_done_by_the_next_writer(
    writer, stream, files, redis_server, catalogue, monkeypatch
):
    stream.decide(hashed(1))
    writer.drain()
    stream.erase(hashed(1))

    def full(until):
        raise OSError("no space left")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="no space"):
        patched.setattr(files, "erase", full)
        writer.drain()
    assert len(decision_ids(files)) == 1
    again = JournalWriter(redis_server.url, catalogue, files)
    assert again.drain() == 2
    again.close()
    assert (stream.left(), decision_ids(files)) == (0, [])


def test_a_folder_without_a_journal_says_so(tmp_path):
    with pytest.raises(InputError, match="holds no journal"):
        JournalFiles.latest(tmp_path)


def test_the_log_has_the_columns_that_are_agreed(writer, stream, files):
    stream.decide(hashed(1))
    writer.drain()
    files.merge()
    names = pq.read_schema(files.log).names
    agreed = "decision_id user_id time scene action propensity observation mask reward degraded"
    assert names[:10] == agreed.split()
    assert files.rows(MARKS).num_rows == 0
