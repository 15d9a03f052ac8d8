"""The same application under plain uvicorn: one process, nothing in front of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.listening import listen
from serving.app import create_app
from serving.service import Service, catalogue_of
from serving.settings import Settings


@dataclass(frozen=True, slots=True)
class PlainConfig:
    """Serve a policy under uvicorn alone."""

    redis: str
    """URL of a Redis."""
    port: int
    """Port to listen on, at 127.0.0.1."""
    policy: str = "uniform"
    """Folder of a bundle, or a baseline."""


def main() -> None:
    """Serve."""
    config = tyro.cli(PlainConfig, prog="python -m benchmarks.plain", description=__doc__)
    settings = Settings.read(os.environ, config.redis, "a secret of the benchmark")
    catalogue = catalogue_of(config.policy, None)
    service = Service(catalogue, settings)
    spec = str(Path(config.policy).resolve()) if Path(config.policy).is_dir() else config.policy
    service.policies.configure(spec)
    listen(create_app(service), config.port, "the application")


if __name__ == "__main__":
    main()
