"""Requests that are decided together, and what becomes of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.decisions import Moment
from envs.users import UserState
from serving.budgets.budget import Reservation
from serving.policies.decide import Decider, Verdict
from serving.store.state import DecisionCommit, Reading


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, understood."""

    identity: str
    """Hashed user id of the request."""
    user: str
    """Hashed user behind it: the identity itself, or the person that it leads to."""
    request_id: str
    decision_id: str
    uniform: float
    """The draw in [0, 1)."""
    scene: int
    now: int
    """Seconds since the epoch of ``envs.clock``."""
    time_zone: str | None = None
    attributes: NDArray[np.float32] | None = None
    """[J], NaN where not told."""
    excluded: NDArray[np.uint32] | None = None
    """Refusals by the caller, [A]."""
    deferred: bool = False
    speaks: bool = False
    """Whether silence is drawn only where nothing else is allowed."""
    place: tuple[float, float] | None = None
    """Latitude and longitude as they may be kept."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A decision that is not committed yet."""

    asked: Asked
    commit: DecisionCommit
    action: int
    arm: str
    policy: str
    degraded: bool
    """Whether silence stood in for a policy that gave no usable row."""
    refused: dict[str, int]
    reservation: Reservation | None


@dataclass(slots=True)
class Round:
    """N requests of different users, decided together."""

    asked: Sequence[Asked]
    readings: Sequence[Reading]
    users: UserState
    """What they are, and in the end what they are once the decisions are written, [N]."""
    zones: list[str]
    moment: Moment
    deciders: list[tuple[Decider, str]]
    """Who decides for each, and the arm."""
    price: float
    """Of the budget."""


@dataclass(frozen=True, slots=True)
class Row:
    """One request of a round, decided."""

    n: int
    round: Round
    verdict: Verdict
    attributes: bytes
    seen: tuple[str, NDArray[np.float64]] | None
    """What the policy says that looks on."""
    cents: int
    reservation: Reservation | None
