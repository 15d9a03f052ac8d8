"""The command that makes a log of the decisions that a service has written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from serving.journal_files import JournalFiles


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
        InputError: there is no journal.
    """
    files = JournalFiles.latest(config.run_dir)
    decisions = files.merge(config.outcome_days)
    if config.json:
        print(json.dumps({"decisions": decisions, "log": str(files.log)}))
    else:
        print(f"{decisions} decisions in {files.log}")
