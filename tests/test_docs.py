"""The documents against the code: commands exist, options exist, links lead somewhere."""

import importlib.util
import re
import shlex
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
ROOMS = ("agents", "envs", "serving", "simulators", "benchmarks")
FOLDERS = sorted(
    ".".join(path.parent.relative_to(ROOT).parts)
    for room in ROOMS
    for path in (ROOT / room).glob("*/__init__.py")
)
BLOCK = re.compile(r"^```(?:bash|sh|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def commands(document: Path) -> list[list[str]]:
    """The words of each command line printed in a document's shell blocks."""
    found = []
    for block in BLOCK.findall(document.read_text()):
        for line in block.replace("\\\n", " ").splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                found.append(shlex.split(line, comments=True))
    return found


def python_commands() -> dict[tuple[str, ...], set[str]]:
    """Each `python -m ROOM [WORDS]` printed anywhere, with the options printed beside it."""
    options: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for document in DOCUMENTS:
        for words in commands(document):
            if "-m" not in words or words[words.index("-m") + 1].split(".")[0] not in ROOMS:
                continue
            rest = words[words.index("-m") + 1 :]
            options[tuple(_subcommands(rest))] |= {
                word.split("=")[0] for word in rest if word.startswith("--")
            }
    return options


def _subcommands(words: list[str]) -> list[str]:
    """The module and the bare words right behind it that name a command, not a file."""
    named = [words[0]]
    deepest = 2 if words[1:2] == ["train"] else 1
    for word in words[1 : 1 + deepest]:
        if not re.fullmatch(r"[a-z_]+", word):
            break
        named.append(word)
    return named


@pytest.mark.slow
@pytest.mark.parametrize("command", sorted(python_commands()), ids=" ".join)
def test_a_printed_command_exists_and_knows_its_options(command):
    run = subprocess.run(
        [sys.executable, "-m", *command, "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    unknown = {o for o in python_commands()[command] if not re.search(rf"{o}\b", run.stdout)}
    assert not unknown


def test_printed_make_targets_exist():
    targets = set(re.findall(r"^([a-z.-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    printed = set()
    for document in DOCUMENTS:
        for words in commands(document):
            if "make" in words:
                printed |= {w for w in words[words.index("make") + 1 :] if "=" not in w}
    assert {"demo", "test", "check"} <= printed <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document):
    for link in LINK.findall(document.read_text()):
        place, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = (document.parent / place) if place else document
        assert target.exists(), link
        if anchor:
            assert anchor in _anchors(target), link


def _anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("room", [*ROOMS, *FOLDERS])
def test_the_map_of_a_room_names_every_file_of_it(room):
    spec = importlib.util.find_spec(room)
    assert spec is not None and spec.origin is not None
    text = Path(spec.origin).read_text()
    folder = Path(spec.origin).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
    folders = {path.parent.name for path in folder.glob("*/__init__.py")}
    missing = {name for name in files | folders if not re.search(rf"\b{name}\b", text)}
    assert not missing


def test_every_decision_is_numbered_once_and_says_what_why_and_when_to_look_again():
    records = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert [int(record.name[:3]) for record in records] == list(range(1, len(records) + 1))
    for record in records:
        text = record.read_text()
        assert text.startswith(f"# {record.name[:3]} ")
        assert "**Look again**" in text, record


def test_the_changelog_has_an_open_section():
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()
