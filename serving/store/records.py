"""What Redis keeps of users and decisions, as bytes, and how the journal's entries are named."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Final, Self

import msgpack

VERSION_BYTES: Final = 8
UNKNOWN: Final = b""
"""Version of a user of whom nothing is kept."""

ENTRY_DECISION: Final = b"d"
"""Field of a journal entry that holds a packed ``DecisionRecord``."""
ENTRY_EVENT: Final = b"e"
"""... an event as JSON."""
ENTRY_ACTIVATION: Final = b"a"
"""... that a deferred decision was activated or has lapsed, as JSON."""
ENTRY_LINK: Final = b"l"
"""... that an identity leads to a person from now on, as JSON."""
ENTRY_ERASURE: Final = b"x"
"""... users of whom nothing may stay, as JSON."""
ENTRY_RANK: Final = b"p"
"""... an event of the Personalizer door, as JSON."""


@dataclass(frozen=True, slots=True)
class UserRecord:
    """A user as one value: the state, or a link to the person behind the identity.

    ``S VERSION ZONE_LENGTH ZONE STATE`` or ``L VERSION PERSON PENDING``, in which PENDING is the
    state record that still has to be merged into the person, or nothing.
    """

    version: bytes
    """Eight random bytes, others with every write; empty for somebody unknown."""
    zone: str | None = None
    state: bytes | None = None
    person: str | None = None
    """Hashed user that this identity leads to; None for a person."""
    pending: bytes = b""
    """Of a link: the record of what was known under this identity, not yet merged."""

    @classmethod
    def read(cls, value: bytes | None) -> Self:
        """From what Redis holds; None is somebody unknown."""
        if not value:
            return cls(UNKNOWN)
        version, rest = value[1 : 1 + VERSION_BYTES], value[1 + VERSION_BYTES :]
        if value[:1] == b"L":
            return cls(version, person=rest[:32].decode(), pending=rest[32:])
        length = rest[0]
        return cls(version, rest[1 : 1 + length].decode(), rest[1 + length :])

    def pack(self) -> bytes:
        """As Redis holds it."""
        if self.person is not None:
            return b"L" + self.version + self.person.encode() + self.pending
        return state_record(self.version, self.zone or "", self.state or b"")


def state_record(version: bytes, zone: str, state: bytes) -> bytes:
    """The value of a user with a state."""
    name = zone.encode()
    return b"".join((b"S", version, bytes((len(name),)), name, state))


def new_version() -> bytes:
    """A version that no other write has."""
    return secrets.token_bytes(VERSION_BYTES)


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """A decision as it is kept for explanations and for the journal; arrays as bytes."""

    decision_id: str
    time: int
    """Seconds since the epoch of ``envs.clock``."""
    zone: str
    scene: int
    scene_chance: float | None
    """How likely the scene is that was read from signals; None for one that was told."""
    action: int
    propensity: float
    observation: bytes
    """float32 [D]."""
    mask: bytes
    """Packed bits [A]."""
    refusals: bytes
    """uint32 [A]."""
    probabilities: bytes
    """float64 [A]."""
    attributes: bytes
    """float32 [J], NaN where unknown."""
    degraded: bool
    policy: str
    arm: str
    budget_price: float
    reserved_cents: int
    lease: str
    """Lease of the budget that the cents were taken from; empty without a budget."""
    period: int
    """Period of the budget."""
    deferred: bool
    shadow: str | None
    """Name of the policy that looked on."""
    shadow_propensity: float | None
    """Probability that it would have given the action."""
    latitude: float | None
    longitude: float | None

    def pack(self) -> bytes:
        """As Redis and the journal stream hold it."""
        packed: bytes = msgpack.packb(_values(self))
        return packed

    @classmethod
    def read(cls, packed: bytes) -> Self:
        """From what ``pack`` made.

        Raises:
            ValueError: something else.
        """
        try:
            values: Any = msgpack.unpackb(packed)
            return cls(*values)
        except (TypeError, ValueError, msgpack.UnpackException) as error:
            raise ValueError(f"no record of a decision: {error}") from None


_values = attrgetter(*(field.name for field in fields(DecisionRecord)))
