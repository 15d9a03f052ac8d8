import math
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.errors import InputError
from serving.budgets.pacing import (
    DAY_S,
    HIGHEST_PRICE,
    STEPS,
    Pace,
    Period,
    next_pace,
    period_at,
    plan_weights,
    planned_share,
)
from serving.settings import Settings

BERLIN = "Europe/Berlin"
EVENING = (0.0,) * 18 + (1.0,) * 6

prices = st.floats(0, HIGHEST_PRICE)
errors = st.floats(-1, 1)
shares = st.floats(0, 1)
moments = st.floats(1.7e9, 1.9e9)
weights = st.lists(st.floats(0, 10), min_size=24, max_size=24).map(tuple)


def local(text, zone=BERLIN):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def test_a_day_begins_at_local_midnight_and_has_25_hours_when_clocks_go_back():
    day = period_at(local("2026-10-25T12:00"), DAY_S, BERLIN)
    assert (day.start_s, day.end_s) == (local("2026-10-25T00:00"), local("2026-10-26T00:00"))
    assert day.end_s - day.start_s == 25 * 3600


@given(moments, st.integers(1, 90_000) | st.integers(1, 40).map(lambda days: days * DAY_S))
def test_periods_follow_each_other_without_a_gap(moment, period_s):
    now = period_at(moment, period_s, BERLIN)
    after = period_at(now.end_s, period_s, BERLIN)
    assert now.start_s <= moment < now.end_s == after.start_s
    assert after.number == now.number + 1


@given(moments, shares, shares, weights | st.just(()))
def test_a_plan_never_falls_and_goes_from_nothing_to_all(moment, first, second, plan):
    day = period_at(moment, DAY_S, BERLIN)
    early, late = sorted((first, second))
    planned = [
        planned_share(day, day.start_s + share * (day.end_s - day.start_s), plan, BERLIN)
        for share in (0, early, late, 1)
    ]
    assert planned[0] == 0 and planned[-1] == pytest.approx(1)
    assert all(before <= after for before, after in pairwise(planned))


def test_weights_are_those_of_the_local_hour():
    day = period_at(local("2026-07-01T12:00"), DAY_S, BERLIN)
    assert planned_share(day, local("2026-07-01T18:00"), EVENING, BERLIN) == 0
    assert planned_share(day, local("2026-07-01T21:00"), EVENING, BERLIN) == pytest.approx(0.5)


def test_a_period_whose_every_hour_weighs_nothing_is_spent_evenly():
    hour = period_at(local("2026-07-01T10:30"), 3600, BERLIN)
    assert planned_share(hour, local("2026-07-01T10:30"), EVENING, BERLIN) == 0.5


@pytest.mark.parametrize("text", ["1,2", "0," * 23 + "0", "-1" + ",1" * 23, "x" + ",1" * 23])
def test_a_plan_that_cannot_be_used_is_refused_with_the_remedy(text):
    with pytest.raises(InputError, match="24 numbers"):
        plan_weights(text)


def test_the_plan_is_a_setting_that_is_refused_when_read():
    assert Settings.read({"SCENELIFT_BUDGET_PLAN": "1," * 23 + "1"}, "", "").budget_plan[0] == "1"
    with pytest.raises(InputError, match="BUDGET_PLAN"):
        Settings.read({"SCENELIFT_BUDGET_PLAN": "evening"}, "", "")


def test_no_weights_are_an_even_plan():
    assert plan_weights("") == ()
    assert planned_share(Period(0, 100, 200), 150) == 0.5


@given(prices, prices, errors, errors, shares)
def test_the_price_rises_with_the_error_and_stays_in_its_bounds(price, carried, one, two, passed):
    low, high = (next_pace(Pace(price, carried), error, passed) for error in sorted((one, two)))
    assert 0 <= low.price <= high.price <= HIGHEST_PRICE
    assert 0 <= low.carried <= high.carried <= HIGHEST_PRICE


@given(prices, st.floats(-1, 0), shares)
def test_the_price_is_zero_when_spend_is_under_plan_and_nothing_is_carried(price, error, passed):
    assert next_pace(Pace(price, 0.0), error, passed) == Pace(0.0, 0.0)


@given(prices, prices)
def test_a_price_ends_within_the_period_when_nothing_is_spent(price, carried):
    pace = Pace(price, carried)
    for step in range(STEPS):
        pace = next_pace(pace, -step / STEPS, 1 / STEPS)
    assert pace == Pace()


def spend_of_a_day(demand: float, falls: float, steps: int = STEPS) -> tuple[float, list[float]]:
    """Share of the budget spent at a demand (1 = as planned) that falls with the price."""
    pace, spent, prices = Pace(), 0.0, []
    for step in range(steps):
        pace = next_pace(pace, spent - step / steps, 1 / steps)
        spent += demand * math.exp(-falls * pace.price) / steps
        prices.append(pace.price)
    return spent, prices


@pytest.mark.promise("pacing")
@pytest.mark.parametrize("demand", [1.1, 2, 5])
@pytest.mark.parametrize("falls", [1, 3])
@pytest.mark.parametrize("steps", [STEPS, 40])
def test_spend_follows_plan_where_demand_falls_with_the_price(demand, falls, steps):
    spent, prices = spend_of_a_day(demand, falls, steps)
    assert spent == pytest.approx(1, abs=0.01)
    if steps == STEPS:  # the price has come to rest where demand meets the plan
        assert prices[-1] == pytest.approx(math.log(demand) / falls, rel=0.05, abs=0.01)


@pytest.mark.promise("pacing")
def test_scarce_demand_is_never_priced():
    spent, prices = spend_of_a_day(0.8, 1)
    assert spent == pytest.approx(0.8) and max(prices) == 0
