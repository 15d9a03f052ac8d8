from benchmarks.fault_watch import (
    DECISION,
    EVENT,
    Call,
    Times,
    followed_s,
    judged,
    longest_gap_s,
    recovered_s,
    wrong_answers,
)
from benchmarks.journals import Journal
from envs.catalogue import load_catalogue

CATALOGUE = load_catalogue()


def decision(number, at, status=200, action="silence", degraded=False, policy="a", **more):
    answer = {"decision_id": f"u-{number}", "action": action, "degraded": degraded}
    told = answer | {"policy": policy} if status == 200 else None
    return Call(DECISION, f"r{number}", at, at + 0.01, status, told, **more)


def event(number, at, status=200):
    return Call(EVENT, str(number), at, at + 0.01, status)


def kept(*numbers, action="silence"):
    return [{"decision_id": f"u-{n}", "action": CATALOGUE.action_index(action)} for n in numbers]


def bought(*amounts):
    return [{"user": "u", "key": f"{amount}", "amount_cents": amount} for amount in amounts]


def test_only_what_was_acknowledged_can_be_lost():
    calls = [
        *(decision(1, 0.0), decision(2, 1.0, degraded=True), decision(3, 2.0, status=503)),
        *(event(1, 0.0), event(2, 1.0, status=503)),
    ]
    times = Times(0.5, 0.6)
    row = judged(calls, times, Journal(kept(1), bought(1), 0), ["u-1"], CATALOGUE)
    assert (row["decisions_lost"], row["events_lost"], row["duplicates"]) == (0, 0, 0)
    row = judged(calls, times, Journal([], [], 0), [], CATALOGUE)
    assert (row["decisions_lost"], row["events_lost"]) == (1, 1)
    assert row["degraded_share"] == 0.5
    assert row["failed_share"] == 2 / 3


def test_what_the_log_has_twice_is_counted():
    twice = [*bought(1), {"user": "u", "key": "another", "amount_cents": 1}]
    journal = Journal(kept(1), twice, 0)
    row = judged([decision(1, 0.0)], Times(0.0, 0.0), journal, ["u-1", "u-1"], CATALOGUE)
    assert row["duplicates"] == 2


def test_wrong_is_a_refusal_another_answer_another_action_and_another_decision_than_kept():
    first = decision(1, 0.0)
    right = [first, decision(1, 1.0), decision(1, 2.0, action="silence", degraded=True)]
    nothing = Journal([], [], 0)
    assert wrong_answers(right, nothing, CATALOGUE) == 0
    for wrong in (
        decision(2, 3.0, status=422),
        decision(1, 3.0, action="gift/push"),
        decision(2, 3.0, action="no_such/push"),
    ):
        assert wrong_answers([*right, wrong], nothing, CATALOGUE) == 1
    assert wrong_answers(right, Journal(kept(1, action="gift/push"), [], 0), CATALOGUE) == 2


def test_the_longest_gap_is_between_answers_whatever_they_say():
    calls = [decision(n, at, degraded=n == 2) for n, at in enumerate((0.0, 1.0, 1.5, 4.0))]
    assert longest_gap_s([*calls, decision(9, 3.0, status=503)], 1.0) == 2.5
    assert longest_gap_s([], 0.0) == 0.0


def test_recovery_is_the_first_second_in_which_callers_get_what_they_ask_for():
    good = [decision(n, n / 10) for n in range(50)]
    assert recovered_s(good, 1.0) == 0.0
    bad = [decision(n, n / 10, degraded=n < 25) for n in range(50)]
    assert recovered_s(bad, 1.0) == 2.5 - 1.0
    assert recovered_s(bad[:30], 1.0) is None, "the load ended within the second"
    assert recovered_s([decision(1, 2.0, status=503)], 1.0) is None


def test_a_policy_is_followed_once_no_new_decision_is_another_ones():
    calls = [
        *(decision(1, 0.0), decision(2, 1.5), decision(3, 1.7, policy="b")),
        *(decision(4, 2.0), decision(5, 3.0, policy="b"), decision(1, 4.0, again=True)),
    ]
    assert followed_s(calls, "b", changed=1.0) == 1.0
    assert followed_s(calls[-3:-1], "b", changed=2.5) == 0.0
    assert followed_s(calls, "c", changed=1.0) is None
