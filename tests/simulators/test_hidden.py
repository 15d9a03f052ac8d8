from __future__ import annotations

import numpy as np

from envs.clock import DAY
from simulators.hidden import Hidden, Nights
from simulators.presets import find_preset

PRESET = find_preset("default")


def tired(n: int = 1) -> Hidden:
    hidden = Hidden.empty(n)
    hidden.fatigue_interrupting[:] = 4.0
    hidden.fatigue_waiting[:] = 2.0
    hidden.reference_discount[:] = 0.1
    hidden.discount_today[:] = 0.3
    return hidden


def sleep(hidden: Hidden, start: int, stop: int) -> None:
    n = len(hidden.ripe)
    Nights(PRESET).pass_over(hidden, np.full(n, start, np.int32), np.full(n, stop, np.int32))


def test_nothing_fades_within_a_day() -> None:
    hidden = tired()
    sleep(hidden, 5 * DAY + 1, 6 * DAY - 1)
    assert hidden.fatigue()[0] == 6.0
    assert hidden.discount_today[0] == np.float32(0.3)


def test_a_midnight_fades_fatigue_and_moves_the_reference_discount() -> None:
    hidden = tired()
    sleep(hidden, 6 * DAY - 1, 6 * DAY)
    assert np.isclose(hidden.fatigue()[0], 6.0 * PRESET.fatigue_kept)
    kept = PRESET.reference_kept
    assert np.isclose(hidden.reference_discount[0], kept * 0.1 + (1 - kept) * 0.3)
    assert hidden.discount_today[0] == 0


def test_two_midnights_at_once_are_two_midnights() -> None:
    at_once, in_turn = tired(), tired()
    sleep(at_once, 6 * DAY - 1, 7 * DAY + 5)
    sleep(in_turn, 6 * DAY - 1, 6 * DAY + 5)
    sleep(in_turn, 6 * DAY + 5, 7 * DAY + 5)
    assert np.allclose(at_once.fatigue(), in_turn.fatigue())
    assert np.allclose(at_once.reference_discount, in_turn.reference_discount)


def test_local_days_before_the_epoch_count_as_well() -> None:
    hidden = tired()
    sleep(hidden, -DAY - 10, -DAY + 10)
    assert np.isclose(hidden.fatigue()[0], 6.0 * PRESET.fatigue_kept)
