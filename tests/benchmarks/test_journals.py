import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.hammer import TIGHT, write_catalogue
from benchmarks.journals import Journal, cap_violations, read_journal, spend
from envs.catalogue import load_catalogue
from envs.clock import DAY, HOUR
from envs.decisions import EventKind, Events, Moment
from envs.rules import Rules, reserve_cents
from envs.users import UserState, advance

CATALOGUE = load_catalogue()
USER = "0" * 32


def given(number, action, time, scene="commute", catalogue=CATALOGUE, **more):
    return {
        "decision_id": f"{USER}-{number}",
        "time": time,
        "zone": "UTC",
        "scene": catalogue.scene_index(scene),
        "action": catalogue.action_index(action),
    } | more


def contact(catalogue, action, now, scene):
    chosen = catalogue.actions[action]
    return Events.of(
        row=[0],
        kind=EventKind.CONTACTED,
        time=[now],
        scene=[scene],
        channel=[chosen.channel],
        offer=[chosen.offer],
    )


def journal(*rows):
    return Journal(list(rows), [], 0)


@pytest.mark.parametrize(
    ("contacts", "violations"),
    [
        ([("content/push", 0), ("content/push", 24 * HOUR)], 0),  # the window slides
        ([("content/push", 0), ("content/push", 24 * HOUR - 1)], 1),
        ([("content/push", 0), ("off5/email", 10), ("off5/email", 20)], 1),  # two a day
        ([("off5/email", 10), ("off5/email", DAY - 1), ("off5/email", DAY)], 0),  # midnight
        ([("content/sms", 0), ("content/sms", 168 * HOUR - 1)], 1),
        ([("off30/push", 0), ("off30/email", 30 * DAY - 1)], 1),
        ([("silence", 0), ("silence", 1), ("silence", 2)], 0),
    ],
)
def test_contacts_beyond_a_cap_are_counted(contacts, violations):
    rows = [given(n, action, time) for n, (action, time) in enumerate(contacts)]
    assert cap_violations(CATALOGUE, journal(*rows)) == violations


def test_a_scene_of_its_own_has_a_window_of_its_own():
    rows = [given(1, "content/push", 0), given(2, "content/push", 1, "lunch")]
    assert cap_violations(CATALOGUE, journal(*rows)) == 0
    rows = [given(1, "content/push", 0), given(2, "content/push", 1)]
    assert cap_violations(CATALOGUE, journal(*rows)) == 1


def test_other_users_and_deferred_offers_do_not_count():
    other = given(2, "content/push", 1) | {"decision_id": "1" * 32 + "-2"}
    rows = [given(1, "content/push", 0), other, given(3, "content/push", 1, deferred=True)]
    assert cap_violations(CATALOGUE, journal(*rows)) == 0


def test_a_deferred_offer_counts_from_when_it_is_shown_and_gives_back_what_lapsed():
    rows = [given(n, "gift/push", 0, deferred=True, period=7) for n in (1, 2, 3)]
    marks = {f"{USER}-1": ("activated", 50), f"{USER}-2": ("lapsed", 60)}
    found = Journal(rows, [], 0, marks)
    assert [(row["decision_id"], row["time"]) for row in found.given()] == [(f"{USER}-1", 50)]
    assert spend(CATALOGUE, found) == {7: 2 * 150}, "one may still be shown"


def test_what_the_rules_allow_is_no_violation_and_what_they_refuse_is_one(tmp_path):
    """The count knows nothing of the rules, and agrees with them contact by contact."""
    catalogue = write_catalogue(tmp_path / "catalogue.yaml", TIGHT)
    rng, rules = np.random.default_rng(3), Rules(catalogue)
    users, rows, before, seen = UserState.empty(catalogue, 1), [], 0, {True: 0, False: 0}
    for number in range(400):
        action = int(rng.integers(1, len(catalogue.actions)))
        scene = int(rng.integers(len(catalogue.scenes)))
        now = number * 400
        moment = Moment(
            np.asarray([scene], np.int16), np.asarray([now], np.int32), np.zeros(1, np.int32)
        )
        refused = rules.explain(int(rules.refusals(users, moment)[0, action]))
        allowed = not any(name.startswith("cap:") for name in refused)
        seen[allowed] += 1
        name = catalogue.actions[action].name
        row = given(number, name, now, catalogue.scenes[scene].name, catalogue)
        after = cap_violations(catalogue, journal(*rows, row))
        assert (after == before) is allowed, (number, name, refused)
        if allowed:
            rows.append(row)
            advance(users, contact(catalogue, action, now, scene))
    assert min(seen.values()) > 20


def test_the_spend_of_a_period_is_what_its_offers_may_cost():
    rows = [
        given(1, "off10/push", 0, period=7),
        given(2, "gift/sms", 1, period=7),
        given(3, "off10/push", 1, period=8),
        given(4, "content/push", 1),
    ]
    price = dict(zip([a.name for a in CATALOGUE.actions], reserve_cents(CATALOGUE), strict=True))
    ten, gift = price["off10/push"], price["gift/sms"]
    assert spend(CATALOGUE, journal(*rows)) == {7: ten + gift, 8: ten}


def test_a_row_that_was_written_twice_counts_once(tmp_path):
    for hour, ids in (("a", ["x-1", "x-2"]), ("b", ["x-2"])):
        folder = tmp_path / "journal" / "catalogue" / hour
        folder.mkdir(parents=True)
        table = pa.table({"decision_id": ids, "action": [0] * len(ids), "mask": [b""] * len(ids)})
        pq.write_table(table, folder / "decisions-1.parquet")
    found = read_journal(tmp_path)
    assert {row["decision_id"] for row in found.decisions} == {"x-1", "x-2"}
    assert (len(found.decisions), found.written_twice, found.outcomes) == (2, 1, [])


def test_what_became_of_deferred_decisions_is_read_of_the_marks(tmp_path):
    folder = tmp_path / "journal" / "catalogue"
    folder.mkdir(parents=True)
    marks = {
        "kind": ["activated", "lapsed", "linked"],
        "decision": ["x-1", "x-2", None],
        "time": [5, 6, 7],
    }
    pq.write_table(pa.table(marks), folder / "marks-1.parquet")
    assert read_journal(tmp_path).marks == {"x-1": ("activated", 5), "x-2": ("lapsed", 6)}
