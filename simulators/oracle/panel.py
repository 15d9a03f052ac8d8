"""Whom the oracle follows: a sample of individuals, drawn by archetype, with copies of each.

A copy has the individual's traits and luck of its own, so that what is attained can be compared
with what was planned for that individual.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from envs.catalogue import Catalogue
from simulators.draws import TRAITS, Luck, user_keys
from simulators.oracle.attained import Users
from simulators.population import Traits
from simulators.presets import Preset
from simulators.value import CONFIDENCE

SEARCHED: Final = 100_000
"""Users among whom the first of each archetype are looked for."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over copies with its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Panel:
    """Individuals and their copies; row i * copies + j is copy j of individual i."""

    persons: Traits
    """I rows."""
    shares: NDArray[np.float64]
    """Weight of each individual, float64 [I]; they sum to 1."""
    copies: int

    @classmethod
    def drawn(cls, preset: Preset, catalogue: Catalogue, seed: int, each: int, copies: int) -> Self:
        """The first ``each`` users of every archetype, weighted by the archetype's share."""
        ids = np.arange(SEARCHED)
        luck = Luck(user_keys(seed, ids), np.full(SEARCHED, TRAITS))
        traits = Traits.drawn(preset, luck, catalogue)
        kinds = range(len(preset.archetypes))
        first = [np.flatnonzero(traits.archetype == kind)[:each] for kind in kinds]
        weights = np.asarray([kind.weight for kind in preset.archetypes])
        shares = np.concatenate(
            [
                np.full(len(rows), weight) / len(rows)
                for rows, weight in zip(first, weights, strict=True)
            ]
        )
        return cls(traits.take(np.concatenate(first)), shares / shares.sum(), copies)

    def __len__(self) -> int:
        return len(self.shares)

    def part(self, individuals: NDArray[np.int64]) -> Users:
        """The copies of some individuals, in their order."""
        person = np.repeat(individuals, self.copies)
        ids = person * self.copies + np.tile(np.arange(self.copies), len(individuals))
        return Users(ids, self.persons.take(person))

    def only(self, individuals: NDArray[np.int64]) -> Panel:
        """Some individuals, in their proportions."""
        shares = self.shares[individuals]
        return Panel(self.persons.take(individuals), shares / shares.sum(), self.copies)

    def rows_of(self, individual: int) -> NDArray[np.int64]:
        """The copies of one individual."""
        return individual * self.copies + np.arange(self.copies)

    def figure(self, values: NDArray[np.float64]) -> Figure:
        """The weighted mean of [I * copies] values; the interval is that of the copies' luck.

        The individuals are those they are: it says nothing of what others would have been worth.
        """
        copies = values.reshape(len(self), self.copies)
        mean = float(self.shares @ copies.mean(axis=1))
        error = float(np.sqrt(self.shares**2 @ (copies.var(axis=1, ddof=1) / self.copies)))
        half = float(norm.ppf((1 + CONFIDENCE) / 2)) * error
        return Figure(mean, mean - half, mean + half)
