"""Commands of the worlds: ``python -m simulators run|bench|replay|import|traffic``."""

from __future__ import annotations

import functools
import importlib
import operator
import sys
from dataclasses import dataclass
from typing import Annotated, Any, Final

import tyro

from envs.catalogue import Catalogue
from envs.decisions import Policy
from envs.errors import InputError


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command lives; imported only when it is asked for."""

    module: str
    config: str
    run: str
    decides: bool = False
    """Whether it plays a policy, and so needs the means to load one."""


PROGRAM: Final = "python -m simulators"
DESCRIPTION: Final = "Worlds that pose offer decisions."
COMMANDS: Final = {
    "run": Command("simulators.run", "RunConfig", "run_rollout", decides=True),
    "bench": Command("simulators.bench", "BenchConfig", "run_bench"),
    "replay": Command("simulators.replay", "ReplayConfig", "run_replay", decides=True),
    "import": Command("simulators.importing", "ImportConfig", "run_import"),
    "traffic": Command("simulators.traffic", "TrafficConfig", "run_traffic"),
}


def load_policy(spec: str, catalogue: Catalogue) -> Policy:
    """The policy a person named, loaded by the room of the learners.

    This is the one place where the worlds reach up to the learners, by name and only when a
    command plays a policy: rollouts themselves take any object with ``probabilities``.
    """
    policy: Policy = importlib.import_module("agents.policy").load_policy(spec, catalogue)
    return policy


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status; 2, and one line, when what was given is wrong."""
    given = sys.argv[1:] if arguments is None else arguments
    name = given[0] if given and given[0] in COMMANDS else None
    if name is None:
        name, config = _among_all(given)
    else:
        config = tyro.cli(_config(name), args=given[1:], prog=f"{PROGRAM} {name}")
    command = COMMANDS[name]
    run = getattr(importlib.import_module(command.module), command.run)
    try:
        status = run(config, load_policy) if command.decides else run(config)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return int(status or 0)


def _config(name: str) -> type:
    command = COMMANDS[name]
    kind: type = getattr(importlib.import_module(command.module), command.config)
    return kind


def _among_all(given: list[str]) -> tuple[str, Any]:
    """Without a known command: tyro explains them all, or says what is wrong."""
    kinds = {name: _config(name) for name in COMMANDS}
    parts = [Annotated[kind, tyro.conf.subcommand(name)] for name, kind in kinds.items()]
    union: Any = functools.reduce(operator.or_, parts)
    config: Any = tyro.cli(union, args=given, prog=PROGRAM, description=DESCRIPTION)
    return next(name for name, kind in kinds.items() if isinstance(config, kind)), config


if __name__ == "__main__":
    sys.exit(main())
