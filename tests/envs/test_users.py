"""The user state: events commute, repetition does no harm, nothing else gets in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.catalogue import load_catalogue
from envs.decisions import EventKind, Events
from envs.layout import SPEND
from envs.users import UserState, advance, pack, unpack

CATALOGUE = load_catalogue()
NOON = 158_155_200  # 2025-01-05T12:00Z
DAY = 86_400


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, object]]:
    """Up to 20 events of one user, each with a key of its own."""
    size = draw(st.integers(1, 20))
    history = []
    for number in range(size):
        kind = draw(st.sampled_from(list(EventKind)))
        known = kind is EventKind.CONTACTED
        attributes = np.full(len(CATALOGUE.attributes), np.nan, np.float32)
        if kind is EventKind.DESCRIBED:
            attributes[draw(st.integers(0, 1))] = draw(st.integers(0, 2))
        history.append(
            {
                "row": 0,
                "kind": kind,
                "time": NOON + draw(st.integers(0, 40 * DAY)),
                "scene": draw(st.integers(0, 11)),
                "channel": draw(st.integers(0 if known else -1, 4)),
                "offer": draw(st.integers(0 if known else -1, 5)),
                "amount_cents": draw(st.integers(0, 100_000)),
                "discount": draw(st.sampled_from([0.0, 0.05, 0.3])),
                "key": number + 1,
                "attributes": attributes[None],
            }
        )
    return history


def lived(history: list[dict[str, object]], one_by_one: bool = False) -> UserState:
    users = UserState.empty(CATALOGUE, 1, remembered=64)
    events = [Events.of(**event) for event in history]  # type: ignore[arg-type]
    for batch in events if one_by_one else [Events.concatenate(events)]:
        advance(users, batch)
    return users


def assert_same_state(one: UserState, other: UserState) -> None:
    np.testing.assert_allclose(one.sums, other.sums, rtol=2e-5, atol=2e-5)
    for name in (
        "latest",
        "opted_in_at",
        "opted_out_at",
        "not_interested_at",
        "cap_times",
        "attributes",
        "attributes_at",
    ):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert set(zip(one.seen[0], one.seen_at[0], strict=True)) == set(
        zip(other.seen[0], other.seen_at[0], strict=True)
    )


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(history=histories(), data=st.data())
def test_events_commute_and_repetition_does_no_harm(
    history: list[dict[str, object]], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(history))
    repeated = shuffled + data.draw(st.lists(st.sampled_from(history), max_size=8))
    assert_same_state(lived(history), lived(repeated))


@settings(max_examples=50, deadline=None)
@given(histories())
def test_a_batch_is_its_events_one_by_one(history: list[dict[str, object]]) -> None:
    assert pack(lived(history)).tobytes() == pack(lived(history, one_by_one=True)).tobytes()


def test_a_user_alone_and_among_many_is_the_same_to_the_bit() -> None:
    rng = np.random.default_rng(3)
    people, size = 37, 400
    together = UserState.empty(CATALOGUE, people)
    alone = [UserState.empty(CATALOGUE, 1) for _ in range(people)]
    for batch in range(12):  # two months, so that everybody enters new eras, some within a batch
        kinds = rng.choice([kind for kind in EventKind if kind is not EventKind.DESCRIBED], size)
        known = kinds == EventKind.CONTACTED
        events = Events.of(
            rng.integers(0, people, size),
            kinds,
            NOON + batch * 5 * DAY + rng.integers(-DAY, 6 * DAY, size),
            rng.integers(0, 12, size),
            np.where(known, rng.integers(0, 5, size), rng.integers(-1, 5, size)),
            np.where(known, rng.integers(0, 6, size), rng.integers(-1, 6, size)),
            rng.integers(0, 9000, size),
            rng.random(size).astype(np.float32),
        )
        advance(together, events)
        for person, user in enumerate(alone):
            own = events.take(events.row == person)
            own.row[:] = 0
            advance(user, own)
    packed = pack(together)
    assert all(pack(user)[0].tobytes() == packed[row].tobytes() for row, user in enumerate(alone))


def test_what_is_repeated_or_too_late_is_reported() -> None:
    users = UserState.empty(CATALOGUE, 1, remembered=2)
    viewed = Events.of([0, 0, 0, 0], EventKind.VIEWED, [5, 9, 9, 1], key=[1, 2, 2, 3])
    assert advance(users, viewed).tolist() == [True, True, False, False]


def test_a_purchase_told_late_counts_after_any_number_of_views() -> None:
    users = UserState.empty(CATALOGUE, 1, remembered=6)
    for number in range(1, 40):
        advance(users, Events.of([0], EventKind.VIEWED, NOON + number, key=number))
    late = Events.of([0], EventKind.BOUGHT, NOON - DAY, amount_cents=2950, key=99)
    assert advance(users, late).tolist() == [True]
    assert advance(users, late).tolist() == [False]
    spend = users.decayed(np.asarray([NOON + 39], np.int32))[0, SPEND]
    assert spend == pytest.approx(0.5 ** (1 / 30), rel=1e-4)


def test_a_refund_takes_spend_back() -> None:
    users = UserState.empty(CATALOGUE, 1)
    for kind in (EventKind.BOUGHT, EventKind.REFUNDED):
        advance(users, Events.of([0], kind, NOON, amount_cents=5900))
    assert users.sums[0, SPEND] == 0.0


def test_consent_is_the_latest_word_and_a_tie_means_no() -> None:
    users = UserState.empty(CATALOGUE, 1)
    assert users.consents()[0].tolist() == [True, False, True, True, True]  # SMS asks first
    advance(users, Events.of([0, 0], [EventKind.OPTED_IN, EventKind.OPTED_OUT], [7, 7], channel=1))
    assert not users.consents()[0, 1]
    advance(users, Events.of([0], EventKind.OPTED_IN, 8, channel=1))
    assert users.consents()[0, 1]
    advance(users, Events.of([0], EventKind.OPTED_OUT, 9))
    assert not users.consents()[0].any()


def test_packing_keeps_every_bit() -> None:
    users = UserState.empty(CATALOGUE, 3, remembered=4)
    advance(
        users, Events.of([0, 2], EventKind.BOUGHT, [NOON, NOON + 5], amount_cents=3, key=[8, 9])
    )
    again = unpack(CATALOGUE, pack(users), remembered=4)
    assert pack(again).tobytes() == pack(users).tobytes()
    with pytest.raises(ValueError, match="packed users"):
        unpack(CATALOGUE, pack(users)[:, :-1], remembered=4)


def test_a_cleared_user_is_a_new_user() -> None:
    users = UserState.empty(CATALOGUE, 2, remembered=2)
    kinds = [EventKind.BOUGHT, EventKind.OPTED_OUT, EventKind.DESCRIBED, EventKind.NOT_INTERESTED]
    told = np.ones((4, len(CATALOGUE.attributes)), np.float32)
    advance(users, Events.of([0] * 4, kinds, NOON, key=[1, 2, 3, 4], attributes=told))
    users.clear(np.asarray([0]))
    assert pack(users).tobytes() == pack(UserState.empty(CATALOGUE, 2, remembered=2)).tobytes()
