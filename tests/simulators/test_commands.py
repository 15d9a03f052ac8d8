from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from simulators.__main__ import main
from simulators.content import content_hash
from simulators.trace import Trace, read_trace, write_trace

SHORT = ["--users", "12", "--days", "3", "--seed", "4", "--json"]


def answer(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    result: dict[str, object] = json.loads(capsys.readouterr().out)
    return result


def test_a_run_is_kept_and_replayed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    assert main(["run", "--policy", "rule_book", "--out", str(path), *SHORT]) == 0
    run = answer(capsys)
    assert run["users"] == 12 and run["content_hash"] == read_trace(path).info.content_hash
    assert main(["replay", str(path), "--json"]) == 0
    replay = answer(capsys)
    assert replay["equal"] is True and replay["now"] == run["content_hash"]
    assert main(["replay", str(path), "--policy", "silence", "--json"]) == 0
    difference = answer(capsys)["difference"]
    assert isinstance(difference, dict) and difference["low"] <= difference["high"]


def test_tables_are_for_people(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    assert main(["run", "--policy", "silence", "--out", str(path), *SHORT[:-1]]) == 0
    assert "silence: 12 users x 3 days" in capsys.readouterr().out
    assert main(["replay", str(path)]) == 0
    assert "equal     True" in capsys.readouterr().out


def test_a_trace_of_what_did_not_happen_is_not_equal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "trace.parquet"
    main(["run", "--policy", "uniform", "--out", str(path), *SHORT])
    capsys.readouterr()
    trace = read_trace(path)
    net = pa.array(trace.column("net_cents") + 1)
    table = trace.table.set_column(trace.table.column_names.index("net_cents"), "net_cents", net)
    write_trace(Trace(table, replace(trace.info, content_hash=content_hash(table))), path)
    assert main(["replay", str(path), "--json"]) == 1
    assert answer(capsys)["equal"] is False
    write_trace(Trace(table, trace.info), path)
    assert main(["replay", str(path)]) == 2
    assert "content and hash disagree" in capsys.readouterr().err


def test_the_bench_names_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    short = ["--users", "64", "--steps", "3", "--repeats", "3", "--memory-users", "0"]
    assert main(["bench", *short, "--peers", "nowhere", "--json"]) == 0
    speed = answer(capsys)["speed"]
    assert speed["median"] > 0 and speed["lowest"] <= speed["median"] <= speed["highest"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["run", "--policy", "oracle_of_delphi"], "oracle_of_delphi"),
        (["run", "--users", "0"], "users 0"),
        (["run", "--days", "0"], "days 0"),
        (["run", "--workers", "-1"], "workers -1"),
        (["run", "--address", "127.0.0.1:1"], "127.0.0.1:1"),
        (["run", "--address", "moon"], "moon"),
        (["run", "--out", "/proc/nowhere/trace"], "/proc/nowhere/trace"),
        (["run", "--preset", "atlantis"], "atlantis"),
        (["run", "--catalogue", "nowhere.yaml"], "nowhere.yaml"),
        (["replay", "nowhere.parquet"], "nowhere.parquet"),
        (["bench", "--repeats", "0"], "repeats"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert named in said and said.count("\n") == 1
