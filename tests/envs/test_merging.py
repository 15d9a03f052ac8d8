"""Two users who are one person: the state is that of all the events of both."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.catalogue import load_catalogue
from envs.decisions import EventKind, Events
from envs.merging import merge
from envs.users import UserState, advance, pack
from tests.envs.test_users import NOON, assert_same_state, histories, lived

CATALOGUE = load_catalogue()
DAY = 86_400
History = list[dict[str, object]]


def of_nobody(remembered: int = 64) -> UserState:
    return UserState.empty(CATALOGUE, 1, remembered)


def lived_or_nobody(history: History) -> UserState:
    return lived(history) if history else of_nobody()


def apart(data: st.DataObject, history: History, parts: int) -> list[UserState]:
    """The history shuffled and dealt out to users."""
    dealt: list[History] = [[] for _ in range(parts)]
    for event in data.draw(st.permutations(history)):
        dealt[data.draw(st.integers(0, parts - 1))].append(event)
    return [lived_or_nobody(part) for part in dealt]


@settings(max_examples=60, deadline=None)
@given(history=histories(), data=st.data())
def test_whoever_lived_half_of_it_each_has_lived_all_of_it_once_merged(
    history: History, data: st.DataObject
) -> None:
    first, second = apart(data, history, 2)
    assert_same_state(merge(first, second), lived(history))


@settings(max_examples=40, deadline=None)
@given(history=histories(), data=st.data())
def test_the_order_of_merging_does_not_matter(history: History, data: st.DataObject) -> None:
    one, two, three = apart(data, history, 3)
    assert pack(merge(one, two)).tobytes() == pack(merge(two, one)).tobytes()
    assert_same_state(merge(merge(one, two), three), merge(one, merge(two, three)))


@settings(max_examples=30, deadline=None)
@given(histories())
def test_merging_with_somebody_unknown_changes_nothing(history: History) -> None:
    user = lived(history)
    assert_same_state(merge(user, of_nobody()), user)
    assert np.array_equal(merge(user, of_nobody()).sums, user.sums)


@settings(max_examples=30, deadline=None)
@given(history=histories(), data=st.data())
def test_the_merged_live_on_like_one_user(history: History, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(history)))
    first, second = apart(data, history[:cut], 2)
    person = merge(first, second)
    for event in history[cut:]:
        advance(person, Events.of(**event))  # type: ignore[arg-type]
    assert_same_state(person, lived(history))


def test_two_who_are_unknown_stay_unknown_with_the_consents_assumed() -> None:
    assert pack(merge(of_nobody(), of_nobody())).tobytes() == pack(of_nobody()).tobytes()
    assert merge(of_nobody(), of_nobody()).consents()[0].tolist() == [True, False, True, True, True]


def test_an_opt_out_of_one_holds_for_the_person_until_the_other_opts_in_later() -> None:
    first, second = of_nobody(), of_nobody()
    advance(first, Events.of([0], EventKind.OPTED_OUT, NOON, channel=0))
    assert not merge(first, second).consents()[0, 0]
    advance(second, Events.of([0], EventKind.OPTED_IN, NOON + 1, channel=0))
    assert merge(first, second).consents()[0, 0]


def test_contacts_at_the_same_second_are_two() -> None:
    contact = Events.of([0], EventKind.CONTACTED, NOON, scene=1, channel=0, offer=0)
    first, second = of_nobody(), of_nobody()
    for user in (first, second):
        advance(user, contact)
    two_a_day = merge(first, second).cap_times[0, :2]
    assert two_a_day.tolist() == [NOON, NOON]


def test_a_key_that_both_remember_is_remembered_once_and_the_oldest_are_dropped() -> None:
    first, second = of_nobody(6), of_nobody(6)  # two for lasting kinds, four for the others
    for user, numbers in ((first, (1, 2, 3, 4)), (second, (3, 5, 6))):
        for number in numbers:
            advance(user, Events.of([0], EventKind.VIEWED, NOON + number, key=number))
    assert sorted(merge(first, second).seen[0].tolist()) == [0, 0, 3, 4, 5, 6]


def test_many_are_merged_pair_by_pair_and_stay_as_they_were() -> None:
    rng = np.random.default_rng(5)
    users = [UserState.empty(CATALOGUE, 20, 8) for _ in range(2)]
    for state in users:
        size = 300
        kinds = rng.choice([EventKind.VIEWED, EventKind.BOUGHT, EventKind.CONTACTED], size)
        advance(
            state,
            Events.of(
                rng.integers(0, 20, size),
                kinds,
                NOON + rng.integers(0, 50 * DAY, size),
                scene=rng.integers(0, 12, size),
                channel=rng.integers(0, 5, size),
                offer=rng.integers(0, 6, size),
                amount_cents=rng.integers(0, 9000, size),
                key=rng.integers(1, 2**62, size),
            ),
        )
    before = [pack(state).tobytes() for state in users]
    together = pack(merge(*users))
    for row in range(20):
        alone = [state.take(np.asarray([row])) for state in users]
        assert pack(merge(*alone)).tobytes() == together[row].tobytes()
    assert [pack(state).tobytes() for state in users] == before


def test_users_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be merged"):
        merge(of_nobody(2), of_nobody(4))
    with pytest.raises(ValueError, match="cannot be merged"):
        merge(of_nobody(), UserState.empty(CATALOGUE, 2, 64))
