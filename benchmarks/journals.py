"""The journal of a service, counted anew: nothing here uses the service's own reading of it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import redis
from numpy.typing import NDArray

from envs.catalogue import Cap, Catalogue
from envs.clock import DAY, EPOCH, HOUR
from envs.rules import reserve_cents

LOOK_S: Final = 0.2
ACTIVATED: Final = "activated"
LAPSED: Final = "lapsed"


@dataclass(frozen=True, slots=True)
class Contact:
    """An offer that a user was given."""

    time: int
    """Seconds since the epoch of ``envs.clock``."""
    zone: str
    scene: int
    channel: int
    offer: int


@dataclass(frozen=True, slots=True)
class Journal:
    """Decisions and outcomes, each once."""

    decisions: list[dict[str, Any]]
    outcomes: list[dict[str, Any]]
    written_twice: int
    """Rows more than decisions and outcomes: at least once is promised, not exactly once."""
    marks: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Of deferred decisions: ``activated`` or ``lapsed``, and when."""

    def by_id(self) -> dict[str, dict[str, Any]]:
        """The decisions by their ids."""
        return {row["decision_id"]: row for row in self.decisions}

    def given(self) -> list[dict[str, Any]]:
        """The decisions that count as shown, each with the time at which it was."""
        shown = []
        for row in self.decisions:
            state, time = self.marks.get(row["decision_id"], ("", 0))
            if not row.get("deferred"):
                time = row["time"]
            elif state != ACTIVATED:
                continue
            if row["action"]:
                shown.append(row | {"time": time})
        return shown

    def ended_as(self, state: str) -> set[str]:
        """Deferred decisions that were activated, or that have lapsed."""
        return {decision for decision, (ended, _) in self.marks.items() if ended == state}


def read_journal(run_dir: Path) -> Journal:
    """The journal's parts in a run folder."""
    decisions, more = _each_once(run_dir, "decisions", ("decision_id",))
    outcomes, again = _each_once(run_dir, "outcomes", ("user", "key"))
    marked, _ = _each_once(run_dir, "marks", ("kind", "decision"))
    marks = {
        row["decision"]: (row["kind"], row["time"])
        for row in marked
        if row["kind"] in (ACTIVATED, LAPSED)
    }
    return Journal(decisions, outcomes, more + again, marks)


def _each_once(
    run_dir: Path, kind: str, identity: tuple[str, ...]
) -> tuple[list[dict[str, Any]], int]:
    files = sorted((run_dir / "journal").rglob(f"{kind}-*.parquet"))
    if not files:
        return [], 0
    parts = [_narrow(pq.read_table(file, partitioning=None)) for file in files]
    rows = pa.concat_tables(parts, promote_options="default").to_pylist()
    once = {tuple(row[name] for name in identity): row for row in rows}
    return list(once.values()), len(rows) - len(once)


def _narrow(part: pa.Table) -> pa.Table:
    """Without the long columns, which nothing here looks at."""
    long = {"observation", "mask", "refusals", "probabilities", "attributes"}
    return part.select([name for name in part.column_names if name not in long])


def wait_until_written(redis_url: str, patience_s: float) -> int:
    """Wait until the streams are empty; the number of entries that are left, 0 in the end."""
    deadline = time.monotonic() + patience_s
    with redis.Redis.from_url(redis_url, socket_timeout=5.0) as client:
        while True:
            left = sum(client.xlen(key) for key in client.scan_iter("sl:*:j", 1000, "stream"))
            if not left or time.monotonic() > deadline:
                return int(left)
            time.sleep(LOOK_S)


def cap_violations(catalogue: Catalogue, journal: Journal) -> int:
    """Contacts that were one too many, over all users and caps."""
    by_user: dict[str, list[Contact]] = {}
    for row in journal.given():
        action = catalogue.actions[row["action"]]
        contact = Contact(
            row["time"], row.get("zone") or "UTC", row["scene"], action.channel, action.offer
        )
        by_user.setdefault(row["decision_id"].partition("-")[0], []).append(contact)
    return sum(
        _too_many(catalogue, cap, contacts)
        for contacts in by_user.values()
        for cap in catalogue.caps
    )


def _too_many(catalogue: Catalogue, cap: Cap, contacts: Iterable[Contact]) -> int:
    """Contacts of one user beyond one cap, window by window."""
    groups: dict[tuple[int, ...], list[Contact]] = {}
    for contact in contacts:
        if cap.channel and catalogue.channels[contact.channel].name != cap.channel:
            continue
        if cap.offer and catalogue.offers[contact.offer].name != cap.offer:
            continue
        group = tuple(getattr(contact, part) for part in sorted(cap.per))
        groups.setdefault(group, []).append(contact)
    return sum(_beyond(cap, sorted(group, key=_time)) for group in groups.values())


def _beyond(cap: Cap, contacts: list[Contact]) -> int:
    times = np.asarray([contact.time for contact in contacts], np.int64)
    starts = np.asarray([_window_start(cap, contact) for contact in contacts], np.int64)
    inside = np.arange(1, len(times) + 1) - np.searchsorted(times, starts, side="left")
    return int((inside > cap.limit).sum())


def _window_start(cap: Cap, contact: Contact) -> int:
    """First second of the window that ends with a contact."""
    if cap.hours is not None:
        return contact.time - cap.hours * HOUR + 1
    zone, start = ZoneInfo(contact.zone), EPOCH.timestamp()
    local = datetime.fromtimestamp(start + contact.time, zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    first = int(midnight.astimezone(UTC).timestamp() - start)
    return first - ((cap.days or 1) - 1) * DAY


def _time(contact: Contact) -> int:
    return contact.time


def spend(catalogue: Catalogue, journal: Journal) -> dict[int, float]:
    """Cents that the decisions of each period set aside, by the catalogue's own prices.

    What a decision that has lapsed had set aside was given back.
    """
    cents: NDArray[np.float64] = reserve_cents(catalogue)
    spent: dict[int, float] = {}
    lapsed = journal.ended_as(LAPSED)
    for row in journal.decisions:
        price = float(cents[row["action"]])
        if price and row["decision_id"] not in lapsed:
            period = int(row.get("period") or 0)
            spent[period] = spent.get(period, 0.0) + price
    return spent
