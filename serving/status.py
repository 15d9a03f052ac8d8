"""The command that says what a running service serves."""

from __future__ import annotations

import json
from dataclasses import dataclass

import httpx

from envs.errors import InputError


@dataclass(frozen=True, slots=True)
class StatusConfig:
    """Say what a running service serves."""

    url: str = "http://127.0.0.1:8000"
    """Address of the service."""
    json: bool = False
    """Print the answer as one JSON object."""


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
        print("another policy is refused there: the log of the service says why")
