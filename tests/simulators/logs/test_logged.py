from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from envs.catalogue import CatalogueError, load_catalogue, parse_catalogue
from envs.clock import parse_time
from envs.decisions import EventKind, Events, Moment
from envs.encoding import Encoding
from envs.errors import InputError
from envs.users import UserState, advance
from simulators.logs.importing import ImportConfig, import_campaign, run_import, split_users
from simulators.logs.logged import Log, LogError, LoggedWorld, read_log, write_log
from simulators.logs.mapping import MappingError

CATALOGUE = """
name: shop
margin: 0.4
typical_basket_cents: 5000
scenes: [{name: mailing}, {name: app}]
channels: [{name: email, cost_cents: 1}, {name: push, cost_cents: 0, quiet: [22, 8]}]
offers: [{name: news, kind: content}, {name: off10, kind: discount, discount: 0.1}]
caps: [{name: two_a_day, limit: 2, hours: 24}]
attributes:
  - {name: tier, kind: choice, values: [none, gold]}
  - {name: age, kind: number, low: 0, high: 120}
"""

MAPPING = """
name: spring
catalogue: shop.yaml
user: {column: customer}
scene: {column: where, values: {Mail: mailing, App: app}}
time: {column: sent, zone: Europe/Berlin}
action: {column: arm, values: {"": silence, A: news/email, B: off10/push}}
propensity: {actions: {silence: 1/2, news/email: 1/4, off10/push: 1/4}}
attributes:
  tier: {column: tier, values: {"0": none, "1": gold}}
  age: {column: age}
outcomes:
  bought: {column: bought}
  cents: {column: cents}
reward: {outcome: cents, unit: cents}
"""

TABLE = """customer,where,sent,arm,tier,age,bought,cents
ann,Mail,2024-05-02T10:00,A,1,40,1,2999
bob,App,2024-05-02T10:00,,0,,0,0
ann,App,2024-05-02T12:30,B,1,40,0,0
ann,App,2024-05-03T13:30,,1,40,,
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(CATALOGUE)
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    (tmp_path / "table.csv").write_text(TABLE)
    return tmp_path


def imported(folder: Path) -> Log:
    return import_campaign(folder / "mapping.yaml", folder / "table.csv")


def test_a_table_reads_as_its_mapping_says(folder: Path) -> None:
    log = imported(folder)
    names = [action.name for action in log.catalogue.actions]
    assert [names[a] for a in log.actions] == ["news/email", "silence", "off10/push", "silence"]
    assert log.propensities.tolist() == [0.25, 0.5, 0.25, 0.5]
    assert log.user_ids.tolist() == ["ann", "bob", "ann", "ann"]
    assert log.times[0] == parse_time("2024-05-02T08:00:00Z")
    assert log.scenes.tolist() == [0, 1, 1, 1]
    np.testing.assert_array_equal(log.attributes, [[1, 40], [0, np.nan], [1, 40], [1, 40]])
    np.testing.assert_array_equal(log.rewards, [2999, 0, 0, np.nan])
    np.testing.assert_array_equal(log.outcomes["bought"], [1, 0, 0, np.nan])
    assert len(log.learnable()) == 3


def test_a_gzipped_table_reads_the_same(folder: Path) -> None:
    (folder / "table.csv.gz").write_bytes(gzip.compress(TABLE.encode()))
    log = import_campaign(folder / "mapping.yaml", folder / "table.csv.gz")
    np.testing.assert_array_equal(log.observations, imported(folder).observations)


def test_observations_are_those_that_the_service_would_encode(folder: Path) -> None:
    # Ann's second decision: she was contacted before, and her attributes came with each request.
    log = imported(folder)
    state = UserState.empty(log.catalogue, 1)
    for row in (0, 2):
        now, told = log.times[row], log.attributes[[row]].astype(np.float32)
        advance(state, Events.of(0, EventKind.DESCRIBED, now, attributes=told))
        if row == 0:
            contact = Events.of(0, EventKind.CONTACTED, now, scene=0, channel=0, offer=0)
            advance(state, contact)
    moment = Moment(log.scenes[[2]], log.times[[2]], np.zeros(1, np.int32))
    expected = Encoding(log.catalogue).encode(state, moment)
    np.testing.assert_array_equal(log.observations[[2]], expected)
    fresh = Encoding(log.catalogue).encode(UserState.empty(log.catalogue, 1), moment)
    assert not np.array_equal(log.observations[[2]], fresh)


def test_the_order_of_the_rows_does_not_change_what_was_seen(folder: Path) -> None:
    header, *rows = TABLE.strip().split("\n")
    (folder / "table.csv").write_text("\n".join([header, *reversed(rows)]))
    backwards = imported(folder).observations
    (folder / "table.csv").write_text(TABLE)
    np.testing.assert_array_equal(backwards[::-1], imported(folder).observations)


def test_an_action_that_the_rules_refuse_names_the_rule(folder: Path) -> None:
    night = TABLE.replace("2024-05-02T12:30", "2024-05-03T03:30")
    (folder / "table.csv").write_text(night)
    with pytest.raises(LogError, match=r"row 3, .*'off10/push' was done.*quiet_hours"):
        imported(folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ann,Mail", ",Mail", r"table\.csv: row 1, column 'customer': is empty"),
        ("bob,App", "bob,Shop", r"row 2, column 'where': 'Shop' is not one of"),
        ("T12:30,B", "T12:30,C", r"row 3, column 'arm': 'C' is not one of"),
        ("2024-05-02T12:30", "noon", r"row 3, column 'sent': .*noon"),
        ("2024-05-02T12:30", "1999-05-02T12:30", r"row 3, column 'sent': .*outside 2000 to 2050"),
        ("1,40,1,2999", "2,40,1,2999", r"row 1, column 'tier': '2' is not one of"),
        ("1,40,1,2999", "1,400,1,2999", r"row 1, column 'age': age is 400\.0, not a number"),
        ("1,40,1,2999", "1,40,1,many", r"row 1, column 'cents': .*many"),
        ("1,40,1,2999", "1,40,inf,1", r"row 1, column 'bought': 'inf' is not a finite number"),
        ("customer,", "client,", r"column 'customer': is missing"),
        (TABLE, "customer,where\n", r"the table has no rows"),
        (TABLE, "", r"cannot be read as CSV"),
    ],
)
def test_a_wrong_table_is_refused_by_row_and_column(
    folder: Path, old: str, new: str, message: str
) -> None:
    assert old in TABLE
    (folder / "table.csv").write_text(TABLE.replace(old, new, 1))
    with pytest.raises(LogError, match=message):
        imported(folder)


def test_a_truncated_gzip_file_is_refused(folder: Path) -> None:
    whole = gzip.compress(TABLE.encode() * 50)
    (folder / "table.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LogError, match="cannot be read as CSV"):
        import_campaign(folder / "mapping.yaml", folder / "table.csv.gz")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("reward: {outcome: cents", "reward: {outcome: profit", r":15: reward\.outcome: .*profit"),
        ("silence: 1/2", "silence: 1/3", r":8: propensity: probabilities add up to 0\.833333"),
        ("news/email: 1/4", "news/email: 1/0", r":8: propensity\.actions\.news/email: .*'1/0'"),
        ("A: news/email", "A: news/sms", r":7: action\.values\.A: is not declared.*news/sms"),
        ("Mail: mailing", "Mail: street", r":5: scene\.values\.Mail: is not declared.*street"),
        ("  age: {column: age}", "  height: {column: age}", r":11: attributes\.height: is not"),
        ("user: {column: customer}", "user: {row: same}", r":4: user: the pattern must contain"),
        ("name: spring", "nom: spring", r": name: Field required"),
        ("name: spring", "name: spring\ncolour: red", r":3: colour: Extra inputs"),
        ("time: {column: sent, zone: Europe/Berlin}", "time: {}", r":6: time: give exactly one of"),
        ("user: {", "user: [", r"mapping\.yaml:4: "),
        ("zone: Europe/Berlin", "zone: Europe/Bern", r":6: time: .*Europe/Bern"),
    ],
)
def test_a_wrong_mapping_is_refused_by_line_and_field(
    folder: Path, old: str, new: str, message: str
) -> None:
    assert old in MAPPING
    (folder / "mapping.yaml").write_text(MAPPING.replace(old, new, 1))
    with pytest.raises(MappingError, match=message):
        imported(folder)


def test_a_wrong_catalogue_is_refused_before_the_table_is_read(folder: Path) -> None:
    (folder / "shop.yaml").write_text(CATALOGUE.replace("margin: 0.4", "margin: 4"))
    with pytest.raises(CatalogueError, match="margin"):
        import_campaign(folder / "mapping.yaml", folder / "absent.csv")


@pytest.mark.parametrize(
    ("mapped", "column", "expected"),
    [("{constant: 0.5}", "", [0.5] * 4), ("{column: p}", "p", [0.1, 0.2, 0.3, 0.4])],
)
def test_propensities_come_from_a_constant_or_a_column(
    folder: Path, mapped: str, column: str, expected: list[float]
) -> None:
    lines = MAPPING.strip().split("\n")
    lines = [f"propensity: {mapped}" if "propensity" in line else line for line in lines]
    (folder / "mapping.yaml").write_text("\n".join(lines))
    rows = zip(TABLE.strip().split("\n"), [column, *map(str, expected)], strict=True)
    (folder / "table.csv").write_text("\n".join(f"{row},{p}" for row, p in rows))
    assert imported(folder).propensities.tolist() == expected


def test_times_may_count_from_a_moment(folder: Path) -> None:
    counted = MAPPING.replace(
        "{column: sent, zone: Europe/Berlin}", '{column: day, since: "2024-05-01T09:00:00Z"}'
    )
    (folder / "mapping.yaml").write_text(counted)
    rows = zip(TABLE.strip().split("\n"), ["day", "0", "0.5", "1", "2"], strict=True)
    (folder / "table.csv").write_text("\n".join(f"{row},{day}" for row, day in rows))
    start = parse_time("2024-05-01T09:00:00Z")
    assert (imported(folder).times - start).tolist() == [0, 43200, 86400, 172800]
    (folder / "table.csv").write_text(TABLE.replace("sent", "day"))
    with pytest.raises(LogError, match="row 1, column 'day': could not convert"):
        imported(folder)


def test_a_propensity_of_zero_is_refused(folder: Path) -> None:
    (folder / "mapping.yaml").write_text(
        MAPPING.replace(
            "{actions: {silence: 1/2, news/email: 1/4, off10/push: 1/4}}", "{column: tier}"
        )
    )
    with pytest.raises(LogError, match=r"row 2, column 'tier': 0\.0 is not above 0 and at most 1"):
        imported(folder)


def test_a_log_reads_back_as_it_was_written(folder: Path) -> None:
    log = imported(folder)
    write_log(log, folder / "log.parquet")
    back = read_log(folder / "log.parquet", load_catalogue(folder / "shop.yaml"))
    for name in ("decision_ids", "user_ids", "times", "scenes", "actions", "propensities"):
        np.testing.assert_array_equal(getattr(back, name), getattr(log, name), name)
    for name in ("observations", "mask", "rewards", "attributes", "degraded"):
        np.testing.assert_array_equal(getattr(back, name), getattr(log, name), name)
    np.testing.assert_array_equal(back.outcomes["cents"], log.outcomes["cents"])
    assert (back.reward_unit, back.source, back.lineage) == ("cents", log.source, log.lineage)
    assert not list(folder.glob(".*partial"))


def test_a_folder_of_files_is_one_log_and_the_last_row_of_a_decision_counts(folder: Path) -> None:
    log = imported(folder)
    journal = folder / "journal"
    write_log(log, journal / "part-0.parquet")
    later = log.take(np.asarray([3]))
    later.rewards[0] = 500.0
    write_log(later, journal / "part-1.parquet")
    joined = read_log(journal)
    assert len(joined) == 4
    assert joined.rewards[joined.decision_ids == "spring-4"] == 500.0


def test_a_log_of_another_catalogue_is_refused(folder: Path) -> None:
    write_log(imported(folder), folder / "log.parquet")
    other = parse_catalogue(CATALOGUE.replace("margin: 0.4", "margin: 0.3"))
    with pytest.raises(LogError, match="made with catalogue shop"):
        read_log(folder / "log.parquet", other)


def test_files_that_are_no_logs_are_refused(folder: Path) -> None:
    with pytest.raises(LogError, match="no such file"):
        read_log(folder / "absent.parquet")
    with pytest.raises(LogError, match="not a readable Parquet file"):
        read_log(folder / "table.csv")
    pq.write_table(pa.table({"a": [1]}), folder / "other.parquet")
    with pytest.raises(LogError, match="it is not a log"):
        read_log(folder / "other.parquet")
    (folder / "empty").mkdir()
    with pytest.raises(LogError, match=r"holds no \.parquet file"):
        read_log(folder / "empty")


def false_mask(width: int, taken: int) -> pa.Array:
    row = np.ones(width, bool)
    row[taken] = False
    return pa.FixedSizeListArray.from_arrays(np.tile(row, 4), width)


@pytest.mark.parametrize(
    ("column", "replacement", "message"),
    [
        ("propensity", [0.5, 0.0, 0.5, 0.5], "row 2, column 'propensity': 0.0 is not above 0"),
        ("propensity", [0.5, 1.5, 0.5, 0.5], "row 2, column 'propensity': 1.5 is not above 0"),
        ("propensity", [0.5, None, 0.5, 0.5], "row 2, column 'propensity': is null"),
        ("propensity", ["1"] * 4, "column 'propensity': has type string, expected double"),
        ("action", ["silence", "x", "silence", "silence"], "row 2, column 'action': 'x' is not in"),
        ("scene", ["app", "app", "x", "app"], "row 3, column 'scene': 'x' is not in"),
        ("user_id", ["a", "", "a", "a"], "row 2, column 'user_id': is empty"),
        ("reward", [1.0, 2.0, float("inf"), 0.0], "row 3, column 'reward': inf is not a finite"),
        ("attribute_tier", ["gold", "tin", None, None], "row 2, column 'attribute_tier'"),
        ("time", [1, 2, 3, 4], "column 'time': has type int64"),
        ("observation", [[1.0]] * 4, "column 'observation': has type"),
        ("mask", false_mask(5, 0), "row 1, column 'mask': forbids silence"),
        ("mask", false_mask(5, 1), "row 1, column 'mask': forbids 'news/email'"),
        ("reward", None, "column 'reward': is missing"),
    ],
)
def test_a_log_that_breaks_its_format_is_refused_by_row_and_column(
    folder: Path, column: str, replacement: object, message: str
) -> None:
    path = folder / "log.parquet"
    write_log(imported(folder), path)
    table = pq.read_table(path)
    index = table.column_names.index(column)
    changed = table.remove_column(index)
    if replacement is not None:
        values = replacement if isinstance(replacement, pa.Array) else pa.array(replacement)
        changed = changed.add_column(index, column, values)
    pq.write_table(changed, path)
    with pytest.raises(LogError) as refused:
        read_log(path)
    assert message in str(refused.value)
    assert str(refused.value).startswith(str(path))


def test_altered_metadata_is_refused(folder: Path) -> None:
    path = folder / "log.parquet"
    write_log(imported(folder), path)
    table = pq.read_table(path)
    text = table.schema.metadata[b"scenelift"]
    for old, new, message in (
        (b"margin: 0.4", b"margin: 0.3", "does not fit its hash"),
        (b'"format": 1', b'"format": 9', "log format 9"),
        (b'"encoding_hash": "', b'"encoding_hash": "0', "import the log again"),
        (b"{", b"", "is not JSON"),
    ):
        assert old in text
        changed = table.replace_schema_metadata({b"scenelift": text.replace(old, new, 1)})
        pq.write_table(changed, path)
        with pytest.raises(LogError, match=message):
            read_log(path)


def test_the_split_is_by_user_and_repeats(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    users = np.asarray([f"u{i}" for i in range(4000)], object)
    first = split_users(users, 0.5, seed=0)
    np.testing.assert_array_equal(first[::-1], split_users(users[::-1], 0.5, seed=0))
    assert not np.array_equal(first, split_users(users, 0.5, seed=1))
    # Binomial(4000, 0.25) leaves 850 to 1150 with probability below 1e-7.
    assert 850 < split_users(users, 0.25, seed=0).sum() < 1150
    config = ImportConfig(
        folder / "mapping.yaml",
        folder / "table.csv",
        out=folder / "train.parquet",
        test_out=folder / "test.parquet",
        seed=next(
            s for s in range(99) if len({*split_users(np.asarray(["ann", "bob"]), 0.5, s)}) == 2
        ),
    )
    run_import(config)
    assert "spring" in capsys.readouterr().out
    train, test = read_log(config.out), read_log(folder / "test.parquet")
    assert {*train.user_ids} & {*test.user_ids} == set()
    assert len(train) + len(test) == 4


def test_a_split_that_leaves_nobody_is_refused(folder: Path) -> None:
    config = ImportConfig(
        folder / "mapping.yaml",
        folder / "table.csv",
        out=folder / "a.parquet",
        test_out=folder / "b.parquet",
        split=1e-9,
    )
    with pytest.raises(InputError, match="would hold no row"):
        run_import(config)


def test_the_logged_world_answers_only_what_was_done(folder: Path) -> None:
    log = imported(folder)
    world = LoggedWorld(log, seed=1)
    posed = world.pose(3)
    reply = world.step(np.full(3, 1))
    np.testing.assert_array_equal(reply.known, posed.actions == 1)
    assert reply.rewards[reply.known].tolist() == [2999.0]
    assert reply.weights[reply.known].tolist() == [4.0]
    assert np.isnan(reply.rewards[~reply.known]).all()
    assert not reply.weights[~reply.known].any()


def test_the_logged_world_poses_every_decision_once_a_round_in_the_order_of_its_seed(
    folder: Path,
) -> None:
    log = imported(folder)
    world = LoggedWorld(log, seed=1)
    ids = [*world.pose(2).decision_ids, *world.pose(1).decision_ids]
    assert sorted(ids) == sorted(log.learnable().decision_ids)
    assert [*world.pose(3).decision_ids] == ids
    assert [*LoggedWorld(log, seed=1).pose(3).decision_ids] == ids
    with pytest.raises(InputError, match="2 actions for 3 posed decisions"):
        world.step(np.zeros(2, np.int64))
