"""The command that makes an API key: the key for its owner, the entry for the service."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Final, Literal

from envs.errors import InputError
from serving.security import NAME, Role, entry_of

KEY_BYTES: Final = 32
"""Random bytes of a key: far beyond what can be guessed, which is why a fast hash suffices."""
PREFIX: Final = "sl_"
"""Lets people and scanners of leaked secrets see what it is."""


@dataclass(frozen=True, slots=True)
class KeyConfig:
    """Make a new API key, and the entry by which the service knows it."""

    role: Literal["app", "analyst", "admin"] = "app"
    """What the key may do: app asks and tells, analyst also reads figures, admin also changes what
    serves and exports or erases users."""
    name: str = ""
    """What people call the key, such as the application that holds it."""
    json: bool = False
    """Print key and entry as one JSON object."""


def new_key() -> str:
    """A fresh random key."""
    return PREFIX + secrets.token_urlsafe(KEY_BYTES)


def run_key(config: KeyConfig) -> None:
    """Print a fresh key and its entry; neither is kept anywhere.

    Raises:
        InputError: a name that cannot stand in an entry.
    """
    if not NAME.fullmatch(config.name):
        raise InputError(f"--name {config.name!r}: give up to 40 letters, digits, dots or dashes")
    key = new_key()
    entry = entry_of(Role[config.role.upper()], key, config.name)
    if config.json:
        print(json.dumps({"key": key, "entry": entry}))
        return
    print(f"key, for whoever calls; it is shown once: {key}")
    print(f"entry, for SCENELIFT_API_KEYS of the service: {entry}")
