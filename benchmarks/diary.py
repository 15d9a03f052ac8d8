"""What users go through week by week, noted while they are played; no row a step is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.clock import DAY
from envs.decisions import EventKind
from envs.layout import slot_names
from envs.users import pack
from simulators.rows import Tick
from simulators.world import SyntheticWorld

WEEK_S: Final = 7 * DAY
QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
Weekly = list[float]
"""A figure for each week."""


@dataclass(frozen=True, slots=True)
class Year:
    """What became of the users of one policy, week by week."""

    policy: str
    users: int
    weeks: int
    present: Weekly
    """Share of the users who had not left by the end of the week."""
    fatigue: list[Weekly]
    """At the end of the week among the present, one list a quantile of ``QUANTILES``."""
    reference_discount: list[Weekly]
    """The same, fractions."""
    withdrawn: dict[str, Weekly]
    """By channel: share of the present who had left it."""
    purchases: Weekly
    """A user-week of the present."""
    contacts: Weekly
    """The same."""
    expected_cents: Weekly
    """The same: mean net value given the hidden state."""
    kinds: dict[str, dict[str, float]]
    """By archetype: share present at the end, purchases a user-week, share who never bought."""
    largest_sums: dict[str, Weekly]
    """By name: the largest decayed sum in any user's state at the end of the week."""
    bytes_per_user: dict[str, float]
    """What a user takes in memory: state that the service has, and what only the world knows."""


class Diary:
    """Notes of N users who are played once."""

    def __init__(self, world: SyntheticWorld, weeks: int) -> None:
        """Room for so many weeks from the world's start."""
        n = len(world.departed)
        self.world, self._weeks = world, weeks
        self._week = np.zeros(n, np.int64)
        self.fatigue = np.full((weeks, n), np.nan, np.float32)
        """At the end of each week, NaN for those who have left, float32 [W, N]."""
        self.reference_discount = self.fatigue.copy()
        self.withdrawn = np.zeros((weeks, n), np.uint16)
        self.purchases, self.contacts, self.expected_cents = np.zeros((3, weeks + 1))
        self.bought, self.lasted = np.zeros((2, n))
        """Purchases and weeks begun of each user, float64 [N]."""
        self.lived = np.zeros(weeks + 1)
        """User-weeks begun, float64 [W + 1]; the last is what is left of the year."""
        self.largest_sums = np.zeros((weeks, len(slot_names(world.catalogue))), np.float32)
        self.lived[0], self.lasted[:] = n, 1.0

    def note(self, tick: Tick) -> None:
        """Note a tick: weeks that ended before it, and what came of it."""
        self._end_weeks(tick)
        week, step = self._week, tick.step
        bought_by = step.events.row[step.events.kind == EventKind.BOUGHT]
        contacted = np.flatnonzero(tick.active & (tick.actions > 0))
        np.add.at(self.purchases, week[bought_by], 1.0)
        np.add.at(self.bought, bought_by, 1.0)
        np.add.at(self.contacts, week[contacted], 1.0)
        np.add.at(self.expected_cents, week[tick.active], step.expected_cents[tick.active])

    def _end_weeks(self, tick: Tick) -> None:
        since = tick.moment.now - np.int32(self.world.start_s)
        week = np.minimum(since // np.int32(WEEK_S), self._weeks)
        rows = np.flatnonzero(tick.active & (week > self._week))
        if not len(rows):
            return
        ended = self._week[rows]  # no scene lasts as long as a week
        for name in ("fatigue", "reference_discount", "withdrawn"):
            getattr(self, name)[ended, rows] = tick.hidden[name][rows]
        sums = self.world.users.take(rows).decayed(tick.moment.now[rows])
        np.maximum.at(self.largest_sums, ended, sums)
        self._week[rows] = week[rows]
        np.add.at(self.lived, week[rows], 1.0)
        self.lasted[rows] += 1.0

    def year(self, policy: str) -> Year:
        """What has been noted."""
        world, here = self.world, ~np.isnan(self.fatigue)
        names = slot_names(world.catalogue)
        return Year(
            policy=policy,
            users=len(world.departed),
            weeks=self._weeks,
            present=here.mean(axis=1).tolist(),
            fatigue=np.nanquantile(self.fatigue, QUANTILES, axis=1).tolist(),
            reference_discount=np.nanquantile(self.reference_discount, QUANTILES, axis=1).tolist(),
            withdrawn={
                channel.name: (((self.withdrawn >> k & 1) & here).sum(1) / here.sum(1)).tolist()
                for k, channel in enumerate(world.catalogue.channels)
            },
            purchases=self._rate(self.purchases),
            contacts=self._rate(self.contacts),
            expected_cents=self._rate(self.expected_cents),
            kinds=self._kinds(here[-1]),
            largest_sums=dict(zip(names, self.largest_sums.T.tolist(), strict=True)),
            bytes_per_user=_bytes(world),
        )

    def _kinds(self, here: NDArray[np.bool_]) -> dict[str, dict[str, float]]:
        found = {}
        for k, kind in enumerate(self.world.preset.archetypes):
            of = self.world.traits.archetype == k
            if of.any():
                found[kind.name] = {
                    "present": float(here[of].mean()),
                    "purchases": float(self.bought[of].sum() / self.lasted[of].sum()),
                    "never_bought": float((self.bought[of] == 0).mean()),
                }
        return found

    def _rate(self, sums: NDArray[np.float64]) -> Weekly:
        """A user-week of those who began it."""
        rates: Weekly = (sums[: self._weeks] / self.lived[: self._weeks]).tolist()
        return rates


def _bytes(world: SyntheticWorld) -> dict[str, float]:
    hidden = sum(values.nbytes for values in world.latent().values())
    n = len(world.departed)
    return {"known": pack(world.users).nbytes / n, "hidden": hidden / n}
