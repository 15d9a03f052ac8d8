"""Decayed sums: they halve in their half-life, whatever the eras between."""

import numpy as np
import pytest

from envs.catalogue import load_catalogue
from envs.decisions import EventKind, Events
from envs.layout import ERA_S, slot_names
from envs.users import UserState, advance

CATALOGUE = load_catalogue()
SLOTS = slot_names(CATALOGUE)
NOON = 158_155_200  # 2025-01-05T12:00Z
DAY = 86_400


def test_a_sum_halves_in_its_half_life() -> None:
    users = UserState.empty(CATALOGUE, 1)
    advance(users, Events.of([0], EventKind.CONTACTED, NOON, 0, channel=0, offer=0))
    slot = SLOTS.index("contacted/push")
    later = users.decayed(np.asarray([NOON + 2 * DAY], np.int32))
    assert later[0, slot] == pytest.approx(0.5, rel=1e-6)


def test_before_the_latest_event_sums_are_those_at_it() -> None:
    users = UserState.empty(CATALOGUE, 1)
    advance(users, Events.of([0], EventKind.VIEWED, NOON))
    advance(users, Events.of([0], EventKind.CLICKED, NOON + 100 * DAY))
    viewed = SLOTS.index("viewed")
    at = users.decayed(np.asarray([NOON + 100 * DAY], np.int32))
    assert at[0, viewed] == pytest.approx(0.5 ** (100 / 7), rel=1e-5)
    assert users.decayed(np.asarray([NOON], np.int32)).tobytes() == at.tobytes()


def test_years_without_an_event_leave_nothing_behind() -> None:
    users = UserState.empty(CATALOGUE, 1)
    advance(users, Events.of([0], EventKind.BOUGHT, NOON, amount_cents=2950))
    advance(users, Events.of([0], EventKind.VIEWED, NOON + 20 * 365 * DAY))
    now = np.asarray([NOON + 24 * 365 * DAY], np.int32)
    assert np.isfinite(users.decayed(now)).all() and users.decayed(now).max() < 1e-30


@pytest.mark.parametrize("gap_days", [1, 13, 15, 100])
def test_two_events_count_the_same_in_either_order(gap_days: int) -> None:
    first, then = NOON, NOON + gap_days * DAY
    told = [UserState.empty(CATALOGUE, 1) for _ in range(2)]
    for users, times in zip(told, ([first, then], [then, first]), strict=True):
        for time in times:
            advance(users, Events.of([0], EventKind.VIEWED, time))
    now = np.asarray([then + ERA_S], np.int32)
    one, other = (users.decayed(now)[0, SLOTS.index("viewed")] for users in told)
    days = np.asarray([0, gap_days]) + ERA_S / DAY
    assert one == pytest.approx((0.5 ** (days / 7)).sum(), rel=1e-5)
    assert one == pytest.approx(other, rel=1e-6)
