"""The commands of the service: ``up``, ``status`` and ``journal``."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import httpx
import tyro

from envs.errors import InputError
from serving.journal_files import JournalFiles
from serving.up import UpConfig, run_up


@dataclass(frozen=True, slots=True)
class StatusConfig:
    """Say what a running service serves."""

    url: str = "http://127.0.0.1:8000"
    """Address of the service."""
    json: bool = False
    """Print the answer as one JSON object."""


@dataclass(frozen=True, slots=True)
class JournalConfig:
    """Make the log of the decisions that a service has written so far."""

    run_dir: Path = Path("runs/serving")
    """Run folder of the service, which may be running."""
    outcome_days: float = 0.0
    """How long outcomes are awaited before a reward is known; 0: as long as an offer holds."""
    json: bool = False
    """Print the result as one JSON object."""


Command = (
    Annotated[UpConfig, tyro.conf.subcommand("up")]
    | Annotated[StatusConfig, tyro.conf.subcommand("status")]
    | Annotated[JournalConfig, tyro.conf.subcommand("journal")]
)


def run_status(config: StatusConfig) -> None:
    """Print what a service serves.

    Raises:
        InputError: it does not answer, or is not ready.
    """
    try:
        answer = httpx.get(f"{config.url.rstrip('/')}/readyz", timeout=5.0)
        body = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise InputError(
            f"no service answers at {config.url} ({error}): start one with `python -m serving up`"
        ) from None
    if answer.status_code != 200:
        raise InputError(f"{config.url} is not ready: {body['error']['message']}")
    if config.json:
        print(json.dumps(body))
        return
    print(f"{config.url} serves {body['policy']} for the catalogue {body['catalogue']}")
    if body["refused_policy"]:
        print(f"refused since: {body['refused_policy']}")


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


def main() -> None:
    """Run the command that the command line names."""
    command = tyro.cli(
        Command,
        prog="python -m serving",
        config=(tyro.conf.OmitSubcommandPrefixes,),
    )
    try:
        if isinstance(command, UpConfig):
            run_up(command)
        elif isinstance(command, StatusConfig):
            run_status(command)
        else:
            run_journal(command)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
