"""Every promise of docs/promises.md is held by a test that says so, and by no test in silence."""

import ast
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "promises.md"
ROW = re.compile(r"^\| `([a-z0-9-]+)` ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py::test_\w+)`")


def rows() -> list[tuple[str, ...]]:
    """Name, promise, fault and tests of each row."""
    return ROW.findall(PAGE.read_text())


def marked() -> dict[str, set[str]]:
    """The tests that say which promise they hold, by promise."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for name in promises_of(node):
                    found[name].add(f"{path.relative_to(ROOT).as_posix()}::{node.name}")
    return found


def promises_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """What the function's marks `@pytest.mark.promise(NAME)` name."""
    calls = [mark for mark in node.decorator_list if isinstance(mark, ast.Call)]
    return [
        ast.literal_eval(call.args[0])
        for call in calls
        if ast.unparse(call.func) == "pytest.mark.promise"
    ]


def test_every_line_of_the_table_is_a_row_with_a_fault_and_tests():
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert len(lines) == len(rows()) > 0
    for name, promise, fault, tests in rows():
        assert promise.strip() and fault.strip(), name
        assert TEST.findall(tests), f"{name} has no test"


def test_a_promise_is_made_once():
    names = [name for name, *_ in rows()]
    assert len(set(names)) == len(names)


def test_rows_and_marked_tests_are_the_same():
    said = {name: set(TEST.findall(tests)) for name, _, _, tests in rows()}
    assert said == dict(marked())
