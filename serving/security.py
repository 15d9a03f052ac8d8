"""Who may call, and names that do not reveal the user."""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b, sha256
from typing import Final, NamedTuple

from envs.errors import InputError

BUCKETS: Final = 64
"""Hash-tag buckets; all keys of a user and the journal stream of the bucket lie together, so that
one script may touch them on a Redis Cluster too. Never changed once users are kept."""

HASH: Final = re.compile(r"[0-9a-fA-F]{64}")
WITHOUT_KEYS: Final = (
    "no API keys are configured: whoever is on this machine may do everything; "
    "`python -m serving key` makes one for SCENELIFT_API_KEYS"
)
NAME: Final = re.compile(r"[0-9A-Za-z_.-]{0,40}")


class Role(IntEnum):
    """What a key may do; each role may also do what the ones before it may."""

    APP = 1
    """Ask for offers, tell events, look at a decision."""
    ANALYST = 2
    """Also read the metrics."""
    ADMIN = 3
    """Also change what serves."""


class Key(NamedTuple):
    """What is kept of an API key."""

    role: Role
    digest: bytes
    """SHA-256 of the key; the key itself is known to its owner alone."""
    name: str
    """What the rate limit and people call it: the name that was given, or the digest."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The API keys that are known. None: everybody may call, from this machine only."""

    entries: tuple[Key, ...]

    @classmethod
    def parse(cls, text: str) -> Keys:
        """Keys from ``role:HASH,role:HASH:NAME``, as ``python -m serving key`` prints them.

        Raises:
            InputError: an unknown role, or something else than a hash; never shows what.
        """
        parts = filter(None, map(str.strip, text.split(",")))
        return cls(tuple(_entry(part, number) for number, part in enumerate(parts, start=1)))

    def find(self, presented: str) -> Key | None:
        """What is known of the key that a caller shows, None when it is no key of ours.

        Of a key that was entered twice, the strongest role.
        """
        digest, found = digest_of(presented), None
        for key in self.entries:  # no early end: the time says nothing about the keys
            if hmac.compare_digest(key.digest, digest) and (found is None or key.role > found.role):
                found = key
        return found


def _entry(part: str, number: int) -> Key:
    role, _, rest = part.partition(":")
    digits, _, name = rest.partition(":")
    if (
        role.upper() not in Role.__members__
        or not HASH.fullmatch(digits)
        or not NAME.fullmatch(name)
    ):
        # What was given may be a key: it is not shown.
        raise InputError(
            f"SCENELIFT_API_KEYS: entry {number} is not role:HASH or role:HASH:NAME with a role "
            "of app, analyst, admin and the hash of a key, not the key itself: "
            "make both with `python -m serving key --role app`"
        )
    return Key(Role[role.upper()], bytes.fromhex(digits), name or digits.lower())


def digest_of(key: str) -> bytes:
    """What is kept of a key; fast, because a key is too long to be guessed from it."""
    return sha256(key.encode("utf-8", "surrogatepass")).digest()


def entry_of(role: Role, key: str, name: str = "") -> str:
    """The entry of a key in ``SCENELIFT_API_KEYS``."""
    entry = f"{role.name.lower()}:{digest_of(key).hex()}"
    return f"{entry}:{name}" if name else entry


def require_keys(environment: Mapping[str, str], keys: Keys) -> None:
    """Refuse to serve from a cluster, which others reach, as long as anybody could call.

    Raises:
        InputError: no keys, and nobody has said that this is meant.
    """
    if not keys.entries and environment.get("SCENELIFT_OPEN", "") != "1":
        raise InputError(
            "no API keys are configured for a service on a cluster: make them with "
            "`python -m serving key` and set SCENELIFT_API_KEYS, or set SCENELIFT_OPEN=1 where "
            "everybody who reaches it may do everything"
        )


def require_loopback(host: str, keys: Keys) -> None:
    """Refuse to be reachable from elsewhere as long as anybody could call.

    Raises:
        InputError: no keys and a host that is not this machine.
    """
    if not keys.entries and not is_loopback(host):
        raise InputError(
            f"--host {host} is reachable from elsewhere, but no API keys are configured: "
            "make one with `python -m serving key`, set SCENELIFT_API_KEYS, or listen on 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Whether the host is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Naming:
    """Stands for users, requests and events by keyed hashes: an id is never stored."""

    secret: bytes

    def _hash(self, purpose: bytes, text: str, size: int) -> bytes:
        # Lone surrogates are valid in JSON but not in UTF-8; they may pass, they are only hashed.
        data = text.encode("utf-8", "surrogatepass")
        return blake2b(data, key=self.secret, person=purpose, digest_size=size).digest()

    def user(self, user_id: str) -> str:
        """32 hexadecimal digits that stand for the user."""
        return self._hash(b"user", user_id, 16).hex()

    def decision(self, user: str, request_id: str) -> str:
        """Id of the decision that answers this request of this user: the same each time."""
        return f"{user}-{self._hash(b'decision', f'{user} {request_id}', 10).hex()}"

    def event_key(self, user: str, event_id: str) -> int:
        """Number, never 0, by which a repeated event is recognised."""
        return int.from_bytes(self._hash(b"event", f"{user} {event_id}", 8)) or 1

    def uniform(self, decision_id: str) -> float:
        """The draw in [0, 1) of a decision: fixed by the request, not to be guessed by callers."""
        return (int.from_bytes(self._hash(b"draw", decision_id, 8)) >> 11) * 2.0**-53

    def event(self, kind: str, name: str) -> str:
        """32 hexadecimal digits that stand for an event of the Personalizer door."""
        return self._hash(b"rank", f"{kind} {name}", 16).hex()

    def noise(self, decision_id: str) -> bytes:
        """What the noise of a decision's place is drawn from: the same whenever it is repeated."""
        return self._hash(b"noise", decision_id, 16)


def user_of(decision_id: str) -> str:
    """The hashed user that a decision id carries."""
    return decision_id.partition("-")[0]


def bucket_of(user: str) -> int:
    """Bucket of a hashed user, 0 to ``BUCKETS - 1``."""
    return int(user[:4], 16) % BUCKETS
