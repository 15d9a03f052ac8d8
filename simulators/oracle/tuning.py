"""Rivals at their best: what can be chosen is chosen on users of their own, never on those judged.

All candidates play side by side as rows of one world, each with the same users and luck, under all
rules.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from simulators.oracle.attained import Player, Users, play
from simulators.oracle.rivals import Constant, Myopic
from simulators.presets import Preset

Floats = NDArray[np.float64]

TUNING_SEED: Final = 7919
"""Added to the seed of the users judged."""
DAYS: Final = 60.0
"""Five sixths of the weight of an endless future lie in them."""
SEVERAL: Final = 300
"""Users on whom constants are compared."""
FEW: Final = 200
"""Users on whom prices are compared roughly."""
MANY: Final = 800
"""The same near the best."""
MARGIN_SHARES: Final = tuple(0.001 * 2.0**step for step in range(9))
"""Prices of a unit of fatigue, as shares of what a typical basket earns."""
NEARBY: Final = (0.4, 0.55, 0.75, 1.0, 1.35, 1.8, 2.5)
"""Of the best of them."""
WHOLE: Final = 1.0
"""A sale is charged with the whole of the later purchase; tuning that share as well won nothing."""


def best_constant(preset: Preset, catalogue: Catalogue, seed: int) -> Constant:
    """The action that is worth most when played whenever it is allowed."""
    actions = np.arange(len(catalogue.actions))
    player = Constant("constants", np.repeat(actions, SEVERAL))
    worth = _worth(preset, catalogue, seed, player, len(actions), SEVERAL)
    best = int(worth.argmax())
    return Constant("best_constant", best, catalogue.actions[best].name)


def priced_myopic(preset: Preset, catalogue: Catalogue, seed: int) -> Myopic:
    """The myopic policy with the best price of fatigue, sales charged with later purchases.

    Chance blurs neighbouring prices: the first round averages them, the second fits a parabola in
    the logarithm of the price and takes its best point among those tried.
    """
    unit = catalogue.margin * catalogue.typical_basket_cents
    wide = unit * np.asarray(MARGIN_SHARES)
    worth = np.pad(_priced(preset, catalogue, seed, wide, FEW), 1, mode="edge")
    best = wide[np.convolve(worth, (0.25, 0.5, 0.25), mode="valid").argmax()]
    near = best * np.asarray(NEARBY)
    worth = _priced(preset, catalogue, seed, near, MANY)
    parabola = np.polynomial.Polynomial.fit(np.log(near), worth, 2)
    return Myopic("myopic_priced", float(near[parabola(np.log(near)).argmax()]), WHOLE)


def _priced(preset: Preset, catalogue: Catalogue, seed: int, prices: Floats, users: int) -> Floats:
    player = Myopic("candidates", np.repeat(prices, users), WHOLE)
    return _worth(preset, catalogue, seed, player, len(prices), users)


def _worth(
    preset: Preset,
    catalogue: Catalogue,
    seed: int,
    player: Player,
    candidates: int,
    users: int,
) -> Floats:
    """Mean value of each candidate, whose users are neighbouring rows, [candidates]."""
    same = Users(np.tile(np.arange(users), candidates))
    played = play(preset, catalogue, seed + TUNING_SEED, player, same, DAYS, all_rules=True)
    worth: Floats = played.value_cents.reshape(candidates, users).mean(axis=1)
    return worth
