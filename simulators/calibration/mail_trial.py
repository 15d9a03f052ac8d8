"""Hillstrom's trial: one mail for everybody, one for a category, or none; then two weeks.

The weeks are lived once, without a mail; what a mail adds follows from its chances at the hour it
is sent. A user who bought the category before is one whose latest purchase was of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from envs.clock import DAY, HOUR
from envs.decisions import Moment
from simulators.behaviour import Chances
from simulators.calibration.trials import (
    CATEGORY,
    Flags,
    Floats,
    Rows,
    Sums,
    Tally,
    Trial,
    chances,
    local_hours_passed,
    nobody,
    purchase_chance,
    walk,
)
from simulators.contacts import delay_seconds
from simulators.world import SyntheticWorld

SENT_AFTER_HOURS: Final = 24 + 9
"""The first opportunity from Tuesday at nine."""
DAYS: Final = 14
MAILS: Final = ("general/email", "category/email")
CELLS: Final = {
    **{name: 3 for name in ("visits", "purchases", "n", "visits_fit", "fit")},
    **{name: 3 for name in ("visits_unfit", "unfit", "spend", "log", "log2", "buyers")},
}


@dataclass(slots=True)
class Weeks:
    """What users did in the two weeks from the mail on, and would have done seeing it; [N]."""

    sent_at: Floats
    """Seconds; infinite before."""
    unseen: Floats
    """Logarithm of the chance not to have looked around."""
    seen: Floats
    """The same had a mail been seen, which moves looking around forward."""
    bought: Floats
    """Purchases."""
    mails: dict[str, Floats]
    """By mail: chances to see, to click once seen, and to buy, float64 [N, 3]."""


def mail_trial(trial: Trial) -> Sums:
    """Visits, purchases and spend by arm (none, general, category); cells are arms [3]."""
    world = trial.world()
    nothing = np.zeros(trial.users)
    weeks = Weeks(
        np.full(trial.users, np.inf),
        nothing.copy(),
        nothing.copy(),
        nothing.copy(),
        {mail: np.zeros((trial.users, 3)) for mail in MAILS},
    )
    for moment, active in walk(world, DAYS + 3):
        due = active & np.isinf(weeks.sent_at)
        due &= local_hours_passed(world, moment) >= SENT_AFTER_HOURS
        _send(world, moment, weeks, np.flatnonzero(due))
        followed = active & (moment.now < weeks.sent_at + DAYS * DAY) & ~np.isinf(weeks.sent_at)
        _look(world, moment, weeks, followed)
        step = world.step(nobody(world), active)
        weeks.bought += purchase_chance(world, step, followed)
    return _by_arm(world, weeks)


def _send(world: SyntheticWorld, moment: Moment, weeks: Weeks, rows: Rows) -> None:
    """Note what each mail would do, in place."""
    weeks.sent_at[rows] = moment.now[rows]
    for mail in MAILS:
        funnel: Chances = chances(world, rows, mail)
        weeks.mails[mail][rows] = np.column_stack([funnel.see, funnel.click, funnel.sell])


def _look(world: SyntheticWorld, moment: Moment, weeks: Weeks, followed: Flags) -> None:
    """Note the chances to look around, in place; after a mail was seen they are lower for a day."""
    looking = np.where(followed, world.behaviour.browsing(world.hidden, moment), 0.0)
    moved = moment.now < weeks.sent_at + 24 * HOUR
    weeks.unseen += np.log1p(-looking)
    weeks.seen += np.log1p(-looking * np.where(moved, world.preset.displaced, 1.0))


def _by_arm(world: SyntheticWorld, weeks: Weeks) -> Sums:
    """Sums over the users, as the study counts them."""
    n = len(weeks.bought)
    tally, everybody = Tally(n, CELLS), np.arange(n)
    taste = world.traits.category_shares[:, world.preset.categories.index(CATEGORY)]
    in_time = _bought_in_time(world)
    visited = 1 - np.exp(weeks.unseen)
    for arm, mail in enumerate((None, *MAILS)):
        visit, buy = visited, weeks.bought
        if mail is not None:
            see, click, sell = weeks.mails[mail].T
            drawn = see * click + see * (1 - click) * (1 - np.exp(weeks.seen))
            visit = drawn + (1 - see) * visited
            buy = buy + (1 - buy) * see * click * sell * in_time
        tally.add("visits", everybody, arm, visit)
        tally.add("purchases", everybody, arm, buy)
        tally.add("n", everybody, arm)
        for name, weight in (("fit", taste), ("unfit", 1 - taste)):
            tally.add(f"visits_{name}", everybody, arm, visit * weight)
            tally.add(name, everybody, arm, weight)
        _spend(world, tally, arm, buy)
    return tally.sums


def _bought_in_time(world: SyntheticWorld) -> float:
    """Share of a mail's purchases that are made before the two weeks are over."""
    delays = delay_seconds(world.preset, (np.arange(4096) + 0.5) / 4096)
    return float((delays < DAYS * DAY).mean())


def _spend(world: SyntheticWorld, tally: Tally, arm: int, buyers: Floats) -> None:
    """Spend of the buyers, of its logarithm and of that squared, in place."""
    rows, draws = np.arange(len(buyers)), 32
    tally.add("buyers", rows, arm, buyers)
    for draw in (np.arange(draws) + 0.5) / draws:
        cents = world.baskets.price(world.traits.basket_cents, np.full(len(rows), draw))
        paid = np.maximum(cents, 1) / 100
        tally.add("spend", rows, arm, buyers / draws * paid)
        tally.add("log", rows, arm, buyers / draws * np.log(paid))
        tally.add("log2", rows, arm, buyers / draws * np.log(paid) ** 2)
