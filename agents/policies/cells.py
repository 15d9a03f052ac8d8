"""Cells: what a policy sees of users, as one number each, where all that decides is discrete.

A cell is a scene, an hour of the day, the share of each cap in use, the consents, and the value of
each attribute. Counts, recencies and the kind of day are left out: a table over them would have
too few visits to each cell to learn from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.encoding import RHYTHM, Encoding
from envs.errors import InputError

HOURS: Final = 24
MOST_VALUES: Final = 200_000
"""Cells times actions: as float32 they have to stay below the megabyte of a served policy."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """A numbering: the features times whole numbers, and the hour that two of them encode."""

    factors: NDArray[np.float64]
    """What one unit of each feature adds to the number, float64 [D]."""
    hour_sine: int
    """Feature that holds the sine of the hour, its cosine comes next; -1: the hour has no say."""
    hour_factor: int
    """What one hour adds to the number."""
    size: int
    """How many cells there are."""

    @classmethod
    def of(cls, catalogue: Catalogue) -> Self:
        """The cells of a catalogue.

        Raises:
            InputError: an attribute is a number, or a table would have too many values.
        """
        names = {name: column for column, name in enumerate(Encoding(catalogue).names)}
        factors, size = np.zeros(len(names)), 1
        for levels, parts in _digits(catalogue):
            for name, level in parts.items():
                factors[names[name]] = level * size
            size *= levels
        cells = cls(factors, names[RHYTHM[0]], size, size * HOURS)
        if cells.size * len(catalogue.actions) > MOST_VALUES:
            raise InputError(
                f"catalogue {catalogue.name!r} has {cells.size:,} cells times "
                f"{len(catalogue.actions)} actions, a table holds {MOST_VALUES:,} values: use q"
            )
        return cells

    def number(self, observations: NDArray[np.float32]) -> NDArray[np.int64]:
        """The cell of each observation [N, D], int64 [N]."""
        number: NDArray[np.int64] = np.rint(observations @ self.factors).astype(np.int64)
        if self.hour_sine >= 0:
            sine, cosine = observations[:, self.hour_sine], observations[:, self.hour_sine + 1]
            hour = np.rint(np.arctan2(sine, cosine) * (HOURS / 2 / np.pi)).astype(np.int64)
            number += hour % HOURS * self.hour_factor
        return number


def _digits(catalogue: Catalogue) -> list[tuple[int, dict[str, int]]]:
    """Of each part of a cell how many values it has, and what a unit of its features stands for."""
    scenes = [scene.name for scene in catalogue.scenes]
    digits = [(len(scenes), {f"scene={name}": index for index, name in enumerate(scenes)})]
    encoded = Encoding(catalogue).names
    for cap in catalogue.caps:
        if f"cap_used:{cap.name}" in encoded:
            digits.append((cap.limit + 1, {f"cap_used:{cap.name}": cap.limit}))
    digits += [(2, {f"consent:{channel.name}": 1}) for channel in catalogue.channels]
    for attribute in catalogue.attributes:
        if attribute.kind == "number":
            raise InputError(
                f"attribute {attribute.name!r} of catalogue {catalogue.name!r} is a number, a "
                "table only tells choices apart: use q"
            )
        values = [f"attribute={attribute.name}:{value}" for value in attribute.values]
        digits.append((len(values) + 1, {name: code for code, name in enumerate(values, start=1)}))
    return digits
