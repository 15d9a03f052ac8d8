"""Requests that are decided together, and what becomes of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from envs.decisions import Moment
from envs.users import UserState
from serving.budgets.budget import Reservation
from serving.policies.decide import Decider, Verdict
from serving.store.state import DecisionCommit, Reading

UNREAD: Final = -1


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
    """``UNREAD`` until it is read from the signals."""
    now: int
    """Seconds since the epoch of ``envs.clock``."""
    evidence: NDArray[np.float64] | None = None
    """What the signals say of each scene, see ``SceneReader.evidence``; None for a told scene."""
    scene_chance: float | None = None
    """Of the scene that was read."""
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
class Decided:
    """A round that has been decided, as plain values by row; arrays as bytes."""

    round: Round
    actions: list[int]
    propensities: list[float]
    degraded: list[bool]
    observations: list[bytes]
    """float32 [D]."""
    masks: list[bytes]
    """Packed bits [A]."""
    refusals: list[bytes]
    """uint32 [A]."""
    probabilities: list[bytes]
    """float64 [A]."""
    attributes: list[bytes]
    """float32 [J]."""
    values: dict[int, bytes]
    """Records of the users that change."""
    cents: list[int]
    """What each sets aside of the budget."""
    shadow: str | None
    """Name of the policy that looks on."""
    likely: list[float]
    """How likely it would have done the same; empty where none looks on."""

    @classmethod
    def of(
        cls,
        round_: Round,
        verdict: Verdict,
        attributes: NDArray[np.float32],
        values: dict[int, bytes],
        cents: NDArray[np.int64],
        seen: tuple[str, NDArray[np.float64]] | None,
    ) -> Self:
        """From the arrays of a round of N requests."""
        return cls(
            round=round_,
            actions=verdict.actions.tolist(),
            propensities=verdict.propensities.tolist(),
            degraded=verdict.degraded.tolist(),
            observations=_rows(verdict.observations),
            masks=_rows(np.packbits(verdict.mask, axis=1)),
            refusals=_rows(verdict.refusals),
            probabilities=_rows(verdict.probabilities),
            attributes=_rows(attributes),
            values=values,
            cents=cents.tolist(),
            shadow=seen[0] if seen else None,
            likely=seen[1].tolist() if seen else [],
        )


def _rows(array: NDArray[Any]) -> list[bytes]:
    """The rows of an array [N, K] as bytes."""
    if not array.shape[1]:
        return [b""] * len(array)
    data = array.tobytes()
    width = len(data) // len(array)
    return [data[start : start + width] for start in range(0, len(data), width)]
