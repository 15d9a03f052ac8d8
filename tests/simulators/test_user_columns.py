from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from agents.policy import load_policy
from envs.catalogue import load_catalogue
from envs.clock import NEVER
from envs.decisions import Moment
from envs.encoding import Encoding
from envs.errors import InputError
from envs.rules import Rules
from envs.users import UserState
from simulators.make import world_factory
from simulators.rollout import Player
from simulators.snapshot import people_table
from simulators.user_columns import People
from simulators.user_rows import UserReader
from simulators.world import SyntheticWorld

CATALOGUE = load_catalogue()
HERE = Path("people.parquet")
NOON = datetime(2025, 3, 30, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def world() -> SyntheticWorld:
    """200 people who have lived for three weeks, contacted at random."""
    world = world_factory()(200, 5)
    for _ in Player(world, load_policy("uniform", CATALOGUE), 21.0).ticks(np.arange(200)):
        pass
    return world


def read(table: pa.Table) -> People:
    reader = UserReader(HERE, CATALOGUE)
    return reader.people(table.select(reader.wanted(table.schema)).to_batches()[0])


def row(**columns: object) -> pa.Table:
    """Two users, the second with these columns."""
    first: dict[str, object] = {"user_id": "anna", "time": NOON, "scene": "mall"}
    second = {**first, "user_id": "ben", **columns}
    return pa.table({name: pa.array([first.get(name), second[name]]) for name in second})


def test_what_is_written_of_users_is_seen_and_allowed_bit_for_bit_when_read(
    world: SyntheticWorld,
) -> None:
    people = read(people_table(world, np.arange(200)))
    here = np.flatnonzero(~world.departed)
    users, moment = world.users.take(here), world.moment().take(here)
    assert people.ids.to_pylist() == [f"user-{row}" for row in here.tolist()]
    encode, refusals = Encoding(CATALOGUE).encode, Rules(CATALOGUE).refusals
    np.testing.assert_array_equal(encode(people.users, people.moment), encode(users, moment))
    np.testing.assert_array_equal(refusals(people.users, people.moment), refusals(users, moment))


def test_what_is_written_of_users_is_read_number_for_number(world: SyntheticWorld) -> None:
    people = read(people_table(world, np.arange(200)))
    users = world.users.take(np.flatnonzero(~world.departed))
    np.testing.assert_array_equal(people.users.numbers, users.numbers)
    np.testing.assert_array_equal(people.users.times, users.times)


def test_nothing_is_known_of_users_without_columns() -> None:
    people = read(row())
    unknown = UserState.empty(CATALOGUE, 2)
    np.testing.assert_array_equal(people.users.numbers, unknown.numbers)
    np.testing.assert_array_equal(people.users.times, unknown.times)


def test_a_null_is_as_good_as_no_column() -> None:
    told = {"sum_viewed": 1.0, "latest_event": NOON, "opted_in_push": NOON, "time_zone": "UTC"}
    nulls = row(**told).slice(0, 1)  # the first of the two has nothing of it
    assert all(nulls.column(name).null_count == 1 for name in told)
    unknown = UserState.empty(CATALOGUE, 1)
    np.testing.assert_array_equal(read(nulls).users.times, unknown.times)
    np.testing.assert_array_equal(read(nulls).users.numbers, unknown.numbers)


def test_the_offset_of_a_zone_is_that_of_the_day() -> None:
    people = read(row(time_zone="Europe/Berlin"))  # the first has none: UTC
    assert people.moment.utc_offset_s.tolist() == [0, 7200]
    assert isinstance(people.moment, Moment)


def test_integers_name_users_too() -> None:
    table = row().set_column(0, "user_id", pa.array([7, 8]))
    assert read(table).ids.to_pylist() == ["7", "8"]


def test_somebody_who_only_opted_in_may_be_asked() -> None:
    people = read(row(opted_in_sms=NOON))
    assert people.users.opted_in_at[0, CATALOGUE.channel_index("sms")] == NEVER
    assert people.users.consents()[1, CATALOGUE.channel_index("sms")]


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"user_id": None}, "row 2, column 'user_id': is null"),
        ({"user_id": ""}, "row 2, column 'user_id': is empty"),
        ({"time": None}, "row 2, column 'time': is null"),
        ({"time": datetime(1999, 1, 1, tzinfo=UTC)}, "row 2, column 'time': lies outside 2000"),
        ({"time": datetime(2170, 1, 1, tzinfo=UTC)}, "row 2, column 'time': lies outside 2000"),
        ({"scene": "moon"}, "row 2, column 'scene': 'moon' is not in the catalogue"),
        ({"scene": None}, "row 2, column 'scene': is null"),
        ({"time_zone": "Mars/Base"}, "row 2, column 'time_zone': 'Mars/Base' is no IANA time zone"),
        ({"sum_viewed": -1.0, "latest_event": NOON}, "row 2, column 'sum_viewed': is below 0"),
        ({"sum_viewed": float("inf")}, "row 2, column 'sum_viewed': is not a finite number"),
        ({"sum_viewed": 2.0}, "row 2, column 'latest_event': is null, but there are sums"),
        ({"attribute_member_tier": "lead"}, "row 2, column 'attribute_member_tier': 'lead' is not"),
        ({"attribute_past_spend_cents": 1e9}, "'attribute_past_spend_cents': lies outside 0 to"),
        ({"sum_veiwed": 1.0}, "column 'sum_veiwed': means nothing in catalogue 'retail'"),
        ({"sum_viewed": "two"}, "column 'sum_viewed': has type string, expected number"),
        ({"latest_event": 3}, "column 'latest_event': has type int64, expected timestamp"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_user_is_refused_by_file_row_and_column(
    columns: dict[str, object], says: str
) -> None:
    with pytest.raises(InputError) as refused:
        read(row(**columns))
    assert says in str(refused.value)
    assert str(refused.value).startswith("people.parquet: ")


@pytest.mark.parametrize("name", ["user_id", "time", "scene"])
def test_a_file_without_a_column_that_has_to_be_there_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"column '{name}': is missing"):
        read(row().drop_columns([name]))


def test_columns_of_other_meaning_are_passed_over() -> None:
    assert len(read(row(country="DE"))) == 2
