"""Rivals at their best: what can be chosen is chosen on users of their own, never on those judged.

All candidates play side by side as rows of one world, each with the same users and luck, under all
rules.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from simulators.attained import Player, Users, play
from simulators.presets import Preset
from simulators.rivals import Constant, Myopic

Floats = NDArray[np.float64]

TUNING_SEED: Final = 7919
"""Added to the seed of the users judged."""
DAYS: Final = 50.0
"""Three quarters of the weight of an endless future lie in them."""
SEVERAL: Final = 300
"""Users on whom constants are compared."""
FEW: Final = 80
"""Users on whom prices are compared roughly."""
MANY: Final = 240
"""The same near the best."""
MARGIN_SHARES: Final = tuple(0.001 * 2.0**step for step in range(9))
"""Prices of a unit of fatigue, as shares of what a typical basket earns."""
NEARBY: Final = (0.5, 0.65, 0.8, 1.0, 1.25, 1.55, 2.0)
"""Of the best of them."""
LATER_SHARES: Final = (0.5, 0.75, 1.0, 1.25)


def best_constant(preset: Preset, catalogue: Catalogue, seed: int) -> Constant:
    """The action that is worth most when played whenever it is allowed."""
    actions = np.arange(len(catalogue.actions))
    player = Constant("constants", np.repeat(actions, SEVERAL))
    worth = _worth(preset, catalogue, seed, player, len(actions), SEVERAL)
    best = int(worth.argmax())
    return Constant("best_constant", best, catalogue.actions[best].name)


def priced_myopic(preset: Preset, catalogue: Catalogue, seed: int) -> Myopic:
    """The myopic policy with the best price of fatigue and charge for later purchases.

    Chance blurs neighbouring prices, so the second round fits a quadratic in the logarithm of the
    price and in the charge, and takes its best point among those tried.
    """
    unit = catalogue.margin * catalogue.typical_basket_cents
    wide = _grid(unit * np.asarray([0.0, *MARGIN_SHARES]), (0.0, 1.0))
    best = wide[_priced(preset, catalogue, seed, wide, FEW).argmax()]
    near = _grid(max(best[0], unit * MARGIN_SHARES[0]) * np.asarray(NEARBY), LATER_SHARES)
    worth = _priced(preset, catalogue, seed, near, MANY)
    price, share = near[_smooth(near, worth).argmax()]
    return Myopic("myopic_priced", float(price), float(share))


def _grid(prices: Floats, shares: tuple[float, ...]) -> Floats:
    """Every price with every share, [candidates, 2]."""
    return np.asarray([(price, share) for price in prices for share in shares])


def _smooth(grid: Floats, worth: Floats) -> Floats:
    """The quadratic nearest to the worths of the candidates, at the candidates."""
    price, share = np.log(grid[:, 0]), grid[:, 1]
    terms = np.stack([np.ones_like(price), price, share, price**2, price * share, share**2], axis=1)
    fitted: Floats = terms @ np.linalg.lstsq(terms, worth, rcond=None)[0]
    return fitted


def _priced(preset: Preset, catalogue: Catalogue, seed: int, grid: Floats, users: int) -> Floats:
    price, share = np.repeat(grid, users, axis=0).T
    return _worth(preset, catalogue, seed, Myopic("candidates", price, share), len(grid), users)


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
