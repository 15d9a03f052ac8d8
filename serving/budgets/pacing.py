"""How the spend of a period is spread, and the price that keeps it there.

A plan says which share of the budget should be spent by now: evenly over the period, or by 24
weights of the local hour. The **price** (lambda, cents per cent) is what a policy is told that a
cent of spend costs. It follows the error ``e = (spent - planned) / budget`` by two parts::

    carried <- clip(carried + CARRY * e * passed, 0, HIGHEST_PRICE)
    price   <- clip(gain * e + carried,           0, HIGHEST_PRICE)

``passed`` is the share of the period since the last step, ``gain`` is ``GAIN``, or less where steps
are long. Spend is itself a sum over time, so the first part alone would settle with spend ahead of
plan by ``price / GAIN``; the carried part takes that over and leaves the error at zero.

* ``GAIN`` 100: spend one per cent of the budget ahead costs a price of 1, where a cent has to
  bring two. Leases let spend run about two per cent ahead, so the whole range can be used.
* ``CARRY`` 400 a period: with spend that falls by a factor 0.3 of the planned rate for each unit of
  price, the two parts are damped (``0.3 * GAIN >= 2 * sqrt(0.3 * CARRY)``); down to 0.16 they stay
  so, below they swing slowly while the leases hold spend.
* ``QUARTER``: one step may take back a quarter of the error where spend falls by the planned rate a
  unit of price, so that long steps of short periods cannot make the price jump to and fro.
* ``HIGHEST_PRICE`` 2: networks are trained with prices from 0 to 2 (decision 025); beyond, what
  they do is anybody's guess. Leases, not the price, are what keeps a budget.
* ``FURTHEST`` 5 %: an error counts as at most that, so that a quiet night is not carried for long.

Never negative: money left over is no reason to make offers that lose money.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from envs.errors import InputError
from serving.store.scripts import Script

DAY_S: Final = 86_400
QUARTER_HOUR_S: Final = 900
"""Clocks of all time zones differ by multiples of it, so an hour of the clock ends at one."""

GAIN: Final = 100.0
CARRY: Final = 400.0
QUARTER: Final = 0.25
HIGHEST_PRICE: Final = 2.0
FURTHEST: Final = 0.05
LONGEST_STEP: Final = 0.01
"""Share of the period that one step carries at most: after an outage nothing is known of it."""
STEPS: Final = 1440
"""Steps a period: one a minute of a day."""


@dataclass(frozen=True, slots=True)
class Period:
    """The time that one budget is for, in seconds of the Unix clock."""

    number: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Pace:
    """The price, and the part of it that outlives the error."""

    price: float = 0.0
    carried: float = 0.0


def period_at(clock_s: float, period_s: int, zone: str) -> Period:
    """The period in which a moment lies.

    Args:
        clock_s: the moment, seconds of the Unix clock.
        period_s: length of a period; whole days begin at local midnight, so that a day has 23 or
            25 hours where clocks are changed.
        zone: IANA time zone of that midnight.
    """
    if period_s % DAY_S:
        number = int(clock_s // period_s)
        return Period(number, number * period_s, (number + 1) * period_s)
    days = period_s // DAY_S
    number = datetime.fromtimestamp(clock_s, ZoneInfo(zone)).date().toordinal() // days
    return Period(number, _midnight(number * days, zone), _midnight((number + 1) * days, zone))


def _midnight(ordinal: int, zone: str) -> float:
    start = date.fromordinal(ordinal)
    return datetime(start.year, start.month, start.day, tzinfo=ZoneInfo(zone)).timestamp()


def plan_weights(text: str) -> tuple[float, ...]:
    """The weights of 24 local hours, none for an even plan.

    Args:
        text: 24 numbers of 0 or more with commas between, or nothing.

    Raises:
        InputError: anything else.
    """
    if not text.strip():
        return ()
    try:
        weights = tuple(float(part) for part in text.split(","))
    except ValueError:
        weights = ()
    usable = all(0 <= weight < math.inf for weight in weights)
    if len(weights) != 24 or not usable or not 0 < sum(weights) < math.inf:
        raise InputError(
            f"SCENELIFT_BUDGET_PLAN is {text!r}: give 24 numbers of 0 or more, one for each local "
            "hour from midnight and not all 0, with commas between; or nothing for an even plan"
        )
    return weights


def planned_share(
    period: Period, clock_s: float, weights: tuple[float, ...] = (), zone: str = "UTC"
) -> float:
    """The share of the budget that should be spent by a moment, from 0 to 1, never falling.

    Args:
        period: that the budget is for.
        clock_s: the moment, seconds of the Unix clock.
        weights: of the local hours; none for an even plan, which is also that of a period whose
            every hour weighs nothing.
        zone: IANA time zone of the hours.
    """
    length_s = period.end_s - period.start_s
    passed_s = min(max(clock_s - period.start_s, 0.0), length_s)
    if not weights:
        return passed_s / length_s
    times, sums = _weighed(period, weights, zone)
    if sums[-1] <= 0:
        return passed_s / length_s
    place = min(bisect_right(times, period.start_s + passed_s), len(times) - 1)
    part = (period.start_s + passed_s - times[place - 1]) / (times[place] - times[place - 1])
    done = sums[place - 1] + (sums[place] - sums[place - 1]) * part
    return min(done / sums[-1], 1.0)


@lru_cache(maxsize=8)
def _weighed(
    period: Period, weights: tuple[float, ...], zone: str
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Moments at which the local hour may change, and the weight that has passed at each."""
    times, sums, local = [period.start_s], [0.0], ZoneInfo(zone)
    while times[-1] < period.end_s:
        start_s = times[-1]
        stop_s = min((start_s // QUARTER_HOUR_S + 1) * QUARTER_HOUR_S, period.end_s)
        hour = datetime.fromtimestamp(start_s, local).hour
        times.append(stop_s)
        sums.append(sums[-1] + weights[hour] * (stop_s - start_s))
    return tuple(times), tuple(sums)


def next_pace(pace: Pace, error: float, passed: float) -> Pace:
    """One step of the price, by the rule above.

    Args:
        pace: as it was.
        error: (spent - planned) / budget.
        passed: share of the period since the last step, or 0 for the first.
    """
    error = min(max(error, -FURTHEST), FURTHEST)
    gain = min(GAIN, QUARTER / passed) if passed > 0 else GAIN
    carried = _priced(pace.carried + CARRY * error * min(max(passed, 0.0), LONGEST_STEP))
    return Pace(_priced(gain * error + carried), carried)


def _priced(price: float) -> float:
    return min(max(price, 0.0), HIGHEST_PRICE)


def step_s(period_s: int, tick_s: float) -> float:
    """Seconds between two steps of the price, all replicas together."""
    return max(period_s / STEPS, tick_s)


STEP: Final = Script("""
if (redis.call('HGET', KEYS[1], 'stepped') or '0') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'stepped', ARGV[2], 'price', ARGV[3], 'carried', ARGV[4])
return 1
""")
"""KEYS budget. ARGV time of the last step (as read), time of this one, price, carried.
Returns 1, or 0 when another replica has stepped meanwhile: two of them never make one step."""
