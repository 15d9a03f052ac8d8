from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import kstest

from simulators.draws import TRAITS, Luck, Purpose, uniforms, user_keys

MANY = 40_000


def test_the_same_draw_is_made_in_any_company() -> None:
    users = np.arange(1000)
    together = uniforms(7, users, users * 3, Purpose.BUY)
    alone = [uniforms(7, users[k : k + 1], int(k) * 3, Purpose.BUY)[0] for k in range(0, 1000, 97)]
    assert together[::97].tolist() == alone


@pytest.mark.parametrize("purpose", Purpose)
def test_draws_are_uniform(purpose: Purpose) -> None:
    # 48 purposes, each refused by a fair generator once in 1e6: a false alarm in 20,000 runs
    draws = uniforms(1, np.arange(MANY), 5, purpose)
    assert kstest(draws, "uniform").pvalue > 1e-6
    assert draws.min() > 0 and draws.max() < 1


def test_draws_of_one_user_over_time_are_uniform() -> None:
    # a false alarm in 1e6 runs
    draws = uniforms(1, np.zeros(MANY, np.int64), np.arange(MANY), Purpose.CLICK)
    assert kstest(draws, "uniform").pvalue > 1e-6


def test_purposes_times_users_and_seeds_are_uncorrelated() -> None:
    # |r| beyond 6 / sqrt(n) happens by chance in 2e-9 of cases; about 1,300 cases
    users = np.arange(MANY)
    columns = [uniforms(3, users, 10, purpose) for purpose in Purpose]
    columns += [uniforms(3, users, 11, Purpose.ACTION), uniforms(3, users + 1, 10, Purpose.ACTION)]
    columns += [uniforms(4, users, 10, Purpose.ACTION), uniforms(3, users, TRAITS, Purpose.ACTION)]
    for first, second in itertools.combinations(columns, 2):
        assert abs(np.corrcoef(first, second)[0, 1]) < 6 / MANY**0.5


def test_luck_taken_for_some_users_is_their_luck() -> None:
    luck = Luck(user_keys(2, np.arange(100)), np.full(100, 4))
    rows = np.asarray([3, 50, 99])
    before = luck.take(rows).uniform(Purpose.SEE)
    whole = luck.uniform(Purpose.SEE)
    after = luck.take(rows).uniform(Purpose.SEE)
    assert before.tolist() == whole[rows].tolist() == after.tolist()


def test_no_purpose_shares_its_number() -> None:
    assert len({int(purpose) for purpose in Purpose}) == len(Purpose.__members__)


def test_several_purposes_at_once_are_each_ones_draws() -> None:
    luck = Luck(user_keys(5, np.arange(50)), np.full(50, TRAITS))
    purposes = (Purpose.NEEDS, Purpose.TASTE_2, Purpose.SEE)
    for drawn, purpose in zip(luck.several(purposes), purposes, strict=True):
        assert drawn.tolist() == luck.uniform(purpose).tolist()
