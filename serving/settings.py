"""What the surroundings say, read once at the edge and then passed on as a value."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from envs.clock import known_zone
from envs.errors import InputError
from serving.budgets.pacing import plan_weights
from serving.watching.logs import style_of
from serving.words.location import Blur

PREFIX = "SCENELIFT_"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a replica needs to know that is neither catalogue nor policy."""

    redis_url: str
    """Where the users are kept, such as redis://127.0.0.1:6379/0."""
    user_secret: str
    """Key of the hash that stands for a user id; whoever changes it forgets every user."""
    api_keys: str = ""
    """``role:HASH`` entries with commas between, as ``python -m serving key`` prints them; roles
    are app, analyst and admin."""
    time_zone: str = "UTC"
    """Time zone of a user who never told one."""
    redis_timeout_ms: int = 40
    """How long a decision waits for Redis in all, before it answers with silence."""
    user_days: int = 400
    """How long a user who does nothing is remembered."""
    decision_days: int = 30
    """How long a decision can be asked for, repeated and linked to events."""
    outcome_days: float = 0.0
    """How long outcomes of a decision are awaited before its reward counts as known; 0 means as
    long as an offer of the catalogue can be redeemed."""
    max_body_bytes: int = 2_000_000
    """Longest request body."""
    log: str = "text"
    """How log lines are written: ``text`` or ``json``."""
    log_dir: str = ""
    """Folder in which each replica keeps a file of them; standard error when empty."""
    metrics_dir: str = ""
    """Folder in which several replicas of one machine add up their metrics."""
    budget_cents: int = 0
    """What the offers of a period may cost in all; 0 means without a budget."""
    budget_period_s: int = 86_400
    """Length of a period; whole days begin at midnight of ``time_zone``."""
    budget_plan: str = ""
    """How a budget is spread: 24 weights of the local hours from midnight with commas between,
    evenly when empty."""
    defer_s: int = 3_600
    """How long a deferred decision waits for its activation before it lapses."""
    rate_limit: int = 0
    """Requests a second that each API key has at each replica; 0 means any number."""
    location: str = "coarse:1000"
    """What is kept of a caller's location: ``drop``, ``coarse:METRES`` or ``laplace:METRES``."""
    scenes: str = ""
    """Text of the file that reads scenes from signals; empty where every caller names the scene."""
    replicas: int = 1
    """Processes that decide beside this one, itself counted."""
    policies_dir: str = ""
    """Folder below which bundles may be loaded through the API; the working directory if empty."""

    @classmethod
    def read(cls, environment: Mapping[str, str], redis_url: str, user_secret: str) -> Settings:
        """The settings that the environment gives, each as ``SCENELIFT_`` and its name.

        Raises:
            InputError: a value that cannot be used; names the variable and the remedy.
        """
        usual = cls(redis_url, user_secret)
        zone = environment.get(f"{PREFIX}TIME_ZONE", usual.time_zone)
        if not known_zone(zone):
            raise InputError(
                f"{PREFIX}TIME_ZONE is {zone!r}, which is no IANA time zone: "
                "use one such as Europe/Berlin"
            )
        return replace(
            usual,
            api_keys=environment.get(f"{PREFIX}API_KEYS", ""),
            log=style_of(environment),
            time_zone=zone,
            redis_timeout_ms=_whole(
                environment, "REDIS_TIMEOUT_MS", usual.redis_timeout_ms, 60_000
            ),
            user_days=_whole(environment, "USER_DAYS", usual.user_days, 36_500),
            decision_days=_whole(environment, "DECISION_DAYS", usual.decision_days, 36_500),
            outcome_days=_days(environment, "OUTCOME_DAYS", usual.outcome_days),
            max_body_bytes=_whole(environment, "MAX_BODY_BYTES", usual.max_body_bytes, 2**30),
            budget_cents=_whole(environment, "BUDGET_CENTS", usual.budget_cents, 10**12, 0),
            budget_period_s=_whole(
                environment, "BUDGET_PERIOD_S", usual.budget_period_s, 366 * 86_400
            ),
            budget_plan=_plan(environment),
            defer_s=_whole(environment, "DEFER_S", usual.defer_s, 30 * 86_400),
            rate_limit=_whole(environment, "RATE_LIMIT", usual.rate_limit, 10**6, 0),
            location=_location(environment, usual.location),
            policies_dir=str(Path(environment.get(f"{PREFIX}POLICIES_DIR", "")).absolute()),
        )


def _whole(
    environment: Mapping[str, str], name: str, default: int, most: int, least: int = 1
) -> int:
    text = environment.get(PREFIX + name, str(default))
    if not text.isdecimal() or not least <= int(text) <= most:
        raise InputError(f"{PREFIX}{name} is {text!r}: give a whole number from {least} to {most}")
    return int(text)


def _days(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(PREFIX + name, str(default))
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not 0 <= days <= 3660:
        raise InputError(f"{PREFIX}{name} is {text!r}: give a number of days from 0 to 3660")
    return days


def _location(environment: Mapping[str, str], default: str) -> str:
    text = environment.get(f"{PREFIX}LOCATION", default)
    Blur.parse(text)
    return text


def _plan(environment: Mapping[str, str]) -> str:
    text = environment.get(f"{PREFIX}BUDGET_PLAN", "")
    plan_weights(text)
    return text


def run_secret(environment: Mapping[str, str], run_dir: Path) -> str:
    """The key that user ids are hashed with: given, or made once and kept in the run folder.

    Raises:
        InputError: a given key that is too short, or a kept one that cannot be read.
    """
    given = environment.get(f"{PREFIX}USER_SECRET", "")
    if given:
        return _usable(given, f"{PREFIX}USER_SECRET")
    path = run_dir / "user_secret"
    _keep_secret(path)
    try:
        return _usable(path.read_text(encoding="ascii").strip(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}; set {PREFIX}USER_SECRET") from None


def _usable(secret: str, source: str) -> str:
    if not 16 <= len(secret.encode()) <= 64:
        raise InputError(f"{source} has {len(secret.encode())} bytes: give 16 to 64 random ones")
    return secret


def _keep_secret(path: Path) -> None:
    """Make the secret unless it is there; readable by the owner alone."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error}; choose another --run-dir") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32))
