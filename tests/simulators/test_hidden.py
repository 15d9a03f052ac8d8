from __future__ import annotations

from dataclasses import replace

import numpy as np

from envs.clock import DAY, NEVER
from simulators.draws import Luck, user_keys
from simulators.hidden import IDLE, IDLE_SERVED, OPEN, RIPE_SERVED, Hidden, Nights, live_on, stage
from simulators.population import Traits
from simulators.presets import find_preset

PRESET = find_preset("default")
SOMEBODY = Traits.centre(PRESET, 0)


def tired() -> Hidden:
    hidden = Hidden.empty(1)
    hidden.fatigue[:], hidden.reference_discount[:] = 6.0, 0.1
    return hidden


def sleep(hidden: Hidden, start: int, stop: int) -> None:
    times = (np.full(1, start, np.int32), np.full(1, stop, np.int32))
    Nights(PRESET).pass_over(hidden, SOMEBODY, *times)


def test_nothing_fades_within_a_day() -> None:
    hidden = tired()
    sleep(hidden, 5 * DAY + 1, 6 * DAY - 1)
    assert hidden.fatigue[0] == 6.0
    assert hidden.reference_discount[0] == np.float32(0.1)


def test_a_midnight_fades_fatigue_and_the_usual_discount() -> None:
    hidden = tired()
    sleep(hidden, 6 * DAY - 1, 6 * DAY)
    assert np.isclose(hidden.fatigue[0], 6.0 * SOMEBODY.forgiving[0])
    assert np.isclose(hidden.reference_discount[0], 0.1 * PRESET.reference_kept)


def test_two_midnights_at_once_are_two_midnights() -> None:
    at_once, in_turn = tired(), tired()
    sleep(at_once, 6 * DAY - 1, 7 * DAY + 5)
    sleep(in_turn, 6 * DAY - 1, 6 * DAY + 5)
    sleep(in_turn, 6 * DAY + 5, 7 * DAY + 5)
    assert np.allclose(at_once.fatigue, in_turn.fatigue)
    assert np.allclose(at_once.reference_discount, in_turn.reference_discount)


def test_local_days_before_the_epoch_count_as_well() -> None:
    hidden = tired()
    sleep(hidden, -DAY - 10, -DAY + 10)
    assert np.isclose(hidden.fatigue[0], 6.0 * SOMEBODY.forgiving[0])


def test_stages_name_what_a_contact_can_meet() -> None:
    hidden = Hidden.empty(5)
    hidden.ripe[:] = [False, False, True, True, True]
    hidden.served[:] = [False, True, True, False, False]
    hidden.category[:] = [1, 1, 1, 0, 1]
    assert stage(hidden).tolist() == [IDLE, IDLE_SERVED, RIPE_SERVED, OPEN, OPEN + 1]


def test_a_need_ripens_with_a_category_and_is_over_once() -> None:
    n = 20_000
    hidden, traits = Hidden.empty(n), SOMEBODY.take(np.zeros(n, np.int64))
    sure = np.ones(n, np.float32)
    first, second = (Luck(user_keys(0, np.arange(n)), np.full(n, k)) for k in (1, 2))
    assert len(live_on(hidden, traits, sure, first)) == 0 and hidden.ripe.all()
    # a share beyond 5 errors of its binomial law happens once in 1.7e6 runs
    share = traits.category_shares[0, 1]
    assert abs(hidden.category.mean() - share) < 5 * (share * (1 - share) / n) ** 0.5
    hidden.served[:5] = True
    assert live_on(hidden, traits, sure, second).tolist() == list(range(5, n))
    assert not hidden.ripe.any() and not hidden.served.any()


def test_two_returns_that_are_outstanding_go_together() -> None:
    hidden, one = Hidden.empty(1), np.zeros(1, np.int64)
    for time, cents in ((500, 1000), (300, 200)):
        hidden.bring_back(one, np.full(1, time, np.int32), np.full(1, cents, np.int32))
    assert hidden.refund_at[0] == 500 and hidden.refund_cents[0] == 1200
    assert Hidden.empty(1).refund_at[0] == NEVER


def test_people_who_forgive_nothing_keep_all_fatigue() -> None:
    hidden, traits = tired(), replace(SOMEBODY, forgiving=np.ones(1, np.float32))
    times = (np.zeros(1, np.int32), np.full(1, 2 * DAY, np.int32))
    Nights(PRESET).pass_over(hidden, traits, *times)
    assert hidden.fatigue[0] == 6.0
