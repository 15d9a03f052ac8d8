"""The commands that say what serves and change it: thin calls of the HTTP API."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import httpx
import tyro

from envs.errors import InputError

KEY_VARIABLE: Final = "SCENELIFT_KEY"
TIMEOUT_S: Final = 30.0
TRIES: Final = 3
"""How often a change is sent; the service makes it once."""


@dataclass(frozen=True, slots=True)
class Call:
    """What every command here takes."""

    url: str = "http://127.0.0.1:8000"
    """Address of the service."""
    key: str = ""
    """API key of an admin, or an analyst to look; SCENELIFT_KEY if left out."""
    json: bool = False
    """Print the answer as one JSON object."""


@dataclass(frozen=True, slots=True)
class PoliciesConfig(Call):
    """Say which policies serve, which are loaded, and who follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadConfig(Call):
    """Load a policy into a running service; it does not decide yet."""

    name: tyro.conf.Positional[str]
    """Your name for it."""
    source: tyro.conf.Positional[str]
    """A baseline such as rule_book, or the folder of a bundle, as the service sees it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteConfig(Call):
    """Let a loaded policy serve from now on."""

    name: tyro.conf.Positional[str]
    """Name under which it was loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowConfig(Call):
    """Let a loaded policy decide beside the others, without being acted on."""

    name: tyro.conf.Positional[str] = ""
    """Name under which it was loaded; none any more if left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryConfig(Call):
    """Let a loaded policy decide for a share of the users, always the same ones."""

    name: tyro.conf.Positional[str] = ""
    """Name under which it was loaded; none any more if left out."""
    share: float = 0.1
    """Of the users, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class RollbackConfig(Call):
    """Go back to the policy that served before."""


def run_policies(config: PoliciesConfig) -> None:
    """Print what serves, what is loaded and who follows.

    Raises:
        InputError: the service does not answer or refuses, as for every command here.
    """
    answer = _ask(config, "GET", "")
    if config.json:
        print(json.dumps(answer))
        return
    _say(config, answer)
    for name, loaded in answer["loaded"].items():
        print(f"  {name}: {_described(loaded)}")
    for one in answer["replicas"]:
        refused = ", refuses what should serve" if one["refused_policy"] else ""
        print(f"  replica {one['replica']} follows version {one['version']}{refused}")


def run_load(config: LoadConfig) -> None:
    """Load a policy under a name."""
    answer = _ask(config, "PUT", f"/{quote(config.name, safe='')}", {"source": config.source})
    if config.json:
        print(json.dumps(answer))
        return
    print(f"{config.name} is loaded: {_described(answer['loaded'][config.name])}")
    _say(config, answer)


def run_promote(config: PromoteConfig) -> None:
    """Promote a policy."""
    _change(config, "PUT", ":serving", {"policy": config.name})


def run_shadow(config: ShadowConfig) -> None:
    """Let a policy shadow, or none."""
    _change(config, "PUT", ":shadow", {"policy": config.name or None})


def run_canary(config: CanaryConfig) -> None:
    """Let a policy take a share, or none."""
    _change(config, "PUT", ":canary", {"policy": config.name or None, "share": config.share})


def run_rollback(config: RollbackConfig) -> None:
    """Go back."""
    _change(config, "POST", ":rollback", None)


def _change(config: Call, method: str, path: str, body: dict[str, Any] | None) -> None:
    answer = _ask(config, method, path, body)
    if config.json:
        print(json.dumps(answer))
    else:
        _say(config, answer)


def _described(loaded: dict[str, Any]) -> str:
    size = loaded["size_bytes"]
    return f"{loaded['policy']}, {size:,} bytes" if size else f"{loaded['policy']}, a baseline"


def _say(config: Call, answer: dict[str, Any]) -> None:
    canary, shadow = answer["canary"], answer["shadow"]
    parts = [f"{answer['serving'] or 'nothing'} serves"]
    if canary:
        parts.append(f"{canary['policy']} decides for {canary['share']:.1%} of the users")
    if shadow:
        parts.append(f"{shadow} shadows")
    print(f"{config.url} is at version {answer['version']}: {', '.join(parts)}")


def _ask(
    config: Call, method: str, path: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    """What the service answers.

    Raises:
        InputError: it does not answer, or refuses.
    """
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    key = config.key or os.environ.get(KEY_VARIABLE, "")
    if key:
        headers["X-API-Key"] = key
    url = f"{config.url.rstrip('/')}/v1/policies{path}"
    try:
        answer = _sent(method, url, headers, body)
        content: dict[str, Any] = answer.json()
        if answer.is_success:
            return content
        reason = str(content["error"]["message"])
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError) as error:
        raise InputError(
            f"no service answers at {config.url} ({error}): start one with `python -m serving up`"
        ) from None
    raise InputError(f"{config.url} refuses: {reason}")


def _sent(
    method: str, url: str, headers: dict[str, str], body: dict[str, Any] | None
) -> httpx.Response:
    for tried in range(1, TRIES + 1):
        try:
            return httpx.request(method, url, headers=headers, json=body, timeout=TIMEOUT_S)
        except httpx.TransportError:
            if tried == TRIES:
                raise
    raise AssertionError("the last try answers or raises")
