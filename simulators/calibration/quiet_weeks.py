"""Weeks without a contact: when people look around and buy, what, and what contacts would do.

Replays what logs of a shop show (Complete Journey, Taobao), and asks of each opportunity how a
coupon would do there (the in-vehicle survey by hour, O2O by distance).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from simulators.calibration.sources import LARGEST_CENTS
from simulators.calibration.trials import (
    Floats,
    Sums,
    Tally,
    Trial,
    chances,
    local_hour,
    nobody,
    purchase_chance,
    walk,
)
from simulators.world import SyntheticWorld

DAYS: Final = 21
SHOPS: Final = ("mall", "supermarket")
"""Scenes at distance 0 of a shop."""
DRAWS: Final = 64
"""Equally likely baskets of each user that stand for all."""
CELLS: Final = {"purchases": 24, "views": 24, "taken": 24, "asked": 24, "sale": 2, "sent": 2}


def quiet_weeks(trial: Trial) -> Sums:
    """Views, purchases and answers by hour [24]; sales elsewhere and in a shop [2]; baskets."""
    world, tally = trial.world(), Tally(trial.users, CELLS)
    names = [scene.name for scene in world.catalogue.scenes]
    places = world.catalogue.channels[world.catalogue.channel_index("mini_program")].scenes
    shop, reached = np.isin(names, SHOPS), np.isin(names, places or names)
    bought = np.zeros(trial.users)
    for moment, active in walk(world, DAYS):
        hour, rows = local_hour(moment), np.flatnonzero(active)
        tally.add("views", rows, hour[rows], world.behaviour.browsing(world.hidden, moment)[rows])
        asked = rows[moment.scene[rows] != names.index("night")]
        taken = chances(world, asked, "general/in_app")
        tally.add("taken", asked, hour[asked], taken.see * taken.click)
        tally.add("asked", asked, hour[asked])
        sent = rows[reached[moment.scene[rows]]]
        sold = chances(world, sent, "off20/mini_program").sale()
        tally.add("sale", sent, shop[moment.scene[sent]], sold)
        tally.add("sent", sent, shop[moment.scene[sent]])
        chance = purchase_chance(world, world.step(nobody(world), active), active)
        tally.add("purchases", rows, hour[rows], chance[rows])
        bought += chance
    return tally.sums | _baskets(world, bought)


def _baskets(world: SyntheticWorld, bought: Floats) -> Sums:
    """Baskets by cents [LARGEST_CENTS + 1], spend [1] in currency units, years followed [1].

    ``bought`` are the purchases of each user, float64 [N].
    """
    tally = Tally(len(bought), {"spend": 1, "years": 1, "paid": LARGEST_CENTS + 1})
    everybody = np.arange(len(bought))
    tally.add("years", everybody, 0, DAYS / 365.25)
    for draw in (np.arange(DRAWS) + 0.5) / DRAWS:
        cents = world.baskets.price(world.traits.basket_cents, np.full(len(bought), draw))
        tally.add("spend", everybody, 0, bought * cents / 100 / DRAWS)
        tally.add("paid", everybody, np.minimum(cents, LARGEST_CENTS), bought / DRAWS)
    return tally.sums
