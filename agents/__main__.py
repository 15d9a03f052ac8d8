"""Commands of the learners: ``python -m agents train|evaluate|ope``."""

from __future__ import annotations

import functools
import importlib
import operator
import sys
from dataclasses import dataclass
from typing import Annotated, Any, Final

import tyro

from envs.errors import InputError


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command lives; imported only when it is asked for."""

    module: str
    config: str
    run: str


PROGRAM: Final = "python -m agents"
DESCRIPTION: Final = "Learners that solve the offer decision, and judges of policies."
COMMANDS: Final = {
    "train": Command("agents.train", "TrainConfig", "run_train"),
    "evaluate": Command("agents.evaluate", "EvaluateConfig", "run_evaluate"),
    "ope": Command("agents.ope", "OpeConfig", "run_ope"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 2 when what was given is wrong, said in one line."""
    given = sys.argv[1:] if arguments is None else arguments
    name = given[0] if given and given[0] in COMMANDS else None
    if name is None:
        name, config = _among_all(given)
    else:
        config = tyro.cli(_config(name), args=given[1:], prog=f"{PROGRAM} {name}")
    run = getattr(importlib.import_module(COMMANDS[name].module), COMMANDS[name].run)
    try:
        run(config)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _config(name: str) -> Any:
    return getattr(importlib.import_module(COMMANDS[name].module), COMMANDS[name].config)


def _among_all(given: list[str]) -> tuple[str, Any]:
    """Without a known command: tyro explains them all, or says what is wrong."""
    kinds = {name: _config(name) for name in COMMANDS}
    parts = [Annotated[kind, tyro.conf.subcommand(name)] for name, kind in kinds.items()]
    union: Any = functools.reduce(operator.or_, parts)
    config: Any = tyro.cli(union, args=given, prog=PROGRAM, description=DESCRIPTION)
    return next(name for name, kind in kinds.items() if isinstance(config, kind)), config


if __name__ == "__main__":
    sys.exit(main())
