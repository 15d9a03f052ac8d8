"""Two users who turn out to be one person: the state of somebody whom the events of both befell.

Every part of a state is what is left of a set of events: a sum, a maximum, the latest few. So the
states alone say what the state of all the events would be, and no history has to be kept for it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.caps import CapSlots
from envs.clock import NEVER
from envs.sums import enter_eras, era_start
from envs.users import UserState, lasting_share

Times = NDArray[np.int32]
Keys = NDArray[np.uint64]


def merge(first: UserState, second: UserState) -> UserState:
    """The users that two users each turn out to be, pair by pair.

    It does not matter which is the first, nor in which order three are merged (sums up to
    rounding). A contact or an event without a key that both have is taken for two; an event with
    a key that both remember has been counted by both, and is remembered once.

    Args:
        first: N users, not changed.
        second: N users of the same catalogue and memory, not changed.

    Raises:
        ValueError: the users are not as many, or their states have other shapes.
    """
    shapes = [
        (users.numbers.shape, users.times.shape, users.seen.shape) for users in (first, second)
    ]
    if shapes[0] != shapes[1]:
        raise ValueError(f"users of shapes {shapes[0]} cannot be merged with {shapes[1]}")
    everybody = np.arange(len(first))
    merged, other = first.take(everybody), second.take(everybody)
    _add_sums(merged, other)  # needs the latest times of both, so it comes first
    _describe(merged, other)
    for name in ("latest", "opted_in_at", "opted_out_at", "not_interested_at"):
        mine = getattr(merged, name)
        np.maximum(mine, getattr(other, name), out=mine)
    for slots in merged.layout.caps:
        _join_contacts(slots, merged.cap_times, other.cap_times)
    share = lasting_share(merged.seen.shape[1])
    for place in (slice(0, share), slice(share, None)):
        _join_keys(merged, other, place)
    return merged


def _add_sums(merged: UserState, other: UserState) -> None:
    """Add the sums as of the later of both eras, in place."""
    newest = np.maximum(era_start(merged.latest[:, 0]), era_start(other.latest[:, 0]))
    for users in (merged, other):
        enter_eras(users.layout, users.sums, users.latest[:, 0], newest)
    merged.sums[:] += other.sums


def _describe(merged: UserState, other: UserState) -> None:
    """The latest told attribute wins; of two told for one time, the larger. In place."""
    mine, mine_at = merged.attributes, merged.attributes_at
    later, tie = other.attributes_at > mine_at, other.attributes_at == mine_at
    told = np.where(later, other.attributes, mine)
    mine[:] = np.where(tie, np.fmax(other.attributes, mine), told)
    np.maximum(mine_at, other.attributes_at, out=mine_at)


def _join_contacts(slots: CapSlots, mine: Times, others: Times) -> None:
    """Keep the latest contacts of both in each group of a cap, latest first, in place."""
    place = slice(slots.offset, slots.offset + slots.width)
    shape = len(mine), slots.width // slots.cap.limit, slots.cap.limit
    grouped = [times[:, place].reshape(shape) for times in (mine, others)]
    both = np.sort(np.concatenate(grouped, axis=2), axis=2)  # [N, groups, 2 * limit]
    latest = both[:, :, : -slots.cap.limit - 1 : -1]
    mine[:, place] = latest.reshape(len(mine), slots.width)


def _join_keys(merged: UserState, other: UserState, place: slice) -> None:
    """Keep the latest event keys of both in one share of the memory, in place."""
    seen, seen_at = merged.seen[:, place], merged.seen_at[:, place]
    keys = np.concatenate((seen, other.seen[:, place]), axis=1)
    times = np.concatenate((seen_at, other.seen_at[:, place]), axis=1)
    keys, times = _ordered(keys, times, np.lexsort((times, keys)))
    twice = keys[:, :-1] == keys[:, 1:]
    keys[:, :-1][twice] = 0
    times[:, :-1][twice] = NEVER
    keys, times = _ordered(keys, times, np.lexsort((keys, times)))
    width = seen.shape[1]
    seen[:], seen_at[:] = keys[:, width:], times[:, width:]


def _ordered(keys: Keys, times: Times, order: NDArray[np.int64]) -> tuple[Keys, Times]:
    return np.take_along_axis(keys, order, axis=1), np.take_along_axis(times, order, axis=1)
