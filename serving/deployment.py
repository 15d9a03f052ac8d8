"""The application in Ray Serve: replicas that hold the policy, and the settings they run with."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict
from ray import serve
from ray.serve.schema import LoggingConfig

from agents.baselines import is_baseline
from agents.policy import load_bundle, load_policy
from envs.catalogue import Catalogue, load_catalogue, parse_catalogue
from envs.errors import InputError
from serving.app import create_app
from serving.service import Service
from serving.settings import Settings, run_secret

logger = logging.getLogger(__name__)

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
        self.service = Service(parse_catalogue(catalogue_text), settings)

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The application, once the replica is made."""
        return create_app(self.service)

    def reconfigure(self, user_config: dict[str, str]) -> None:
        """Serve the policy that the configuration names; if it is refused, go on as before."""
        spec = user_config["policy"]
        try:
            policy = load_policy(spec, self.service.catalogue)
        except (InputError, OSError) as error:
            logger.error("policy %s is refused, %s goes on: %s", spec, self._serving(), error)
            self.service.refused_policy = str(error)
            return
        self.service.serve_policy(policy)
        logger.info("policy %s serves", policy.name)

    def _serving(self) -> str:
        return self.service.offers.decider.policy_name


def catalogue_of(policy: str, catalogue: Path | None) -> Catalogue:
    """The catalogue to serve: the one given, else the bundle's own, else the default one.

    The policy is loaded once here, so that what is wrong with it is known before anything starts.

    Raises:
        InputError: a catalogue or a policy that is refused.
    """
    if catalogue is not None or is_baseline(policy) or not Path(policy).is_dir():
        found = load_catalogue(catalogue)
        load_policy(policy, found)
        return found
    return load_bundle(Path(policy)).catalogue


def application(
    policy: str, catalogue: Catalogue, settings: Settings, replicas: int
) -> serve.Application:
    """The Serve application that serves a policy for a catalogue."""
    spec = policy if is_baseline(policy) else str(Path(policy).resolve())
    options: dict[str, Any] = {"num_replicas": replicas, "user_config": {"policy": spec}}
    if settings.metrics_dir:
        shared = {"env_vars": {"PROMETHEUS_MULTIPROC_DIR": settings.metrics_dir}}
        options["ray_actor_options"] = {"runtime_env": shared}
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
        InputError: REDIS_URL or SCENELIFT_USER_SECRET is missing, or the policy is refused.
    """
    url = os.environ.get("REDIS_URL", "")
    if not url or not os.environ.get("SCENELIFT_USER_SECRET", ""):
        raise InputError("set REDIS_URL and SCENELIFT_USER_SECRET for all nodes of the cluster")
    settings = Settings.read(os.environ, url, run_secret(os.environ, Path()))
    catalogue = catalogue_of(arguments.policy, arguments.catalogue)
    return application(arguments.policy, catalogue, settings, arguments.replicas)
