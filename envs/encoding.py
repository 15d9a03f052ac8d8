"""What a policy sees: one function for training and serving.

Only operations with one exact float32 result on every machine, besides ``exp``: a user encoded
alone and the same user encoded among thousands give the same bits.
"""

from __future__ import annotations

import hashlib
import json
from itertools import accumulate, chain, pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Attribute, Catalogue
from envs.clock import DAY, hour_of_week
from envs.decisions import Moment
from envs.layout import BOUGHT, DISCOUNT, SPEND, Layout
from envs.users import UserState

VERSION: Final = 2
"""Raised whenever a feature changes its meaning."""

RHYTHM: Final = ("hour_sin", "hour_cos", "hour_sin2", "hour_cos2", "saturday", "sunday")

PADDING: Final = 48
"""Unused numbers after each column: a power of two of users would else put all columns on the same
few lines of the processor's cache, and the rows took twice as long to gather."""

Floats = NDArray[np.float32]


class Encoding:
    """The features of one catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        layout = Layout.of(catalogue)
        self._attributes = catalogue.attributes
        self._plain_caps = tuple(slots for slots in layout.caps if slots.width == slots.cap.limit)
        self._placed = _placed_table(len(catalogue.scenes))
        placed = (*(f"scene={scene.name}" for scene in catalogue.scenes), *RHYTHM)
        blocks = {
            "count": [f"count:{name}" for name in layout.slots],
            "reference": ["reference_discount"],
            "recency": [f"recency:{name}" for name in layout.recent],
            "cap": [f"cap_used:{slots.cap.name}" for slots in self._plain_caps],
            "consent": [f"consent:{channel.name}" for channel in catalogue.channels],
            "attribute": [name for part in self._attributes for name in _feature_names(part)],
            "budget": ["budget_price"],
        }
        self.names: tuple[str, ...] = (*placed, *chain.from_iterable(blocks.values()))
        self.width = len(self.names)
        ends = [0, *accumulate(len(names) for names in blocks.values())]
        self._blocks = {
            name: slice(*ends) for name, ends in zip(blocks, pairwise(ends), strict=True)
        }
        written = json.dumps([VERSION, self.names, catalogue.hash])
        self.hash = hashlib.sha256(written.encode()).hexdigest()

    def encode(
        self, users: UserState, moment: Moment, budget_price: float | NDArray[np.float64] = 0.0
    ) -> Floats:
        """What a policy sees of users at a moment.

        Args:
            users: N users.
            moment: where and when they stand, [N].
            budget_price: price of a cent spent, in cents, >= 0; one for all, or [N].

        Returns:
            float32 [N, D], finite.
        """
        n, placed = len(users), self._placed.shape[1]
        observations = np.empty((n, self.width), np.float32)
        hour = moment.scene * np.int32(168) + hour_of_week(moment.local())
        observations[:, :placed] = self._placed.take(hour, axis=0)
        columns = np.empty((self.width - placed, n + PADDING), np.float32)[:, :n]
        block = {name: columns[place] for name, place in self._blocks.items()}  # each [.., N]
        _count(users, moment, block["count"], block["reference"][0])
        _recency(users, moment, block["recency"])
        for slots, column in zip(self._plain_caps, block["cap"], strict=True):
            slots.used(users.cap_times, moment, column)
        np.greater(users.opted_in_at.T, users.opted_out_at.T, out=block["consent"])
        self._describe(users.attributes, block["attribute"])
        block["budget"][:] = budget_price
        observations[:, placed:] = columns.T
        return observations

    def _describe(self, attributes: Floats, columns: Floats) -> None:
        """Choices one-hot, numbers scaled and a flag; all 0 where unknown."""
        start = 0
        for attribute, values in zip(self._attributes, attributes.T, strict=True):
            stop = start + len(_feature_names(attribute))
            _describe(attribute, values, columns[start:stop])
            start = stop


def _count(users: UserState, moment: Moment, counts: Floats, reference: Floats) -> None:
    """Square roots of the decayed sums [F, N] and the discount that purchases were made at [N].

    The root evens out the variance of counts.
    """
    users.decayed(moment.now, out=counts.T)
    money = counts[SPEND : DISCOUNT + 1]
    np.maximum(money, np.float32(0), out=money)  # more may be paid back than is remembered
    np.divide(counts[DISCOUNT], counts[BOUGHT] + np.float32(0.5), out=reference)
    np.sqrt(counts, out=counts)


def _recency(users: UserState, moment: Moment, columns: Floats) -> None:
    """1 just now, 1/2 a day ago, near 0 long ago or never; columns are [L, N]."""
    np.subtract(moment.now + np.int32(DAY), users.latest.T[1:], out=columns)
    np.maximum(columns, np.float32(DAY), out=columns)
    np.divide(np.float32(DAY), columns, out=columns)


def _describe(attribute: Attribute, values: Floats, columns: Floats) -> None:
    if attribute.kind == "choice":
        np.equal(values, np.arange(len(columns), dtype=np.float32)[:, None], out=columns)
        return
    low, span = np.float32(attribute.low), np.float32(attribute.high - attribute.low)
    scaled, known = columns
    np.subtract(values, low, out=scaled)
    scaled /= span
    np.fmax(scaled, np.float32(0), out=scaled)  # not a number becomes 0
    np.minimum(scaled, np.float32(1), out=scaled)
    np.equal(values, values, out=known)


def _feature_names(attribute: Attribute) -> tuple[str, ...]:
    if attribute.kind == "choice":
        return tuple(f"attribute={attribute.name}:{value}" for value in attribute.values)
    return f"attribute:{attribute.name}", f"attribute_known:{attribute.name}"


def _placed_table(scenes: int) -> Floats:
    """Features of each scene and hour of the week, float32 [S * 168, S + 6].

    Rounded, so that every machine agrees.
    """
    hours = np.arange(168)
    angle = 2.0 * np.pi * (hours % 24) / 24.0
    day = hours // 24
    columns = [np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle)]
    rhythm = np.stack([*columns, day == 5, day == 6], axis=1)
    table = np.hstack([np.repeat(np.eye(scenes), 168, axis=0), np.tile(rhythm, (scenes, 1))])
    return np.round(table, 6).astype(np.float32)
