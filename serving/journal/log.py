"""The command that makes a log of the decisions that a service has written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import track

from envs.errors import InputError
from serving.journal.files import JournalFiles

MANY: Final = 200
"""Files from which on reading takes long enough to show how far it is."""


@dataclass(frozen=True, slots=True)
class JournalConfig:
    """Make the log of the decisions that a service has written so far."""

    run_dir: Path = Path("runs/serving")
    """Run folder of the service, which may be running."""
    outcome_days: float = 0.0
    """How long outcomes are awaited before a reward is known; 0: as long as an offer holds."""
    json: bool = False
    """Print the result as one JSON object."""


def run_journal(config: JournalConfig) -> None:
    """Make the log of a run folder and say where it is.

    Raises:
        InputError: there is no journal, or the folder cannot be written.
    """
    files = JournalFiles.latest(config.run_dir)
    try:
        merged = files.merged(config.outcome_days, _tracked)
    except OSError as error:
        raise InputError(f"{files.log} cannot be made: {error}") from None
    if config.json:
        print(json.dumps(asdict(merged) | {"log": str(files.log)}))
    else:
        print(f"{merged.decisions} decisions in {files.log}")


def _tracked(files: list[Path]) -> Iterable[Path]:
    """The files, with a bar on standard error where many are to be read."""
    console = Console(stderr=True)
    few = len(files) < MANY or not console.is_terminal
    return track(files, "reading the journal", console=console, transient=True, disable=few)
