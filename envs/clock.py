"""Time as the arrays hold it: whole seconds since 2020-01-01T00:00Z, four bytes each.

Four bytes because a million users carry dozens of times each; seconds because quiet hours, caps
and recencies need no more. The range that is accepted from outside is 2000 to 2050.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
from numpy.typing import NDArray

from envs.errors import InputError

EPOCH: Final = datetime(2020, 1, 1, tzinfo=UTC)
HOUR: Final = 3600
DAY: Final = 86_400
WEEK: Final = 7 * DAY
NEVER: Final = -(2**30)
"""A time before every accepted one; ``now - NEVER`` still fits in int32."""

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2050, 1, 1, tzinfo=UTC)
EPOCH_WEEKDAY: Final = EPOCH.weekday()
"""2020-01-01 was a Wednesday: 2, with Monday 0."""


def to_seconds(moment: datetime) -> int:
    """Seconds since the epoch of an aware time between 2000 and 2050, fractions dropped.

    Raises:
        InputError: the time is naive or out of range.
    """
    if moment.tzinfo is None:
        raise InputError(
            f"time {moment.isoformat()} has no time zone: add one, for example "
            f"{moment.isoformat()}Z"
        )
    if not EARLIEST <= moment < LATEST:
        raise InputError(f"time {moment.isoformat()} lies outside 2000 to 2050")
    return (moment - EPOCH) // timedelta(seconds=1)


def to_datetime(seconds: int) -> datetime:
    """The aware UTC time of ``seconds`` since the epoch."""
    return EPOCH + timedelta(seconds=int(seconds))


def parse_time(text: str) -> int:
    """Seconds since the epoch of an ISO 8601 time with its zone.

    Raises:
        InputError: not ISO 8601, naive or out of range.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"time {text!r} is not ISO 8601, such as 2025-01-06T08:30:00Z") from None
    return to_seconds(moment)


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def known_zone(name: str) -> bool:
    """Whether ``name`` is an IANA time zone, such as Europe/Berlin."""
    return name in _zones()


@lru_cache(maxsize=64)
def _transitions(zone: str) -> tuple[tuple[int, ...], NDArray[np.int32]]:
    """When the zone's distance to UTC changes (seconds [T]) and what it is from then on (s [T])."""
    if not known_zone(zone):
        raise InputError(f"time zone {zone!r} does not exist: use an IANA name, e.g. Europe/Berlin")
    info = ZoneInfo(zone)

    def offset(second: int) -> int:
        return round(_offset(info, second).total_seconds())

    first, last = to_seconds(EARLIEST), (LATEST - EPOCH) // timedelta(seconds=1)
    starts, offsets = [first], [offset(first)]
    for day_end in range(first + 7 * DAY, last + 7 * DAY, 7 * DAY):
        if offset(day_end) == offsets[-1]:
            continue
        low, high = day_end - 7 * DAY, day_end
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == offsets[-1] else (low, middle)
        starts.append(high)
        offsets.append(offset(high))
    return tuple(starts), np.asarray(offsets, np.int32)


def _offset(info: ZoneInfo, second: int) -> timedelta:
    distance = to_datetime(second).astimezone(info).utcoffset()
    assert distance is not None, "an aware time always has a distance to UTC"
    return distance


def utc_offset_seconds(zone: str, now: NDArray[np.int32]) -> NDArray[np.int32]:
    """How far local time is ahead of UTC in ``zone`` at each moment.

    Args:
        zone: IANA name.
        now: seconds since the epoch, int32 [N].

    Returns:
        Seconds, int32 [N]. A zone that changes twice within a week is taken to change once.

    Raises:
        InputError: no such zone.
    """
    starts, offsets = _transitions(zone)
    if len(starts) == 1:
        return np.full(len(now), offsets[0], np.int32)
    low, high = int(now.min(initial=2**30)), int(now.max(initial=NEVER))
    first, last = bisect_right(starts, low) - 1, bisect_right(starts, high) - 1
    if first >= last:  # the usual case: nobody is on the other side of a change
        return np.full(len(now), offsets[max(first, 0)], np.int32)
    index = np.maximum(np.searchsorted(starts, now, side="right") - 1, 0)
    return offsets[index]


def hour_of_week(local: NDArray[np.int32]) -> NDArray[np.int32]:
    """Hour of the week of local seconds since the epoch, Monday 00:00 is 0, int32 [N]."""
    hours = local // np.int32(HOUR) + np.int32(EPOCH_WEEKDAY * 24)
    return modulo(hours, 168)


def modulo(values: NDArray[np.int32], divisor: int) -> NDArray[np.int32]:
    """``values % divisor`` for a divisor above 0, faster: only ``//`` is vectorised."""
    rounded: NDArray[np.int32] = values // np.int32(divisor)
    rounded *= np.int32(divisor)
    rounded = np.subtract(values, rounded, out=rounded)
    return rounded
