"""What came of decisions, in cents."""

import numpy as np
import pytest

from envs.clock import DAY
from serving.journal.outcomes import Outcome, Taken, results


def taken(*decisions):
    """Decisions (id, user, time in days, action)."""
    ids, users, days, actions = zip(*decisions, strict=True)
    return Taken(ids, users, np.asarray(days, np.int32) * DAY, np.asarray(actions, np.int64))


THREE = taken(("a", "u", 0, 0), ("b", "u", 1, 0), ("c", "u", 20, 0), ("x", "v", 2, 0))


def paid(catalogue, *outcomes, decisions=THREE):
    """Cents that came of each decision within seven days."""
    return results(catalogue, decisions, outcomes, 7 * DAY).counts["amount_cents"].tolist()


def bought(key, day, cents, user="u", **more):
    return Outcome(user, key, "bought", day * DAY, amount_cents=cents, **more)


def refunded(day, cents, user="u", **more):
    return Outcome(user, "refund", "refunded", day * DAY, amount_cents=cents, **more)


def test_an_event_belongs_to_the_decision_it_names_else_to_the_offer_else_to_the_latest(catalogue):
    gift = catalogue.action_index("gift/push")
    decisions = taken(("a", "u", 0, gift), ("b", "u", 1, 0), ("c", "u", 2, 0), ("x", "v", 2, 0))
    outcomes = [
        bought("1", 3, 1, decision="b"),
        bought("2", 3, 10, offer="gift", channel="push"),
        bought("3", 3, 100),
        bought("4", -1, 1000),
        bought("5", 3, 10000, user="w"),
    ]
    assert paid(catalogue, *outcomes, decisions=decisions) == [10, 1, 100, 0]


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


@pytest.mark.promise("outcomes-corrected")
@pytest.mark.parametrize(
    ("refund", "left"),
    [
        (refunded(30, 40, decision="a"), [60, 200, 0, 0]),
        (refunded(30, 40), [100, 160, 0, 0]),
        (refunded(1, 40), [60, 200, 0, 0]),  # before the second purchase
        (refunded(30, 40, decision="c"), [100, 200, 0, 0]),  # nothing was bought there
        (refunded(30, 40, user="v"), [100, 200, 0, 0]),
        (refunded(30, 40, decision="unknown"), [100, 160, 0, 0]),
        (refunded(-1, 40), [100, 200, 0, 0]),
    ],
)
def test_a_refund_corrects_the_purchase_it_names_else_the_latest_however_late(
    catalogue, refund, left
):
    purchases = [bought("1", 0, 100, decision="a"), bought("2", 3, 200, decision="b")]
    assert paid(catalogue, refund, *purchases) == left


def test_the_refund_of_a_purchase_that_was_too_late_to_count_does_not_count(catalogue):
    late = bought("1", 10, 100, decision="a")
    assert paid(catalogue, late, refunded(11, 100, decision="a")) == [0, 0, 0, 0]
