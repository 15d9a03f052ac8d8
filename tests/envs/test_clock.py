"""Time in arrays and the user's time zone."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.clock import hour_of_week, known_zone, modulo, parse_time, to_datetime, to_seconds
from envs.clock import utc_offset_seconds as utc_offset
from envs.errors import InputError

ACCEPTED = st.datetimes(datetime(2000, 1, 1), datetime(2049, 12, 31), timezones=st.just(UTC))


@given(ACCEPTED)
def test_seconds_and_times_round_trip(moment: datetime) -> None:
    assert to_datetime(to_seconds(moment)) == moment.replace(microsecond=0)


@pytest.mark.parametrize(
    "text",
    [
        "2025-01-06T08:30:00",
        "yesterday",
        "1999-12-31T00:00:00Z",
        "2050-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "",
    ],
)
def test_naive_absurd_and_malformed_times_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="time"):
        parse_time(text)


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC", "Australia/Lord_Howe"]
)
@given(moments=st.lists(ACCEPTED, min_size=1, max_size=20))
def test_distance_to_utc_is_that_of_the_zone(zone: str, moments: list[datetime]) -> None:
    seconds = np.asarray([to_seconds(moment) for moment in moments], np.int32)
    expected = []
    for moment in moments:
        distance = moment.replace(microsecond=0).astimezone(ZoneInfo(zone)).utcoffset()
        assert distance is not None
        expected.append(distance.total_seconds())
    assert utc_offset(zone, seconds).tolist() == expected


def test_a_zone_that_does_not_exist_is_refused() -> None:
    assert not known_zone("Europe/Atlantis")
    with pytest.raises(InputError, match="Europe/Atlantis"):
        utc_offset("Europe/Atlantis", np.zeros(1, np.int32))


def test_the_week_begins_on_monday_at_midnight() -> None:
    monday = to_seconds(datetime(2025, 1, 6, tzinfo=UTC))
    assert hour_of_week(
        np.asarray([monday, monday - 1, monday + 25 * 3600], np.int32)
    ).tolist() == [0, 167, 25]


@given(st.lists(st.integers(-(2**30), 2**31 - 1), min_size=1), st.integers(1, 100_000))
def test_a_remainder_is_that_of_floor_division(values: list[int], divisor: int) -> None:
    found = modulo(np.asarray(values, np.int32), divisor)
    assert found.tolist() == [value % divisor for value in values]
