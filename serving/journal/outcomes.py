"""What came of decisions, in cents: which events belong to which decision, and what they are worth.

An event belongs to the decision that it names; else to the user's latest decision for the offer and
channel that it names; else to the user's latest decision at all. So the rewards of a user's
decisions add up to what the user was worth, whether we spoke or were silent.

A refund corrects a purchase that was counted, however late: that of the decision that it names,
else of the user's latest decision that a purchase came of. The refund of a purchase that was never
counted, because it came before any decision or after the window, is not counted either.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.rewards import RewardParts
from serving.words.bodies import ReportedKind

COUNTED: Final = tuple(
    kind.value
    for kind in ReportedKind
    if kind not in (ReportedKind.SCENE_ENTERED, ReportedKind.DESCRIBED)
)
"""Kinds whose number is told of every decision."""

Which = tuple[str, str | None]
"""User and action name, or user alone."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """An event as the journal keeps it."""

    user: str
    key: str
    kind: str
    time: int
    decision: str | None = None
    channel: str | None = None
    offer: str | None = None
    amount_cents: int = 0
    discount: float = 0.0


@dataclass(frozen=True, slots=True)
class Taken:
    """N decisions of which the outcomes are wanted."""

    decision_ids: Sequence[str]
    users: Sequence[str]
    times: NDArray[np.int32]
    """Seconds since the epoch of ``envs.clock``, [N]."""
    actions: NDArray[np.int64]
    """[N]."""


@dataclass(slots=True)
class Results:
    """What came of N decisions."""

    parts: RewardParts
    counts: dict[str, NDArray[np.float64]]
    """How often each kind of event came, [N]; and ``amount_cents`` paid."""
    known: NDArray[np.bool_]
    """Whether the time in which outcomes are awaited is over, [N]."""


@dataclass(slots=True)
class _Timeline:
    """Decisions of one user, by time."""

    times: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)

    def latest(self, time: int) -> int | None:
        place = bisect_right(self.times, time)
        return self.rows[place - 1] if place else None


class _Purchases:
    """Decisions that purchases came of, and when."""

    def __init__(self, taken: Taken) -> None:
        self._taken = taken
        self._first: dict[int, int] = {}
        self._rows: dict[str, set[int]] = {}

    def note(self, row: int, outcome: Outcome) -> None:
        """Remember a purchase that was counted."""
        if outcome.kind == ReportedKind.BOUGHT:
            self._first[row] = min(outcome.time, self._first.get(row, outcome.time))
            self._rows.setdefault(self._taken.users[row], set()).add(row)

    def corrected_by(self, refund: Outcome, by_id: Mapping[str, int]) -> int | None:
        """Row of the decision whose purchase is refunded, None when none was counted."""
        named = by_id.get(refund.decision or "")
        rows = self._rows.get(refund.user, ()) if named is None else (named,)
        before = [row for row in rows if self._first.get(row, refund.time + 1) <= refund.time]
        return max(before, key=lambda row: (self._taken.times[row], row), default=None)


def results(
    catalogue: Catalogue, taken: Taken, outcomes: Sequence[Outcome], window_s: int
) -> Results:
    """What came of the decisions within ``window_s`` seconds of each.

    A reward counts as known once something in the journal, of anybody, is later than its window:
    time here is the time told with requests and events, which need not be that of this machine.
    """
    n = len(taken.decision_ids)
    found = Results(
        RewardParts.zeros(n),
        {name: np.zeros(n) for name in (*COUNTED, "amount_cents")},
        np.zeros(n, np.bool_),
    )
    channels = catalogue.action_channel[taken.actions]
    sends = np.asarray([*(channel.cost_cents for channel in catalogue.channels), 0], np.int32)
    found.parts.contact_cost_cents[:] = sends[channels]
    by_id = {decision: row for row, decision in enumerate(taken.decision_ids)}
    timelines = _timelines(catalogue, taken)
    purchases = _Purchases(taken)
    for outcome in outcomes:
        if outcome.kind == ReportedKind.REFUNDED:
            continue
        row = _decision_of(outcome, by_id, timelines)
        if row is not None and 0 <= outcome.time - taken.times[row] <= window_s:
            _add(catalogue, found, row, outcome)
            purchases.note(row, outcome)
    for outcome in outcomes:
        if outcome.kind == ReportedKind.REFUNDED:
            row = purchases.corrected_by(outcome, by_id)
            if row is not None:
                _add(catalogue, found, row, outcome)
    latest = max([*taken.times.tolist(), *(outcome.time for outcome in outcomes)], default=0)
    found.known[:] = taken.times.astype(np.int64) + window_s <= latest
    return found


def _timelines(catalogue: Catalogue, taken: Taken) -> dict[Which, _Timeline]:
    """By user and what was offered through which channel; and by user alone."""
    timelines: dict[Which, _Timeline] = {}
    for row in np.argsort(taken.times, kind="stable").tolist():
        action, user = catalogue.actions[int(taken.actions[row])], taken.users[row]
        for which in ((user, action.name), (user, None)):
            timeline = timelines.setdefault(which, _Timeline())
            timeline.times.append(int(taken.times[row]))
            timeline.rows.append(row)
    return timelines


def _decision_of(
    outcome: Outcome, by_id: Mapping[str, int], timelines: Mapping[Which, _Timeline]
) -> int | None:
    """Row of the decision that an event belongs to, None when there was none before it."""
    if outcome.decision is not None and outcome.decision in by_id:
        return by_id[outcome.decision]
    for which in ((outcome.user, f"{outcome.offer}/{outcome.channel}"), (outcome.user, None)):
        timeline = timelines.get(which)
        row = timeline.latest(outcome.time) if timeline else None
        if row is not None:
            return row
    return None


def _add(catalogue: Catalogue, found: Results, row: int, outcome: Outcome) -> None:
    """Count an event of a decision and value it."""
    parts = found.parts
    if outcome.kind in found.counts:
        found.counts[outcome.kind][row] += 1
    if outcome.kind == ReportedKind.BOUGHT:
        price = outcome.amount_cents / (1.0 - outcome.discount)
        parts.margin_cents[row] += round(price * catalogue.margin)
        parts.offer_cost_cents[row] += round(price) - outcome.amount_cents
        parts.offer_cost_cents[row] += _gift_cents(catalogue, outcome.offer)
        found.counts["amount_cents"][row] += outcome.amount_cents
    elif outcome.kind == ReportedKind.REFUNDED:
        parts.margin_cents[row] -= round(outcome.amount_cents * catalogue.margin)
        found.counts["amount_cents"][row] -= outcome.amount_cents
    elif outcome.kind == ReportedKind.OPTED_OUT:
        parts.opt_out_cost_cents[row] += _opt_out_cents(catalogue, outcome.channel)


def _gift_cents(catalogue: Catalogue, offer: str | None) -> int:
    return sum(part.cost_cents for part in catalogue.offers if part.name == offer)


def _opt_out_cents(catalogue: Catalogue, channel: str | None) -> int:
    """Value lost with one channel, or with all where none is named."""
    return sum(
        part.opt_out_cost_cents for part in catalogue.channels if channel in (None, part.name)
    )
