"""A benchmark as a command: its options, a folder for its runs, what it prints, how it ends."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, TypeAlias, TypeVar

import tyro

from benchmarks.children import ChildError
from envs.errors import InputError


class Options(Protocol):
    """What a benchmark is asked to do."""

    @property
    def json(self) -> bool:
        """Whether it prints one JSON object instead of a table."""


Asked = TypeVar("Asked", bound=Options)
Found: TypeAlias = dict[str, Any]


def run(
    name: str,
    about: str | None,
    options: type[Asked],
    measure: Callable[[Asked, Path], Found],
    show: Callable[[Found], None],
) -> int:
    """Read the options, measure, print.

    Args:
        name: of the module in this room.
        about: what ``--help`` says of it.
        options: read from the command line.
        measure: finds the figures, in a folder that is gone afterwards.
        show: prints them for people.

    Returns:
        The exit status: 1 when ``broken`` names a promise, 2 for what the caller can mend.
    """
    config = tyro.cli(options, prog=f"python -m benchmarks.{name}", description=about)
    try:
        with TemporaryDirectory(prefix=f"sl-{name}-", dir="/tmp") as folder:
            found = measure(config, Path(folder))
    except (InputError, ChildError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if config.json:
        print(json.dumps(found))
    else:
        show(found)
    return 1 if found.get("broken") else 0
