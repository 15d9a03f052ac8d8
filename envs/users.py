"""What the service may know of users: struct of arrays, and the one way in.

Decayed sums carry their own clocks, recencies and consents are latest times, caps are the latest
contact times: so the state is the same for any order in which events arrive (sums up to rounding),
and an event with a remembered key counts once.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.clock import NEVER
from envs.decisions import EventKind, Events
from envs.layout import BY_CHANNEL, COUNTED, DISCOUNT, FIRST_CHANNEL, SPEND, Layout

LASTING: Final = (
    EventKind.BOUGHT,
    EventKind.REFUNDED,
    EventKind.SERVICE_CONTACT,
    EventKind.NOT_INTERESTED,
    EventKind.OPTED_OUT,
    EventKind.OPTED_IN,
)
"""Rare kinds of lasting weight: a third of the memory for keys is theirs alone, so that a purchase
told late still counts after any number of views."""

_STORED: Final = (
    "sums",
    "clocks",
    "opted_in_at",
    "opted_out_at",
    "not_interested_at",
    "cap_times",
    "attributes",
    "attributes_at",
    "seen",
    "seen_at",
)


@dataclass(frozen=True, slots=True)
class UserState:
    """N users. Times are seconds since the epoch, ``NEVER`` when it never happened."""

    layout: Layout
    sums: NDArray[np.float32]
    """Decayed sums, each as of its own clock, float32 [N, F]."""
    clocks: NDArray[np.int32]
    """Time of the latest event of each sum, int32 [N, F]."""
    opted_in_at: NDArray[np.int32]
    """int32 [N, C]"""
    opted_out_at: NDArray[np.int32]
    """int32 [N, C]"""
    not_interested_at: NDArray[np.int32]
    """int32 [N, O]"""
    cap_times: NDArray[np.int32]
    """The latest contacts of each cap, int32 [N, S]."""
    attributes: NDArray[np.float32]
    """Numbers, or the index of a choice; NaN when unknown, float32 [N, J]."""
    attributes_at: NDArray[np.int32]
    """int32 [N, J]"""
    seen: NDArray[np.uint64]
    """Keys of the latest events, uint64 [N, R]; R is 0 where nothing is repeated."""
    seen_at: NDArray[np.int32]
    """int32 [N, R]"""

    @classmethod
    def empty(cls, catalogue: Catalogue, n: int, remembered: int = 0) -> UserState:
        """``n`` users of whom nothing is known.

        Args:
            catalogue: whose channels, offers, caps and attributes.
            n: number of users.
            remembered: how many of the latest event keys each user keeps against repetition,
                a third of them for lasting kinds; 0, or 2 and more.
        """
        layout = Layout.of(catalogue)
        channels, width = len(catalogue.channels), len(layout.slots)
        attributes = len(catalogue.attributes)
        return cls(
            layout,
            np.zeros((n, width), np.float32),
            np.full((n, width), NEVER, np.int32),
            np.full((n, channels), NEVER, np.int32),
            np.full((n, channels), NEVER, np.int32),
            np.full((n, len(catalogue.offers)), NEVER, np.int32),
            np.full((n, sum(slots.width for slots in layout.caps)), NEVER, np.int32),
            np.full((n, attributes), np.nan, np.float32),
            np.full((n, attributes), NEVER, np.int32),
            np.zeros((n, remembered), np.uint64),
            np.full((n, remembered), NEVER, np.int32),
        )

    def __len__(self) -> int:
        return len(self.sums)

    def take(self, rows: NDArray[np.int64]) -> UserState:
        """A copy of some users."""
        return UserState(self.layout, *(getattr(self, name)[rows] for name in _STORED))

    def clear(self, rows: NDArray[np.int64]) -> None:
        """Forget some users, in place."""
        for name in _STORED:
            array = getattr(self, name)
            blank = np.nan if name == "attributes" else 0 if name in ("sums", "seen") else NEVER
            array[rows] = blank

    def consents(self) -> NDArray[np.bool_]:
        """Which channels may be used, bool [N, C]; a tie of times counts as opted out."""
        silent = (self.opted_in_at == NEVER) & (self.opted_out_at == NEVER)
        return np.where(silent, self.layout.opted_in, self.opted_in_at > self.opted_out_at)

    def decayed(self, now: NDArray[np.int32]) -> NDArray[np.float32]:
        """The sums as of ``now`` (int32 [N]), float32 [N, F]."""
        decay = (now[:, None] - self.clocks).astype(np.float32)
        np.maximum(decay, 0.0, out=decay)
        decay *= self.layout.rates
        np.exp(decay, out=decay)
        decay *= self.sums
        return decay


def pack(users: UserState) -> NDArray[np.uint8]:
    """The users as bytes, uint8 [N, B]; B is fixed by the catalogue and ``remembered``."""
    parts = [np.ascontiguousarray(getattr(users, name)) for name in _STORED]
    return np.concatenate([part.view(np.uint8) for part in parts if part.shape[1]], axis=1)


def unpack(catalogue: Catalogue, packed: NDArray[np.uint8], remembered: int) -> UserState:
    """The users that ``pack`` made into bytes.

    Raises:
        ValueError: the width is not that of this catalogue and ``remembered``.
    """
    users = UserState.empty(catalogue, len(packed), remembered)
    arrays = [getattr(users, name) for name in _STORED]
    width = sum(array.shape[1] * array.itemsize for array in arrays)
    if packed.ndim != 2 or packed.shape[1] != width:
        raise ValueError(f"packed users have shape {packed.shape}, not [N, {width}]")
    start = 0
    for array in arrays:
        stop = start + array.shape[1] * array.itemsize
        if stop > start:
            array[:] = np.ascontiguousarray(packed[:, start:stop]).view(array.dtype)
        start = stop
    return users


_KIND_SLOT = np.full(len(EventKind), -1, np.int64)
for _slot, _kind in enumerate(COUNTED):
    _KIND_SLOT[_kind] = _slot
_CHANNEL_BLOCK = np.full(len(EventKind), -1, np.int64)
for _block, _kind in enumerate(BY_CHANNEL):
    _CHANNEL_BLOCK[_kind] = _block


def advance(users: UserState, events: Events) -> NDArray[np.bool_]:
    """Let events happen to users, in place. The only way in.

    Args:
        users: the state, changed in place.
        events: in any order and with repetitions; ``row`` says whom each befalls.

    Returns:
        bool [M]: whether the event counted. It does not when its key is remembered (repeated), or
        when it is older than all the remembered keys of a full memory (too late to tell).
    """
    counted = np.ones(len(events), np.bool_)
    starts = np.flatnonzero(np.diff(events.row) <= 0) + 1  # each run has no user twice
    bounds = [0, *starts.tolist(), len(events)]
    for start, stop in pairwise(bounds):
        if start < stop:
            whole = start == 0 and stop == len(events)
            run = events if whole else events.take(slice(start, stop))
            counted[start:stop] = _advance_run(users, run)
    return counted


def _advance_run(users: UserState, events: Events) -> NDArray[np.bool_]:
    new = _remember(users, events)
    if not new.all():
        events = events.take(new)
    if len(events):
        _count(users, events)
        _count_by_channel(users, events)
        present = np.bincount(events.kind, minlength=len(EventKind)).tolist()
        for kind, change in _CHANGES.items():
            if present[kind] == len(events):
                change(users, events)
            elif present[kind]:
                change(users, events.take(np.flatnonzero(events.kind == kind)))
    return new


def _remember(users: UserState, events: Events) -> NDArray[np.bool_]:
    """Keep the keys of the latest events; say which events are new, bool [M]."""
    new = np.ones(len(events), np.bool_)
    if not users.seen.shape[1] or not events.key.any():
        return new
    lasting = np.isin(events.kind, LASTING)
    share = (users.seen.shape[1] + 2) // 3  # views crowd nothing out that matters for long
    for group, place in ((lasting, slice(0, share)), (~lasting, slice(share, None))):
        keyed = np.flatnonzero(group & (events.key != 0))
        if len(keyed):
            part = events.take(keyed)
            new[keyed] = _keep_keys(users.seen[:, place], users.seen_at[:, place], part)
    return new


def _keep_keys(
    seen: NDArray[np.uint64], seen_at: NDArray[np.int32], events: Events
) -> NDArray[np.bool_]:
    """Put new keys in the place of the oldest, in place; bool [M], whether each was new."""
    oldest = seen_at[events.row].argmin(axis=1)
    repeated = (seen[events.row] == events.key[:, None]).any(axis=1)
    new: NDArray[np.bool_] = ~(repeated | (events.time < seen_at[events.row, oldest]))
    seen[events.row[new], oldest[new]] = events.key[new]
    seen_at[events.row[new], oldest[new]] = events.time[new]
    return new


def _add(
    users: UserState,
    rows: NDArray[np.int64],
    slots: NDArray[np.int64] | int,
    weights: NDArray[np.float32] | float,
    times: NDArray[np.int32],
) -> None:
    """Add weights to decayed sums; the later of sum and event sets the clock."""
    index = rows * users.sums.shape[1] + slots
    sums, clocks = users.sums.reshape(-1), users.clocks.reshape(-1)
    held, clock = sums[index], clocks[index]
    gap = times - clock
    decay = np.exp(np.abs(gap).astype(np.float32) * users.layout.rates[slots])
    later = gap >= 0
    sums[index] = np.where(later, held * decay + weights, held + decay * weights)
    clocks[index] = np.maximum(clock, times)


def _count(users: UserState, events: Events) -> None:
    slots = _KIND_SLOT[events.kind]
    chosen = np.flatnonzero(slots >= 0)
    if len(chosen):
        _add(users, events.row[chosen], slots[chosen], 1.0, events.time[chosen])


def _count_by_channel(users: UserState, events: Events) -> None:
    block = _CHANNEL_BLOCK[events.kind]
    chosen = np.flatnonzero((block >= 0) & (events.channel >= 0))
    if len(chosen):
        channels = users.opted_in_at.shape[1]
        slots = FIRST_CHANNEL + block[chosen] * channels + events.channel[chosen]
        _add(users, events.row[chosen], slots, 1.0, events.time[chosen])


def _contacted(users: UserState, events: Events) -> None:
    for slots in users.layout.caps:
        slots.insert(
            users.cap_times, events.row, events.time, events.scene, events.channel, events.offer
        )


def _bought(users: UserState, events: Events) -> None:
    baskets = events.amount_cents / np.float32(users.layout.typical_basket_cents)
    _add(users, events.row, SPEND, baskets.astype(np.float32), events.time)
    _add(users, events.row, DISCOUNT, events.discount, events.time)


def _refunded(users: UserState, events: Events) -> None:
    baskets = events.amount_cents / np.float32(-users.layout.typical_basket_cents)
    _add(users, events.row, SPEND, baskets.astype(np.float32), events.time)


def _latest(times: NDArray[np.int32], which: NDArray[np.int16], events: Events) -> None:
    """Note the time in the named column, or in all columns where none is named (-1)."""
    named = np.flatnonzero(which >= 0)
    index = events.row[named] * times.shape[1] + which[named]
    flat = times.reshape(-1)
    flat[index] = np.maximum(flat[index], events.time[named])
    unnamed = np.flatnonzero(which < 0)
    rows = events.row[unnamed]
    times[rows] = np.maximum(times[rows], events.time[unnamed, None])


def _not_interested(users: UserState, events: Events) -> None:
    _latest(users.not_interested_at, events.offer, events)


def _opted_out(users: UserState, events: Events) -> None:
    _latest(users.opted_out_at, events.channel, events)


def _opted_in(users: UserState, events: Events) -> None:
    _latest(users.opted_in_at, events.channel, events)


def _described(users: UserState, events: Events) -> None:
    """The latest value wins; of two told for one time, the larger."""
    if events.attributes is None:
        return
    held, held_at = users.attributes[events.row], users.attributes_at[events.row]
    told, told_at = events.attributes, events.time[:, None]
    tie = (told_at == held_at) & (told > held)
    wins = ~np.isnan(told) & ((told_at > held_at) | tie)
    users.attributes[events.row] = np.where(wins, told, held)
    users.attributes_at[events.row] = np.where(wins, told_at, held_at)


_CHANGES: Final = {
    EventKind.CONTACTED: _contacted,
    EventKind.BOUGHT: _bought,
    EventKind.REFUNDED: _refunded,
    EventKind.NOT_INTERESTED: _not_interested,
    EventKind.OPTED_OUT: _opted_out,
    EventKind.OPTED_IN: _opted_in,
    EventKind.DESCRIBED: _described,
}
"""What else an event of a kind changes, besides the counts."""
