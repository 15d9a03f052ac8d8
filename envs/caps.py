"""Contact caps as the latest contact times.

A cap of ``limit`` contacts in a window holds exactly when the ``limit``-th latest contact lies
before the window. Keeping the ``limit`` latest times per counted group therefore gives exact
sliding windows, in a state that is the same for any order of the contacts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Cap, Catalogue
from envs.clock import DAY, HOUR, modulo
from envs.decisions import Moment


@dataclass(frozen=True, slots=True)
class CapSlots:
    """Where one cap keeps its times among a user's cap times.

    Groups are counted apart in the order scene, channel, offer; each group has ``limit`` slots,
    latest first.
    """

    cap: Cap
    offset: int
    scenes: int
    """1, or the number of scenes when counted per scene."""
    group: NDArray[np.int64]
    """Group within one scene of each (channel, offer), -1 where the cap does not count it, int64
    [C, O]."""

    groups: int
    """Groups within one scene."""

    @property
    def width(self) -> int:
        """Slots in all."""
        return self.scenes * self.groups * self.cap.limit

    def insert(
        self,
        times: NDArray[np.int32],
        rows: NDArray[np.int64],
        time: NDArray[np.int32],
        scene: NDArray[np.int16],
        pair: NDArray[np.int64],
    ) -> None:
        """Count contacts in place.

        Args:
            times: cap times of all users, int32 [N, S].
            rows: users contacted, none twice, int64 [M].
            time: of the contacts, int32 [M].
            scene: of the contacts, int16 [M].
            pair: channel times the number of offers, plus offer, of the contacts, int64 [M].
        """
        group = self.group.take(pair)
        counted = (group >= 0).nonzero()[0]
        if len(counted) < len(group):
            rows, time, scene = rows.take(counted), time.take(counted), scene.take(counted)
            group = group.take(counted)
        if self.scenes > 1:
            group += scene * np.int64(self.groups)
        n, flat = len(times), times.T.reshape(-1)
        index = (group * self.cap.limit + self.offset) * n + rows
        carried = time
        for _ in range(self.cap.limit):  # push down: the earliest of the kept times drops out
            kept = flat.take(index)
            flat[index] = np.maximum(kept, carried)
            carried = np.minimum(kept, carried)
            index += n

    def reached(self, times: NDArray[np.int32], moment: Moment) -> NDArray[np.bool_]:
        """Whether the limit is reached in each group at the moment's scene, bool [groups, N]."""
        n, limit = len(times), self.cap.limit
        last = self.offset + limit - 1
        if self.scenes == 1:
            oldest = times.T[last : self.offset + self.width : limit]
        else:
            first = (np.arange(self.groups)[:, None] * limit + last) * n + np.arange(n)
            index = first + moment.scene * np.int64(self.groups * limit * n)
            oldest = times.T.reshape(-1).take(index)
        return oldest > self.window_start(moment)

    def used(self, times: NDArray[np.int32], moment: Moment, share: NDArray[np.float32]) -> None:
        """Put the share of the limit in use, for a cap with one group, into float32 [N]."""
        inside = times.T[self.offset : self.offset + self.cap.limit] > self.window_start(moment)
        np.divide(
            inside.view(np.uint8).sum(axis=0, dtype=np.uint8), np.float32(self.cap.limit), out=share
        )

    def window_start(self, moment: Moment) -> NDArray[np.int32]:
        """Contacts after this time count, seconds since the epoch, int32 [N]."""
        if self.cap.hours is not None:
            return moment.now - np.int32(self.cap.hours * HOUR)
        assert self.cap.days is not None, "a validated cap has hours or days"
        since_midnight = modulo(moment.local(), DAY)
        return moment.now - since_midnight - np.int32((self.cap.days - 1) * DAY + 1)


def cap_slots(catalogue: Catalogue) -> tuple[CapSlots, ...]:
    """The slots of each cap of the catalogue, one after the other."""
    slots: list[CapSlots] = []
    offset = 0
    for cap in catalogue.caps:
        channel = catalogue.channel_index(cap.channel) if cap.channel else None
        offer = catalogue.offer_index(cap.offer) if cap.offer else None
        by_channel = _groups(channel, "channel" in cap.per, len(catalogue.channels))
        by_offer = _groups(offer, "offer" in cap.per, len(catalogue.offers))
        group = by_channel[:, None] * (by_offer.max() + 1) + by_offer
        group[(by_channel < 0)[:, None] | (by_offer < 0)] = -1
        scenes = len(catalogue.scenes) if "scene" in cap.per else 1
        slots.append(CapSlots(cap, offset, scenes, group, int(group.max()) + 1))
        offset += slots[-1].width
    return tuple(slots)


def _groups(only: int | None, apart: bool, size: int) -> NDArray[np.int64]:
    """The group of every member, -1 where the cap names another; int64 [size]."""
    if only is not None:
        return np.where(np.arange(size) == only, 0, -1)
    return np.arange(size) if apart else np.zeros(size, np.int64)
