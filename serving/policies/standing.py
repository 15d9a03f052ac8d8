"""What serves on one replica: a value that decisions take as a whole, and what was refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from envs.errors import InputError
from serving.policies.decide import Decider
from serving.policies.lineup import Lineup

SERVING: Final = "serving"
CANARY: Final = "canary"
SHADOW: Final = "shadow"
ROLES: Final = (SERVING, CANARY, SHADOW)


@dataclass(frozen=True, slots=True)
class Standing:
    """What serves on this replica."""

    serving: Decider
    canary: Decider | None = None
    share: float = 0.0
    salt: bytes = b""
    """Name of the canary: another one meets other users."""
    shadow: Decider | None = None
    version: int = 0
    """Of the line-up that is followed in full; 0 for none."""
    change: str = ""
    """The latest change that was looked at."""

    def of(self, user: str) -> tuple[Decider, str]:
        """Who decides for a hashed user, and the arm."""
        if self.canary is not None and _uniform(self.salt, user) < self.share:
            return self.canary, CANARY
        return self.serving, SERVING

    def names(self) -> dict[str, str]:
        """What decisions call the policies, by what they do."""
        roles = {SERVING: self.serving, CANARY: self.canary, SHADOW: self.shadow}
        return {role: one.policy_name for role, one in roles.items() if one and one.policy}


@dataclass(frozen=True, slots=True)
class Refusals:
    """Why a replica does not serve what it should."""

    configured: str | None = None
    followed: dict[str, str] = field(default_factory=dict)
    """By the role that it should have."""
    again_at: float = 0.0
    """When to try again, on the clock of ``time.monotonic``."""

    def text(self) -> str | None:
        """All of it in one line; None when nothing is refused."""
        parts = [f"{role}: {why}" for role, why in self.followed.items()]
        if self.configured is not None:
            parts.append(self.configured)
        return "; ".join(parts) or None


def follow(
    before: Standing, lineup: Lineup, ready: Callable[[str], Decider]
) -> tuple[Standing, dict[str, str]]:
    """What serves by a line-up, and what is refused, by role.

    Who serves goes on serving when the next one is refused.

    Args:
        before: what serves now.
        lineup: what should.
        ready: the decider of a policy's name; raises an InputError when it must not decide.
    """
    found: dict[str, Decider] = {}
    refused: dict[str, str] = {}
    for role, name in lineup.roles().items():
        try:
            found[role] = ready(name)
        except InputError as error:
            refused[role] = str(error)
    canary = lineup.canary
    standing = Standing(
        serving=found.get(SERVING, before.serving),
        canary=found.get(CANARY),
        share=canary.share if canary else 0.0,
        salt=canary.policy.encode() if canary else b"",
        shadow=found.get(SHADOW),
        version=before.version,
    )
    return standing, refused


def _uniform(salt: bytes, user: str) -> float:
    """A number in [0, 1) that is a user's own, as long as the salt is."""
    digest = blake2b(user.encode(), key=salt, person=b"canary", digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) * 2.0**-53
