from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agents.baselines import make_baseline
from envs.catalogue import load_catalogue
from envs.errors import InputError
from simulators.content import PART_USERS, content_hash, joined_hash, part_hash, parts_of
from simulators.rollout import rollout
from simulators.trace import (
    METADATA_KEY,
    Trace,
    TraceError,
    keeping,
    packed,
    read_trace,
    write_trace,
)
from simulators.world import SyntheticWorld

CATALOGUE = load_catalogue()


@pytest.fixture(scope="module")
def trace() -> Trace:
    world = SyntheticWorld(512, seed=1, catalogue=CATALOGUE)
    return rollout(world, make_baseline("uniform", CATALOGUE), np.arange(300), 1)


def test_a_trace_survives_its_file(trace: Trace, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "trace.parquet"
    write_trace(trace, path)
    again = read_trace(path)
    assert again.info == trace.info
    assert again.table.equals(trace.table)
    assert [file.name for file in path.parent.iterdir()] == ["trace.parquet"]
    assert pq.ParquetFile(path).num_row_groups == 2  # a part each


def test_the_hash_tells_of_any_change(trace: Trace) -> None:
    table = trace.table
    for name in ("net_cents", "fatigue", "departed"):
        values = table.column(name).to_numpy().copy()
        values[17] = not values[17] if values.dtype == np.bool_ else values[17] + 1
        place = table.column_names.index(name)
        changed = table.set_column(place, name, pa.array(values))
        assert content_hash(changed) != trace.info.content_hash, name
    assert content_hash(table.slice(1)) != trace.info.content_hash
    assert content_hash(pa.concat_tables([*parts_of(table)][::-1])) != trace.info.content_hash


def test_a_file_that_is_no_trace_is_refused_by_name(trace: Trace, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="nowhere"):
        read_trace(tmp_path / "nowhere.parquet")
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"a": [1]}), other)
    with pytest.raises(TraceError, match="not a trace"):
        read_trace(other)
    cut = tmp_path / "cut.parquet"
    write_trace(trace, cut)
    cut.write_bytes(cut.read_bytes()[:-100])
    with pytest.raises(TraceError, match="cut"):
        read_trace(cut)


def test_parts_hold_a_fixed_number_of_users_and_are_hashed_apart(trace: Trace) -> None:
    parts = list(parts_of(trace.table))
    users = [np.unique(part.column("user")).tolist() for part in parts]
    assert users == [[*range(PART_USERS)], [*range(PART_USERS, 300)]]
    assert pa.concat_tables(parts).equals(trace.table)
    assert joined_hash(part_hash(part) for part in parts) == trace.info.content_hash


def test_a_folder_holds_the_same_trace_as_a_file(trace: Trace, tmp_path: Path) -> None:
    folder = tmp_path / "trace"
    with keeping(folder, folder=True) as kept:
        for part in parts_of(trace.table):
            kept.add(packed(part))
        kept.finish(trace.info)
    again = read_trace(folder)
    assert again.info == trace.info and again.table.equals(trace.table)
    assert [file.name for file in tmp_path.iterdir()] == ["trace"]
    (folder / "part-000001.parquet").unlink()
    with pytest.raises(TraceError, match="disagree"):
        read_trace(folder)
    with pytest.raises(InputError, match="something in it"), keeping(folder, folder=True):
        pass


@pytest.mark.parametrize("folder", [False, True])
def test_an_unfinished_trace_leaves_what_was_there(
    trace: Trace, folder: bool, tmp_path: Path
) -> None:
    path = tmp_path / "trace"
    if not folder:
        path.write_text("an older one")
    with pytest.raises(RuntimeError, match="power"), keeping(path, folder) as kept:
        kept.add(packed(next(parts_of(trace.table))))
        raise RuntimeError("power failed")
    assert [file.read_text() for file in tmp_path.iterdir()] == ([] if folder else ["an older one"])


def test_a_trace_of_another_format_or_without_sense_is_refused(
    trace: Trace, tmp_path: Path
) -> None:
    path = tmp_path / "trace.parquet"
    for stored, said in (
        ({**asdict(trace.info), "format": 1}, "format 1, this version reads 2"),
        ({**asdict(trace.info), "mood": "good"}, "mood"),
        ([1], "unreadable"),
    ):
        table = trace.table.replace_schema_metadata({METADATA_KEY: json.dumps(stored)})
        pq.write_table(table, path)
        with pytest.raises(TraceError, match=said):
            read_trace(path)


def test_a_trace_keeps_how_it_was_made(trace: Trace, tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    write_trace(Trace(trace.table, replace(trace.info, policy="a/bundle")), path)
    info = read_trace(path).info
    assert (info.policy, info.policy_name, info.seed) == ("a/bundle", "uniform", 1)
