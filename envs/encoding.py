"""What a policy sees: one function for training and serving.

Only operations with one exact float32 result on every machine, besides ``exp``: a user encoded
alone and the same user encoded among thousands give the same bits.
"""

from __future__ import annotations

import hashlib
import json
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Attribute, Catalogue
from envs.clock import DAY, hour_of_week
from envs.decisions import EventKind, Moment
from envs.layout import BOUGHT, COUNTED, DISCOUNT, FIRST_CHANNEL, Layout
from envs.users import UserState

VERSION: Final = 1
"""Raised whenever a feature changes its meaning."""

RECENT: Final = tuple(
    COUNTED.index(kind)
    for kind in (EventKind.VIEWED, EventKind.CARTED, EventKind.BOUGHT, EventKind.CLICKED)
)
"""Slots whose recency is a feature, besides the contacts by channel."""

RHYTHM: Final = ("hour_sin", "hour_cos", "hour_sin2", "hour_cos2", "saturday", "sunday")


class Encoding:
    """The features of one catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        layout = Layout.of(catalogue)
        self._attributes = catalogue.attributes
        self._plain_caps = tuple(slots for slots in layout.caps if slots.width == slots.cap.limit)
        self._scenes = np.eye(len(catalogue.scenes), dtype=np.float32)
        self._rhythm = _rhythm_table()
        contacts = range(FIRST_CHANNEL, FIRST_CHANNEL + len(catalogue.channels))
        self._recent = np.asarray([*RECENT, *contacts])
        self.names: tuple[str, ...] = (
            *(f"scene={scene.name}" for scene in catalogue.scenes),
            *RHYTHM,
            *(f"count:{name}" for name in layout.slots),
            *(f"recency:{layout.slots[slot]}" for slot in self._recent),
            "reference_discount",
            *(f"cap_used:{slots.cap.name}" for slots in self._plain_caps),
            *(f"consent:{channel.name}" for channel in catalogue.channels),
            *(name for attribute in self._attributes for name in _feature_names(attribute)),
            "budget_price",
        )
        self.width = len(self.names)
        written = json.dumps([VERSION, self.names, catalogue.hash])
        self.hash = hashlib.sha256(written.encode()).hexdigest()

    def encode(
        self, users: UserState, moment: Moment, budget_price: float = 0.0
    ) -> NDArray[np.float32]:
        """What a policy sees of users at a moment.

        Args:
            users: N users.
            moment: where and when they stand, [N].
            budget_price: price of a cent spent, in cents, >= 0.

        Returns:
            float32 [N, D], finite.
        """
        sums = np.maximum(users.decayed(moment.now), 0.0)
        bought = sums[:, BOUGHT]
        blocks = (
            np.take(self._scenes, moment.scene, axis=0),
            np.take(self._rhythm, hour_of_week(moment.local()), axis=0),
            np.sqrt(sums),  # counts and spend: the square root evens out their variance
            self._recency(users, moment),
            sums[:, DISCOUNT] / (bought + np.float32(0.5)),
            *(slots.used(users.cap_times, moment) for slots in self._plain_caps),
            users.consents(),
            *(block for j in range(len(self._attributes)) for block in self._attribute(users, j)),
            budget_price,
        )
        return self._assemble(len(users), blocks)

    def _assemble(self, n: int, blocks: tuple[object, ...]) -> NDArray[np.float32]:
        observations = np.empty((n, self.width), np.float32)
        start = 0
        for block in blocks:
            columns = np.asarray(block)
            stop = start + (columns.shape[1] if columns.ndim == 2 else 1)
            target = observations[:, start:stop]
            target[:] = columns[:, None] if columns.ndim == 1 else columns
            start = stop
        assert start == self.width, "every named feature has a column"
        return observations

    def _recency(self, users: UserState, moment: Moment) -> NDArray[np.float32]:
        """1 just now, 1/2 a day ago, near 0 long ago or never; float32 [N, R]."""
        since = moment.now[:, None] - np.take(users.clocks, self._recent, axis=1)
        days = np.maximum(since, 0).astype(np.float32) / np.float32(DAY)
        return np.float32(1.0) / (np.float32(1.0) + days)

    def _attribute(self, users: UserState, j: int) -> list[NDArray[np.float32]]:
        """Columns of one attribute: choices one-hot, numbers scaled and a flag; all 0 unknown."""
        attribute, values = self._attributes[j], users.attributes[:, j]
        if attribute.kind == "choice":
            return [(values == k).astype(np.float32) for k in range(len(attribute.values))]
        known = ~np.isnan(values)
        low, span = np.float32(attribute.low), np.float32(attribute.high - attribute.low)
        scaled = np.where(known, (values - low) / span, np.float32(0.0))
        return [np.clip(scaled, 0.0, 1.0), known.astype(np.float32)]


def _feature_names(attribute: Attribute) -> tuple[str, ...]:
    if attribute.kind == "choice":
        return tuple(f"attribute={attribute.name}:{value}" for value in attribute.values)
    return f"attribute:{attribute.name}", f"attribute_known:{attribute.name}"


def _rhythm_table() -> NDArray[np.float32]:
    """Features of each hour of the week, rounded so that every machine agrees, float32 [168, 6]."""
    hours = np.arange(168)
    angle = 2.0 * np.pi * (hours % 24) / 24.0
    day = hours // 24
    columns = [np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle)]
    table = np.stack([*columns, day == 5, day == 6], axis=1)
    return np.round(table, 6).astype(np.float32)
