"""Learning to tell the scene: from the world's moments, on people never met, and from bad files."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agents.__main__ import main as agents
from envs.catalogue import load_catalogue
from envs.scene_reader import SceneCounts
from simulators.__main__ import main as simulators

RUN = [
    "--policy",
    "silence",
    "--users",
    "600",
    "--days",
    "10",
    "--signals",
    "--seed",
    "3",
    "--json",
]


@pytest.fixture(scope="module")
def moments(tmp_path_factory):
    path = tmp_path_factory.mktemp("moments") / "moments.parquet"
    assert simulators(["run", *RUN, "--out", str(path)]) == 0
    return path


def test_the_scene_of_people_never_met_is_told_better_than_by_the_clock(moments, tmp_path, capsys):
    out = tmp_path / "scenes.json"
    capsys.readouterr()
    assert agents(["scenes", str(moments), "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    counts = SceneCounts.model_validate_json(out.read_text())
    assert counts.figures == {name: said[name] for name in counts.figures}
    assert counts.scenes == tuple(scene.name for scene in load_catalogue().scenes)
    # 10,000 moments of 120 people: a share's error is about .01
    assert said["moments"] > 10_000
    assert said["right"] > 0.7
    assert said["right"] > said["right_by_clock"] + 0.1
    learnt = sum(map(sum, counts.hours))
    assert learnt + said["moments"] == pq.read_metadata(moments).num_rows


@pytest.mark.slow
def test_a_folder_of_parts_is_learnt_as_the_whole(moments, tmp_path):
    whole, folder = pq.read_table(moments), tmp_path / "parts"
    folder.mkdir()
    pq.write_table(whole.slice(0, 5_000), folder / "a.parquet")
    pq.write_table(whole.slice(5_000), folder / "b.parquet")
    learnt = []
    for source in (moments, folder):
        out = tmp_path / f"{source.name}.json"
        assert agents(["scenes", str(source), "--out", str(out), "--json"]) == 0
        learnt.append(SceneCounts.model_validate_json(out.read_text()))
    assert learnt[0].hours == learnt[1].hours
    assert learnt[0].signals == learnt[1].signals
    assert learnt[0].figures == pytest.approx(learnt[1].figures)


def changed(table, name, values):
    return table.set_column(table.column_names.index(name), name, values)


def without_signals(table):
    return table.select([name for name in table.column_names if not name.startswith("signal_")])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop_columns(["user"]), "no column user"),
        (without_signals, "no column signal_"),
        (lambda t: changed(t, "scene", pa.array(["missing"] * len(t))), "without its scene"),
        (lambda t: changed(t, "scene", pa.array(["moon"] * len(t))), "'moon'"),
        (lambda t: changed(t, "scene", pa.nulls(len(t), pa.string())), "column scene: a moment"),
        (
            lambda t: changed(t, "time", pa.nulls(len(t), t.schema.field("time").type)),
            "column time",
        ),
        (lambda t: t.append_column("signal_x", pa.array(["a" * 41] * len(t))), "is no name of 1"),
        (lambda t: changed(t, "time", pa.array(np.arange(len(t)))), "column time is int64"),
        (lambda t: changed(t, "user", pa.array([1] * len(t))), "no moment of a user"),
        (lambda t: t.slice(0, 0), "no moment of a user"),
        (
            lambda t: t.append_column("signal_name", pa.array([f"n{k}" for k in range(len(t))])),
            "signal_name has more than 1000 words",
        ),
    ],
)
def test_what_cannot_be_learnt_from_is_one_line_and_leaves_nothing(
    moments, tmp_path, capsys, change, said
):
    path, out = tmp_path / "m.parquet", tmp_path / "out.json"
    pq.write_table(change(pq.read_table(moments).slice(0, 3_000)), path)
    capsys.readouterr()
    assert agents(["scenes", str(path), "--out", str(out), "--json"]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize("content", [None, b"no parquet"])
def test_a_file_that_is_none_is_refused(tmp_path, capsys, content):
    path = tmp_path / "m.parquet"
    if content is not None:
        path.write_bytes(content)
    assert agents(["scenes", str(path), "--json"]) == 2
    assert str(path) in capsys.readouterr().err
