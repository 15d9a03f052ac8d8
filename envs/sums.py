"""Decayed sums, kept as of the beginning of an era.

A sum holds its events as of the beginning of the era of the user's latest event (forward decay:
Cormode and others, "Forward decay", 2009). So an event adds one number, whatever came before; only
a new era touches the other sums; and one exponential a half-life reads them all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.clock import NEVER
from envs.decisions import EventKind, Events, runs
from envs.layout import DISCOUNT, ERA_S, SPEND, Layout

Rows = NDArray[np.int64]
Floats = NDArray[np.float32]
Times = NDArray[np.int32]


def era_start(times: Times) -> Times:
    """Where the era of each time begins, int32 [N]."""
    return times // np.int32(ERA_S) * np.int32(ERA_S)


def decay(layout: Layout, sums: Floats, latest: Times, now: Times, decayed: Floats) -> None:
    """Put the sums as of now, or as of the latest event where that is later, into ``decayed``.

    Args:
        layout: of the sums.
        sums: float32 [N, F], by column.
        latest: of each user's events, int32 [N].
        now: seconds since the epoch, int32 [N].
        decayed: float32 [N, F], by column.
    """
    since = np.maximum(now, latest)
    since -= era_start(latest)
    elapsed = since.astype(np.float32)
    factors = {rate: np.exp(elapsed * rate) for rate in {span.rate for span in layout.spans}}
    for span in layout.spans:
        np.multiply(sums.T[span.slots], factors[span.rate], out=decayed.T[span.slots])


def count(layout: Layout, sums: Floats, latest: Times, events: Events) -> None:
    """Add what counts to the sums and note when it was, in place.

    Args:
        layout: of the sums.
        sums: float32 [N, F], by column.
        latest: time of the latest event, and of the latest of each in ``layout.recent``, int32
            [N, 1 + L], by column.
        events: in any order, of any users.
    """
    pair = layout.pair(events.kind, events.channel)
    counted = (layout.first.take(pair) >= 0).nonzero()[0]
    if not len(counted):
        return
    row, time, pair = events.row.take(counted), events.time.take(counted), pair.take(counted)
    begun, new = era_start(latest[:, 0].take(row)), era_start(time)
    if (new > begun).any():
        newest = era_start(latest[:, 0])
        np.maximum.at(newest, row, new)
        target = newest.take(row)
        if ((target > begun) & (new < target)).any():  # some events before the turn of an era:
            for run in runs(events.row):  # one by one, so that a batch is that to the bit
                count(layout, sums, latest, events.take(run))
            return
        enter_eras(layout, sums, latest[:, 0], newest)
        begun = target
    number, slot, weight = _weights(layout, events, counted, pair)
    growth = (begun - time).take(number).astype(np.float32)
    growth *= layout.rates.take(slot)
    weight *= np.exp(growth, out=growth)
    slot *= len(sums)
    slot += row.take(number)
    np.add.at(sums.T.reshape(-1), slot, weight)
    flat = latest.T.reshape(-1)
    np.maximum.at(flat, row, time)
    np.maximum.at(flat, layout.place.take(pair) * len(sums) + row, time)


def enter_eras(layout: Layout, sums: Floats, latest: Times, newest: Times) -> None:
    """Users with newer eras (their beginnings, int32 [N]) get their sums as of these, in place."""
    old = era_start(latest)
    lived = ((newest > old) & (old > NEVER)).nonzero()[0]
    since = (newest - old).take(lived).astype(np.float32)
    sums.T[:, lived] *= np.exp(since * layout.rates[:, None])


def _weights(
    layout: Layout, events: Events, counted: Rows, pair: NDArray[np.int64]
) -> tuple[Rows, NDArray[np.int64], NDArray[np.float32]]:
    """What is added to the sums, [K].

    Args:
        layout: of the sums.
        events: M of them.
        counted: numbers of those that count, int64 [L].
        pair: kind and channel of these, see ``Layout.pair``, int64 [L].

    Returns:
        Which of those that count it comes from, the slot, and how much, float32.
    """
    also = layout.also.take(pair)
    second = (also >= 0).nonzero()[0]
    kind = events.kind.take(counted)
    bought = kind == EventKind.BOUGHT
    paid = (bought | (kind == EventKind.REFUNDED)).nonzero()[0]
    which, bought = counted.take(paid), bought.take(paid)
    baskets = events.amount_cents.take(which) / np.float32(layout.typical_basket_cents)
    money = np.full((2, len(paid)), SPEND, np.int64)
    money[1] = DISCOUNT
    weights = (
        np.ones(len(counted) + len(second), np.float32),
        np.where(bought, baskets, -baskets),
        events.discount.take(which) * bought,
    )
    number = np.concatenate((np.arange(len(counted)), second, paid, paid))
    slot = np.concatenate((layout.first.take(pair), also.take(second), *money))
    return number, slot, np.concatenate(weights, dtype=np.float32)
