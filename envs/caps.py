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
from envs.clock import DAY, HOUR
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
    channel_group: NDArray[np.int64]
    """Group of each channel, -1 where the cap does not count it, int64 [C]."""
    offer_group: NDArray[np.int64]
    """Group of each offer, -1 where the cap does not count it, int64 [O]."""

    channel_groups: int
    """Channels counted apart."""
    offer_groups: int
    """Offers counted apart."""

    @property
    def groups(self) -> int:
        """Groups within one scene."""
        return self.channel_groups * self.offer_groups

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
        channel: NDArray[np.int16],
        offer: NDArray[np.int16],
    ) -> None:
        """Count contacts in place.

        Args:
            times: cap times of all users, int32 [N, S].
            rows: users contacted, none twice, int64 [M].
            time: of the contacts, int32 [M].
            scene: of the contacts, int16 [M].
            channel: of the contacts, int16 [M].
            offer: of the contacts, int16 [M].
        """
        by_channel, by_offer = self.channel_group[channel], self.offer_group[offer]
        counted = (by_channel >= 0) & (by_offer >= 0)
        if not counted.all():
            rows, time, scene = rows[counted], time[counted], scene[counted]
            by_channel, by_offer = by_channel[counted], by_offer[counted]
        by_scene = scene.astype(np.int64) if self.scenes > 1 else 0
        group = (by_scene * self.channel_groups + by_channel) * self.offer_groups + by_offer
        flat = times.reshape(-1)
        slot = rows * times.shape[1] + self.offset + group * self.cap.limit
        carried = time
        for _ in range(self.cap.limit):  # push down: the earliest of the kept times drops out
            kept = flat[slot]
            flat[slot] = np.maximum(kept, carried)
            carried = np.minimum(kept, carried)
            slot = slot + 1

    def reached(self, times: NDArray[np.int32], moment: Moment) -> NDArray[np.bool_]:
        """Whether the limit is reached in each group at the moment's scene, bool [N, groups]."""
        last = self.cap.limit - 1
        if self.scenes == 1:
            stop = self.offset + self.width
            oldest = times[:, self.offset + last : stop : self.cap.limit]
        else:
            start = np.arange(len(times)) * times.shape[1] + self.offset + last
            start += moment.scene.astype(np.int64) * (self.groups * self.cap.limit)
            step = np.arange(self.groups) * self.cap.limit
            oldest = np.take(times.reshape(-1), start[:, None] + step)
        return oldest > self.window_start(moment)[:, None]

    def used(self, times: NDArray[np.int32], moment: Moment) -> NDArray[np.float32]:
        """Share of the limit in use, for a cap with one group; float32 [N]."""
        start = self.window_start(moment)
        inside = np.zeros(len(times), np.float32)
        for slot in range(self.offset, self.offset + self.cap.limit):
            inside += times[:, slot] > start
        return inside / np.float32(self.cap.limit)

    def window_start(self, moment: Moment) -> NDArray[np.int32]:
        """Contacts after this time count, seconds since the epoch, int32 [N]."""
        if self.cap.hours is not None:
            return moment.now - np.int32(self.cap.hours * HOUR)
        assert self.cap.days is not None, "a validated cap has hours or days"
        since_midnight = moment.local() % np.int32(DAY)
        return moment.now - since_midnight - np.int32((self.cap.days - 1) * DAY + 1)


def cap_slots(catalogue: Catalogue) -> tuple[CapSlots, ...]:
    """The slots of each cap of the catalogue, one after the other."""
    slots: list[CapSlots] = []
    offset = 0
    for cap in catalogue.caps:
        channel = catalogue.channel_index(cap.channel) if cap.channel else None
        offer = catalogue.offer_index(cap.offer) if cap.offer else None
        channel_group = _groups(channel, "channel" in cap.per, len(catalogue.channels))
        offer_group = _groups(offer, "offer" in cap.per, len(catalogue.offers))
        scenes = len(catalogue.scenes) if "scene" in cap.per else 1
        slots.append(
            CapSlots(
                cap,
                offset,
                scenes,
                channel_group,
                offer_group,
                int(channel_group.max()) + 1,
                int(offer_group.max()) + 1,
            )
        )
        offset += slots[-1].width
    return tuple(slots)


def _groups(only: int | None, apart: bool, size: int) -> NDArray[np.int64]:
    """The group of every member, -1 where the cap names another; int64 [size]."""
    if only is not None:
        return np.where(np.arange(size) == only, 0, -1)
    return np.arange(size) if apart else np.zeros(size, np.int64)
