import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.children import ChildError
from benchmarks.command import run
from envs.errors import InputError


@dataclass(frozen=True)
class Weighing:
    """Weigh something."""

    grams: int = 5
    json: bool = False


def show(found):
    print(f"{found['grams']} g")


@pytest.fixture
def weigh(monkeypatch):
    """Runs the command with options; gives its exit status."""

    def call(*options, measure=lambda config, folder: {"grams": config.grams}):
        monkeypatch.setattr(sys, "argv", ["weighing", *options])
        return run("weighing", "How heavy it is.", Weighing, measure, show)

    return call


def test_what_was_found_is_printed_for_people_or_as_json(weigh, capsys):
    assert weigh("--grams", "7") == 0
    assert capsys.readouterr().out == "7 g\n"
    assert weigh("--json") == 0
    assert json.loads(capsys.readouterr().out) == {"grams": 5}


@pytest.mark.parametrize(("broken", "status"), [([], 0), (["too heavy"], 1)])
def test_a_broken_promise_is_in_the_exit_status(weigh, broken, status):
    assert weigh(measure=lambda config, folder: {"grams": 1, "broken": broken}) == status


@pytest.mark.parametrize("error", [InputError, ChildError])
def test_what_the_caller_can_mend_is_one_line_and_status_2(weigh, capsys, error):
    def measure(config, folder):
        raise error("no scales")

    assert weigh(measure=measure) == 2
    assert capsys.readouterr() == ("", "error: no scales\n")


def test_the_folder_is_there_while_it_measures_and_gone_afterwards(weigh):
    folders: list[Path] = []

    def measure(config, folder):
        assert folder.is_dir() and folder.name.startswith("sl-weighing-")
        folders.append(folder)
        return {"grams": 1}

    weigh(measure=measure)
    assert not folders[0].exists()


def test_help_says_what_it_is(weigh, capsys):
    with pytest.raises(SystemExit) as ended:
        weigh("--help")
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "python -m benchmarks.weighing" in said and "How heavy it is." in said
