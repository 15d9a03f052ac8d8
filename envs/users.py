"""What the service may know of users: struct of arrays, and the one way in.

Decayed sums are weighed from the beginning of an era, recencies and consents are latest times,
caps are the latest contact times: so the state is the same for any order in which events arrive
(sums up to rounding), and an event with a remembered key counts once.

The arrays lie column by column (Fortran order), so that work on one column of a million users
runs through memory without gaps. ``array.T.reshape(-1)`` is then a flat view, in which user n has
column k at ``k * N + n``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.decisions import EventKind, Events, runs
from envs.layout import Layout
from envs.sums import count, decay

Rows = NDArray[np.int64]

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

_STORED: Final = ("numbers", "times", "seen")


@dataclass(frozen=True, slots=True)
class UserState:
    """N users. Times are seconds since the epoch, ``NEVER`` when it never happened."""

    layout: Layout
    numbers: NDArray[np.float32]
    """The sums, then the attributes, float32 [N, F + J]."""
    times: NDArray[np.int32]
    """All times, in the order of ``layout.times``, int32 [N, T]."""
    seen: NDArray[np.uint64]
    """Keys of the latest events, uint64 [N, R]; R is 0 where nothing is repeated."""

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
        numbers, times = layout.unknown(len(catalogue.attributes), remembered)
        return cls(
            layout,
            np.repeat(numbers[:, None], n, axis=1).T,
            np.repeat(times[:, None], n, axis=1).T,
            np.zeros((remembered, n), np.uint64).T,
        )

    def __len__(self) -> int:
        return len(self.times)

    def take(self, rows: Rows) -> UserState:
        """A copy of some users."""
        return UserState(
            self.layout, *(getattr(self, name).T.take(rows, axis=1).T for name in _STORED)
        )

    def clear(self, rows: Rows) -> None:
        """Forget some users, in place."""
        numbers, times = self.layout.unknown(self.attributes.shape[1], self.seen.shape[1])
        self.numbers.T[:, rows] = numbers[:, None]
        self.times.T[:, rows] = times[:, None]
        self.seen.T[:, rows] = 0

    @property
    def sums(self) -> NDArray[np.float32]:
        """Decayed sums as of the beginning of the era of the latest event, float32 [N, F]."""
        return self.numbers[:, : len(self.layout.slots)]

    @property
    def attributes(self) -> NDArray[np.float32]:
        """Numbers, or the index of a choice; NaN when unknown, float32 [N, J]."""
        return self.numbers[:, len(self.layout.slots) :]

    @property
    def latest(self) -> NDArray[np.int32]:
        """Time of the latest event, and of the latest of each in ``layout.recent``; [N, 1 + L]."""
        return self.times[:, self.layout.times.latest]

    @property
    def opted_in_at(self) -> NDArray[np.int32]:
        """When the user last opted in to each channel, int32 [N, C]."""
        return self.times[:, self.layout.times.opted_in]

    @property
    def opted_out_at(self) -> NDArray[np.int32]:
        """When the user last opted out of each channel, int32 [N, C]."""
        return self.times[:, self.layout.times.opted_out]

    @property
    def not_interested_at(self) -> NDArray[np.int32]:
        """When the user last wanted no more of each offer, int32 [N, O]."""
        return self.times[:, self.layout.times.not_interested]

    @property
    def cap_times(self) -> NDArray[np.int32]:
        """The latest contacts of each cap, int32 [N, S]."""
        return self.times[:, self.layout.times.caps]

    @property
    def attributes_at(self) -> NDArray[np.int32]:
        """As of when each attribute was told, int32 [N, J]."""
        return self.times[:, self.layout.times.attributes]

    @property
    def seen_at(self) -> NDArray[np.int32]:
        """Event times of the keys, int32 [N, R]."""
        return self.times[:, self.layout.times.seen]

    def consents(self) -> NDArray[np.bool_]:
        """Which channels may be used, bool [N, C]; a tie of times counts as opted out."""
        return self.opted_in_at > self.opted_out_at

    def decayed(
        self, now: NDArray[np.int32], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """The sums as of ``now`` (int32 [N]), or as of the latest event where that is later.

        Args:
            now: seconds since the epoch, int32 [N].
            out: where to put them, float32 [N, F]; a new array when left out.
        """
        decayed = np.empty_like(self.sums) if out is None else out
        decay(self.layout, self.sums, self.latest[:, 0], now, decayed)
        return decayed


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


_LASTING: Final = np.asarray([kind in LASTING for kind in EventKind])


def advance(users: UserState, events: Events) -> NDArray[np.bool_]:
    """Let events happen to users, in place. The only way in.

    Args:
        users: the state, changed in place.
        events: in any order and with repetitions; ``row`` says whom each befalls.

    Returns:
        bool [M]: whether the event counted. It does not when its key is remembered (repeated), or
        when it is older than all the remembered keys of a full memory (too late to tell).
    """
    new = _remember(users, events)
    if not new.all():
        events = events.take(new)
    count(users.layout, users.sums, users.latest, events)
    present = np.bincount(events.kind, minlength=len(EventKind)).tolist()
    for kind, change in _CHANGES.items():
        if present[kind]:
            change(users, events, (events.kind == kind).nonzero()[0])
    return new


def _remember(users: UserState, events: Events) -> NDArray[np.bool_]:
    """Keep the keys of the latest events; say which events are new, bool [M]."""
    new = np.ones(len(events), np.bool_)
    if not users.seen.shape[1] or not events.key.any():
        return new
    lasting = _LASTING.take(events.kind)
    share = lasting_share(users.seen.shape[1])
    for group, place in ((lasting, slice(0, share)), (~lasting, slice(share, None))):
        keyed = np.flatnonzero(group & (events.key != 0))
        for run in runs(events.row.take(keyed)):
            part = keyed[run]
            new[part] = _keep_keys(users.seen[:, place], users.seen_at[:, place], events.take(part))
    return new


def lasting_share(remembered: int) -> int:
    """How many of the keys are for lasting kinds: views crowd nothing out that matters for long."""
    return (remembered + 2) // 3


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


def _contacted(users: UserState, events: Events, which: Rows) -> None:
    row, time, scene = events.row.take(which), events.time.take(which), events.scene.take(which)
    channel, offer = events.channel.take(which), events.offer.take(which)
    pair = channel * np.int64(users.layout.offers) + offer
    for run in runs(row):
        for slots in users.layout.caps:
            slots.insert(users.cap_times, row[run], time[run], scene[run], pair[run])


def _latest(
    times: NDArray[np.int32],
    named: NDArray[np.int16],
    events: Events,
    which: Rows,
) -> None:
    """Note the time in the named column, or in all columns where none is named (-1)."""
    n, flat = len(times), times.T.reshape(-1)
    row, time, column = events.row.take(which), events.time.take(which), named.take(which)
    for each in range(times.shape[1]):
        concerned = ((column == each) | (column < 0)).nonzero()[0]
        if len(concerned):
            np.maximum.at(flat, each * n + row.take(concerned), time.take(concerned))


def _not_interested(users: UserState, events: Events, which: Rows) -> None:
    _latest(users.not_interested_at, events.offer, events, which)


def _opted_out(users: UserState, events: Events, which: Rows) -> None:
    _latest(users.opted_out_at, events.channel, events, which)


def _opted_in(users: UserState, events: Events, which: Rows) -> None:
    _latest(users.opted_in_at, events.channel, events, which)


def _described(users: UserState, events: Events, which: Rows) -> None:
    """The latest value wins; of two told for one time, the larger."""
    if events.attributes is None:
        return
    for run in runs(events.row.take(which)):
        rows, told = events.row[which[run]], events.attributes[which[run]]
        told_at = events.time[which[run], None]
        held, held_at = users.attributes[rows], users.attributes_at[rows]
        tie = (told_at == held_at) & (told > held)
        wins = ~np.isnan(told) & ((told_at > held_at) | tie)
        users.attributes[rows] = np.where(wins, told, held)
        users.attributes_at[rows] = np.where(wins, told_at, held_at)


_CHANGES: Final = {
    EventKind.CONTACTED: _contacted,
    EventKind.NOT_INTERESTED: _not_interested,
    EventKind.OPTED_OUT: _opted_out,
    EventKind.OPTED_IN: _opted_in,
    EventKind.DESCRIBED: _described,
}
"""What else an event of a kind changes, besides the counts and the latest times."""
