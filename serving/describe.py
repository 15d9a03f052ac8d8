"""The command that keeps the OpenAPI description of the service in the repository."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from envs.catalogue import load_catalogue
from envs.errors import InputError
from serving.app import create_app
from serving.service import Service
from serving.settings import Settings

KEPT: Final = Path("docs/openapi.json")
NOWHERE: Final = Settings("redis://127.0.0.1:1/0", "nobody is served by this")


@dataclass(frozen=True, slots=True)
class DescribeConfig:
    """Write the OpenAPI description of every call; nothing is started for it."""

    out: Path = KEPT
    """File to write."""
    check: bool = False
    """Write nothing; refuse when the file says something else."""


def run_describe(config: DescribeConfig) -> None:
    """Write the description, or hold the kept one against the application.

    Raises:
        InputError: it cannot be written, or differs.
    """
    text = as_text(description())
    if config.check:
        if not config.out.is_file() or config.out.read_text(encoding="utf-8") != text:
            raise InputError(
                f"{config.out} is not what the application says: run `python -m serving describe`"
            )
        return
    try:
        config.out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"--out {config.out}: cannot be written ({error}): choose another"
        ) from None
    print(f"wrote {config.out}")


def description() -> dict[str, Any]:
    """What the application says of its calls. The same for every catalogue and every setting."""
    return create_app(Service(load_catalogue(), NOWHERE)).openapi()


def as_text(schema: dict[str, Any]) -> str:
    """The description as it is kept: one value a line, so that a change is seen as one."""
    return json.dumps(schema, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
