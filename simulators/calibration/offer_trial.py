"""How deep an offer is, and how long a redemption takes: Karlan and List, Dominick's, O2O."""

from __future__ import annotations

from typing import Final

import numpy as np

from envs.clock import DAY, HOUR
from simulators.calibration.trials import (
    Sums,
    Tally,
    Trial,
    chances,
    local_hours_passed,
    nobody,
    walk,
)
from simulators.contacts import delay_seconds

ASKED_AFTER_HOURS: Final = 24 + 9
"""The first opportunity from Tuesday at nine."""
OFFERS: Final = ("general", "off5", "match1", "match2", "match3")
LAGS: Final = 31
"""Days to the redemption that are told apart: 0 to 29, and more."""
SHOP_HOURS: Final = (9, 21)
"""Local hours at which coupons are fetched, each as likely; assumed."""


def depth_trial(trial: Trial) -> Sums:
    """One mail with an offer: chance to sell by offer, cells as in ``OFFERS`` [5]."""
    world = trial.world()
    tally = Tally(trial.users, {"sale": len(OFFERS), "n": len(OFFERS)})
    asked = np.zeros(trial.users, np.bool_)
    for moment, active in walk(world, 3):
        due = active & ~asked & (local_hours_passed(world, moment) >= ASKED_AFTER_HOURS)
        rows = np.flatnonzero(due)
        for cell, offer in enumerate(OFFERS):
            tally.add("sale", rows, cell, chances(world, rows, f"{offer}/email").sale())
            tally.add("n", rows, cell)
        asked |= due
        world.step(nobody(world), active)
    return tally.sums


def lag_trial(trial: Trial) -> Sums:
    """Redemptions by days passed since midnight before the coupon; cells are days [LAGS]."""
    tally, everybody = Tally(trial.users, {"lag": LAGS}), np.arange(trial.users)
    # every user has one fetched coupon; hours and delays go through all their chances evenly
    even = (everybody * 0.6180339887498949 + 0.5) % 1.0
    fetched = (SHOP_HOURS[0] + even * (SHOP_HOURS[1] - SHOP_HOURS[0])) * HOUR
    delay = delay_seconds(trial.preset, (everybody + 0.5) / trial.users)
    shuffled = delay[np.argsort((everybody * 0.7548776662466927) % 1.0, kind="stable")]
    lag = np.minimum((fetched + shuffled) // DAY, LAGS - 1)
    tally.add("lag", everybody, lag)
    return tally.sums
