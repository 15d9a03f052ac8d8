"""The command that decides for files of users, on a small Ray."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agents.__main__ import main
from agents.policy import QNetworkPolicy, load_policy, save_bundle
from agents.shipping.decision_files import METADATA_KEY
from agents.shipping.scoring import Scorer
from envs.catalogue import load_catalogue
from envs.encoding import Encoding
from envs.lineage import lineage
from simulators.make import world_factory
from simulators.rollout import Player
from simulators.snapshot import people_table
from simulators.user_rows import UserReader

CATALOGUE = load_catalogue()
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small_ray")]


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """500 people who have lived for two days, in row groups of 100."""
    world = world_factory()(500, 2)
    for _ in Player(world, load_policy("uniform", CATALOGUE), 2.0).ticks(np.arange(500)):
        pass
    path = tmp_path_factory.mktemp("users") / "users.parquet"
    pq.write_table(people_table(world, np.arange(500)), path, row_group_size=100)
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(1)
    width, actions = Encoding(CATALOGUE).width, len(CATALOGUE.actions)
    weight = rng.normal(size=(width, actions)).astype(np.float32).astype(np.float64)
    path = tmp_path_factory.mktemp("bundle") / "policy"
    save_bundle(
        path, QNetworkPolicy(((weight, np.zeros(actions)),), 0.2), CATALOGUE, lineage(0), {}
    )
    return path


def score(policy: object, users: Path, out: Path, *more: str) -> pa.Table:
    assert main(["score", str(policy), str(users), "--out", str(out), "--json", *more]) == 0
    return pq.read_table(out)


def test_a_file_is_decided_as_its_users_are_in_one_go(
    users: Path, bundle: Path, tmp_path: Path
) -> None:
    found = score(bundle, users, tmp_path / "out", "--seed", "9")
    policy = load_policy(str(bundle), CATALOGUE)
    reader = UserReader(users, CATALOGUE)
    rows = pq.read_table(users).combine_chunks().to_batches()[0]
    decided = Scorer(CATALOGUE, policy, seed=9).decide(reader.people(rows))
    assert found.column("user_id").to_pylist() == rows.column("user_id").to_pylist()
    assert found.column("action_index").to_pylist() == decided.actions.tolist()
    assert found.column("propensity").to_pylist() == decided.propensities.tolist()


def test_row_groups_files_and_workers_change_no_decision(
    users: Path, bundle: Path, tmp_path: Path
) -> None:
    everybody = pq.read_table(users)
    folder = tmp_path / "folder"
    folder.mkdir()
    pq.write_table(everybody.slice(0, 33), folder / "a.parquet")
    pq.write_table(everybody.slice(33), folder / "b.parquet", row_group_size=17)
    one = score(bundle, users, tmp_path / "one")
    other = score(bundle, folder, tmp_path / "other", "--workers", "1")
    assert one.equals(other)
    assert len(pq.ParquetDataset(tmp_path / "other").fragments) == 1 + 28  # several a task


def test_decisions_say_how_they_were_made(
    users: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    table = score(bundle, users, out, "--seed", "5", "--budget-price", "0.5")
    info = json.loads(pq.read_schema(out / "_common_metadata").metadata[METADATA_KEY])
    assert json.loads(table.schema.metadata[METADATA_KEY]) == info
    assert (info["seed"], info["budget_price"]) == (5, 0.5)
    assert info["weights_sha256"].startswith(info["policy_name"].removeprefix("q_network-"))
    assert info["catalogue_hash"] == CATALOGUE.hash
    said = json.loads(capsys.readouterr().out)
    assert said["decisions"] == table.num_rows == sum(said["actions"].values())
    assert said["info"] == info


def test_older_decisions_are_replaced_and_nothing_is_left_beside_them(
    users: Path, tmp_path: Path
) -> None:
    score("uniform", users, tmp_path / "out")
    table = score("silence", users, tmp_path / "out")
    assert set(table.column("action").to_pylist()) == {"silence"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["score", *map(str, arguments)]) == 2
    said = list(filter(None, capsys.readouterr().err.splitlines()))
    assert len(said) == 1
    return said[0]


def test_a_folder_of_something_else_is_not_replaced(
    users: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert "holds no decisions" in refused(capsys, "silence", users, "--out", tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_a_wrong_value_is_named_and_older_decisions_stay(
    users: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, out = pq.read_table(users), tmp_path / "out"
    score("silence", users, out)
    capsys.readouterr()
    scenes = ["mall"] * 450 + ["moon"] * (table.num_rows - 450)
    place = table.schema.get_field_index("scene")
    wrong = tmp_path / "wrong.parquet"
    pq.write_table(table.set_column(place, "scene", pa.array(scenes)), wrong, row_group_size=100)
    says = refused(capsys, "uniform", wrong, "--out", out)
    assert f"{wrong}: row 451, column 'scene': 'moon' is not in the catalogue" in says
    assert set(pq.read_table(out).column("action").to_pylist()) == {"silence"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "wrong.parquet"]


def test_a_wrong_file_is_refused_before_any_work(
    users: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "users.parquet"
    text.write_text("user_id,scene")
    empty = tmp_path / "empty.parquet"
    pq.write_table(pq.read_table(users).slice(0, 0), empty)
    out = ("--out", tmp_path / "out")
    assert "no such file" in refused(capsys, "uniform", tmp_path / "nothing.parquet", *out)
    assert "not a readable Parquet file" in refused(capsys, "uniform", text, *out)
    assert "holds no users" in refused(capsys, "uniform", empty, *out)
    assert "no policy 'nobody'" in refused(capsys, "nobody", users, *out)
    assert "have to be 0 or more" in refused(capsys, "uniform", users, *out, "--workers", "-1")


def test_users_of_another_catalogue_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from simulators.__main__ import main as simulate

    path = tmp_path / "grocery.parquet"
    arguments = ["snapshot", "--out", str(path), "--users", "20", "--days", "1", "--json"]
    assert simulate([*arguments, "--preset", "tabular"]) == 0
    capsys.readouterr()
    says = refused(capsys, "uniform", path, "--out", tmp_path / "out")
    assert "users of catalogue" in says
