"""Names of actions, as a caller gives them, ranked: with the catalogue's policy or without one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import SILENCE, Catalogue
from envs.rules import rule_bit

NOBODY: Final = -1


@dataclass(frozen=True, slots=True)
class Ranking:
    """Actions by name, the drawn one first, and the chance that each had of being drawn."""

    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    """Sum up to 1; 0 for what could not be drawn."""

    @property
    def chosen(self) -> str:
        """What was drawn."""
        return self.names[0]


class Names:
    """What names mean to a catalogue: an action such as off10/push, or an offer on any channel."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._offers = catalogue.action_offer
        self._action = {action.name: action.index for action in catalogue.actions}
        self._offer = {offer.name: number for number, offer in enumerate(catalogue.offers)}

    def known(self, names: Sequence[str]) -> bool:
        """Whether the catalogue knows one of them, besides silence."""
        return any(n in self._offer or (n in self._action and n != SILENCE) for n in names)

    def owners(self, names: Sequence[str], excluded: Sequence[str]) -> NDArray[np.int64]:
        """Which name stands for each action of the catalogue, ``NOBODY`` for none, int64 [A].

        An offer stands for its actions on the channels that are not named themselves.
        """
        owners = np.full(len(self._offers), NOBODY, np.int64)
        for number, name in enumerate(names):
            if name in self._action:
                owners[self._action[name]] = number
        for number, name in enumerate(names):
            if name in self._offer:
                free = (self._offers == self._offer[name]) & (owners == NOBODY)
                owners[free] = number
        out = [number for number, name in enumerate(names) if name in excluded]
        return np.where(np.isin(owners, out), NOBODY, owners)


def others_excluded(owners: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Refusals of what no name stands for, uint32 [A]; silence is never refused."""
    bits = np.where(owners == NOBODY, rule_bit("excluded"), np.uint32(0))
    bits[0] = 0
    return bits


def ranked_by_policy(
    names: Sequence[str],
    owners: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    action: int,
) -> Ranking | None:
    """The names in the order of the policy.

    Args:
        names: as the caller gave them.
        owners: which of them stands for each action, [A].
        probabilities: the row that the action was drawn from, [A].
        action: the one that was drawn.

    Returns:
        None when what was drawn has no name: silence, where nothing else was allowed.
    """
    if owners[action] == NOBODY:
        return None
    named = owners != NOBODY
    chances = np.bincount(owners[named], probabilities[named], len(names)).astype(np.float64)
    return _ordered(names, chances, int(owners[action]))


def ranked_at_random(names: Sequence[str], excluded: Sequence[str], uniform: float) -> Ranking:
    """The names with one that is not excluded, each as likely as the others, first.

    Args:
        names: as the caller gave them; one of them at least is not excluded.
        excluded: those that may not come first.
        uniform: the draw, in [0, 1).
    """
    free = [number for number, name in enumerate(names) if name not in excluded]
    chances = np.zeros(len(names))
    chances[free] = 1.0 / len(free)
    return _ordered(names, chances, free[int(uniform * len(free))])


def _ordered(names: Sequence[str], chances: NDArray[np.float64], first: int) -> Ranking:
    order = sorted(range(len(names)), key=lambda number: (number != first, -chances[number]))
    return Ranking(
        tuple(names[number] for number in order),
        tuple(float(chances[number]) for number in order),
    )
