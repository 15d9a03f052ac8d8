"""The application in Ray Serve: replicas that hold the policy, and the settings they run with."""

from __future__ import annotations

import asyncio
import gc
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict
from ray import serve
from ray.serve.schema import LoggingConfig

from agents.baselines import is_baseline
from envs.catalogue import Catalogue, parse_catalogue
from envs.errors import InputError
from serving.app import create_app
from serving.security import Keys, require_keys
from serving.service import Service, catalogue_of
from serving.settings import Settings, run_secret
from serving.watching import logs, tracing
from serving.words.signals import reader_text

ONGOING: Final = 256
"""Requests that a replica works on at once; most of the time they wait for Redis."""


@serve.deployment(
    name="offers",
    max_ongoing_requests=ONGOING,
    health_check_period_s=5,
    graceful_shutdown_timeout_s=5,
    logging_config=LoggingConfig(enable_access_log=False),
)
@serve.ingress()
class OfferDeployment:
    """One replica: the application with the policy inside."""

    def __init__(self, catalogue_text: str, settings: Settings) -> None:
        replica = serve.get_replica_context().replica_id.unique_id
        logs.start(settings.log, replica, Path(settings.log_dir) if settings.log_dir else None)
        tracing.start(os.environ)
        self.service = Service(parse_catalogue(catalogue_text), settings)

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The application, once the replica is made."""
        return create_app(self.service)

    async def reconfigure(self, user_config: dict[str, str]) -> None:
        """Take the policy that the configuration names, while decisions go on."""
        await asyncio.to_thread(self.service.policies.configure, user_config["policy"])
        gc.collect()
        gc.freeze()  # looking for garbage in all that stays would hold up decisions for .1 s


def application(
    policy: str,
    catalogue: Catalogue,
    settings: Settings,
    replicas: int,
    log_dir: Path | None = None,
) -> serve.Application:
    """The Serve application that serves a policy for a catalogue; its logs go to ``log_dir``."""
    spec = policy if is_baseline(policy) else str(Path(policy).resolve())
    options: dict[str, Any] = {"num_replicas": replicas, "user_config": {"policy": spec}}
    options["logging_config"] = LoggingConfig(
        log_level="WARNING",  # else a line is made of each request, and thrown away
        enable_access_log=False,
        encoding=settings.log.upper(),
        logs_dir=None if log_dir is None else str(log_dir),
    )
    if settings.metrics_dir:
        shared = {"env_vars": {"PROMETHEUS_MULTIPROC_DIR": settings.metrics_dir}}
        options["ray_actor_options"] = {"runtime_env": shared}
    settings = replace(settings, replicas=replicas, log_dir=str(log_dir or ""))
    deployment: Any = OfferDeployment  # the decorators make it one; types do not know
    bound: serve.Application = deployment.options(**options).bind(catalogue.text, settings)
    return bound


class DeployArguments(BaseModel):
    """What ``serve_config.yaml`` says under ``args``."""

    model_config = ConfigDict(extra="forbid")

    policy: str = "rule_book"
    """Folder of a bundle, or the name of a baseline."""
    catalogue: Path | None = None
    """The bundle's own, or the default one, when left out."""
    replicas: int = 2


def build(arguments: DeployArguments) -> serve.Application:
    """The application for ``serve deploy serve_config.yaml``; Redis and secret by environment.

    Raises:
        InputError: REDIS_URL, SCENELIFT_USER_SECRET or the keys are missing, or the policy is
            refused.
    """
    url = os.environ.get("REDIS_URL", "")
    if not url or not os.environ.get("SCENELIFT_USER_SECRET", ""):
        raise InputError("set REDIS_URL and SCENELIFT_USER_SECRET for all nodes of the cluster")
    settings = Settings.read(os.environ, url, run_secret(os.environ, Path()))
    require_keys(os.environ, Keys.parse(settings.api_keys))
    catalogue = catalogue_of(arguments.policy, arguments.catalogue)
    scenes = reader_text(os.environ.get("SCENELIFT_SCENES", ""), catalogue)
    settings = replace(settings, scenes=scenes)
    return application(arguments.policy, catalogue, settings, arguments.replicas)
