"""The moment of a decision, what happens after it, and how an action is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from operator import attrgetter
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from envs.rewards import RewardParts


@dataclass(frozen=True, slots=True)
class Moment:
    """Where and when users stand: one opportunity each."""

    scene: NDArray[np.int16]
    """Index into the catalogue's scenes, int16 [N]."""
    now: NDArray[np.int32]
    """Seconds since the epoch of ``envs.clock``, int32 [N]."""
    utc_offset_s: NDArray[np.int32]
    """How far the user's local time is ahead of UTC, seconds, int32 [N]."""

    def take(self, rows: NDArray[np.int64]) -> Moment:
        """The moments of some rows."""
        return Moment(self.scene[rows], self.now[rows], self.utc_offset_s[rows])

    def local(self) -> NDArray[np.int32]:
        """Local seconds since the epoch, int32 [N]."""
        return self.now + self.utc_offset_s


class EventKind(IntEnum):
    """What can happen to a user. The lower-case names are the words of the HTTP API."""

    CONTACTED = 0
    """An offer was shown. Implied by a decision, never reported from outside."""
    SCENE_ENTERED = 1
    VIEWED = 2
    DWELT = 3
    FAVOURITED = 4
    CARTED = 5
    BOUGHT = 6
    REFUNDED = 7
    OPENED = 8
    CLICKED = 9
    DISMISSED = 10
    SERVICE_CONTACT = 11
    NOT_INTERESTED = 12
    """Of one offer, or of all when none is named."""
    OPTED_OUT = 13
    """Of one channel, or of all when none is named."""
    OPTED_IN = 14
    DESCRIBED = 15
    """The caller told attributes of the user."""


@dataclass(frozen=True, slots=True)
class Events:
    """Things that happened, struct of arrays, in the order in which they were reported."""

    row: NDArray[np.int64]
    """Which user of the state, int64 [M]."""
    kind: NDArray[np.uint8]
    """An EventKind, uint8 [M]."""
    time: NDArray[np.int32]
    """Event time, seconds since the epoch, int32 [M]."""
    scene: NDArray[np.int16]
    """Index or -1, int16 [M]."""
    channel: NDArray[np.int16]
    """Index or -1, int16 [M]."""
    offer: NDArray[np.int16]
    """Index or -1, int16 [M]."""
    amount_cents: NDArray[np.int32]
    """Paid or paid back, int32 [M]."""
    discount: NDArray[np.float32]
    """Fraction of the price that was taken off, float32 [M]."""
    key: NDArray[np.uint64]
    """Identity for repetition, 0 = cannot be repeated, uint64 [M]."""
    attributes: NDArray[np.float32] | None = None
    """Values by attribute, NaN = not given, float32 [M, J]; None when no event gives any."""

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def of(
        cls,
        row: ArrayLike,
        kind: ArrayLike,
        time: ArrayLike,
        scene: ArrayLike = -1,
        channel: ArrayLike = -1,
        offer: ArrayLike = -1,
        amount_cents: ArrayLike = 0,
        discount: ArrayLike = 0,
        key: ArrayLike = 0,
        attributes: NDArray[np.float32] | None = None,
    ) -> Events:
        """Events from arrays or single values; single values hold for all rows."""
        rows = np.atleast_1d(np.asarray(row, np.int64))
        size = len(rows)
        return cls(
            rows,
            _column(kind, np.uint8, size),
            _column(time, np.int32, size),
            _column(scene, np.int16, size),
            _column(channel, np.int16, size),
            _column(offer, np.int16, size),
            _column(amount_cents, np.int32, size),
            _column(discount, np.float32, size),
            _column(key, np.uint64, size),
            attributes,
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Events]) -> Events:
        """All events of the parts, one part after the other."""
        parts = [part for part in parts if len(part.row)]
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return cls.of(np.zeros(0, np.int64), 0, 0)
        columns: list[Any] = [
            np.concatenate(column) for column in zip(*map(_columns, parts), strict=True)
        ]
        columns.append(_attributes(parts))
        return cls(*columns)

    def take(self, chosen: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Events:
        """Some of the events, in the order asked for."""
        told = self.attributes
        columns: list[Any] = [column[chosen] for column in _columns(self)]
        columns.append(None if told is None else told[chosen])
        return Events(*columns)


def runs(rows: NDArray[np.int64]) -> Iterator[slice]:
    """Slices of events' rows [M], cut where a user might come up again: none is twice in a run."""
    starts = np.flatnonzero(rows[1:] <= rows[:-1]) + 1
    return (slice(start, stop) for start, stop in pairwise([0, *starts.tolist(), len(rows)]))


_columns: Final[Callable[[Events], tuple[Any, ...]]] = attrgetter(
    "row", "kind", "time", "scene", "channel", "offer", "amount_cents", "discount", "key"
)
"""All that every event has, in the order of the fields."""


def _column(values: ArrayLike, dtype: type[np.generic], size: int) -> Any:
    if isinstance(values, int):  # most columns hold one value; NumPy is slow to see it in an enum
        column = np.empty(size, dtype)
        column.fill(int(values))
        return column
    given = np.asarray(values, dtype)
    return given if given.shape == (size,) else np.full(size, given, dtype)


def _attributes(parts: Sequence[Events]) -> NDArray[np.float32] | None:
    width = max((p.attributes.shape[1] for p in parts if p.attributes is not None), default=None)
    if width is None:
        return None
    blocks = [
        np.full((len(part), width), np.nan, np.float32)
        if part.attributes is None
        else part.attributes
        for part in parts
    ]
    return np.concatenate(blocks)


@dataclass(frozen=True, slots=True)
class Step:
    """What came of one action per user in a world."""

    parts: RewardParts
    """Sampled reward, whole cents, [N]."""
    events: Events
    """What an application would report; CONTACTED is not among them."""
    elapsed_days: NDArray[np.float64]
    """Until the next opportunity, float64 [N]."""
    departed: NDArray[np.bool_]
    """Left for good, bool [N]."""
    expected_cents: NDArray[np.float64]
    """Mean of the net value given the hidden state and the action; no policy may see it."""
    silence_cents: NDArray[np.float64]
    """The same had the action been silence."""
    expected_spend_cents: NDArray[np.float64]
    """Mean of what the action costs, offer and send, given the hidden state."""
    displaced_cents: NDArray[np.float64]
    """Mean of what a sale by this contact takes from later steps, as far as it is known."""


class Policy(Protocol):
    """Anything that can say how likely it takes each action."""

    @property
    def name(self) -> str:
        """What reports call it."""

    def probabilities(
        self, observations: NDArray[np.float32], mask: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Exact probability of each action.

        Args:
            observations: float32 [N, D].
            mask: allowed actions, bool [N, A]; column 0 is always True.

        Returns:
            float64 [N, A], zero where not allowed, each row sums to 1.
        """


def draw_actions(
    probabilities: NDArray[np.float64], uniforms: NDArray[np.float64]
) -> NDArray[np.int64]:
    """One action per row, by inverse cumulative distribution.

    Args:
        probabilities: float64 [N, A], not negative, rows sum to about 1.
        uniforms: float64 [N] in [0, 1).

    Returns:
        int64 [N]; never an action of probability zero.
    """
    cumulative = np.cumsum(probabilities, axis=1)
    total = cumulative[:, -1]
    threshold = np.minimum(uniforms * total, np.nextafter(total, 0.0))
    actions: NDArray[np.int64] = np.argmax(cumulative > threshold[:, None], axis=1)
    return actions
