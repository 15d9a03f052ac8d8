"""Commands of a room: found by name, explained by their configuration, ended with a status.

A command is a frozen dataclass, whose field docs are its ``--help``, and a function that takes it.
Both are imported only when the command is asked for. What the caller can mend is one line on
standard error and exit status 2.
"""

from __future__ import annotations

import functools
import importlib
import operator
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from envs.errors import InputError


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command lives."""

    module: str
    config: str
    """Name of its configuration."""
    run: str
    """Name of the function; it returns an exit status or nothing."""
    given: tuple[Any, ...] = ()
    """What the function takes besides its configuration."""

    def load_config(self) -> Any:
        """The configuration's class."""
        return getattr(importlib.import_module(self.module), self.config)

    def play(self, config: Any) -> int:
        """Run with a configuration; the exit status."""
        function = getattr(importlib.import_module(self.module), self.run)
        return int(function(config, *self.given) or 0)


def run_commands(
    program: str,
    description: str,
    commands: Mapping[str, Command],
    arguments: list[str] | None = None,
) -> int:
    """Run the command that the arguments name.

    Args:
        program: how the room is started, for the help.
        description: what the room is for, in one sentence.
        commands: by name.
        arguments: those of the command line when left out.

    Returns:
        The exit status; 2 when what was given is wrong, said in one line.
    """
    given = sys.argv[1:] if arguments is None else arguments
    if given and given[0] in commands:
        name = given[0]
        kind = commands[name].load_config()
        config = tyro.cli(kind, args=given[1:], prog=f"{program} {name}")
    else:
        name, config = _among_all(program, description, commands, given)
    try:
        return commands[name].play(config)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _among_all(
    program: str, description: str, commands: Mapping[str, Command], given: list[str]
) -> tuple[str, Any]:
    """Without a known command: tyro explains them all, or says what is wrong."""
    kinds = {name: command.load_config() for name, command in commands.items()}
    parts = [Annotated[kind, tyro.conf.subcommand(name)] for name, kind in kinds.items()]
    union: Any = functools.reduce(operator.or_, parts)
    config: Any = tyro.cli(union, args=given, prog=program, description=description)
    return next(name for name, kind in kinds.items() if isinstance(config, kind)), config
