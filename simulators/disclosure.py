"""What a world tells of the hidden need, where its preset says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.decisions import EventKind, Events
from envs.errors import InputError
from simulators.hidden import Hidden, stage
from simulators.presets import Preset

Rows = NDArray[np.int64]

UNNAMED: Final = ("idle", "idle_served", "ripe_served")
"""Words of the stages that have no category, in their order."""


@dataclass(frozen=True, slots=True)
class Disclosure:
    """Tells the stage of the need as an attribute of the catalogue.

    So what decides is seen, and a policy that remembers nothing can be the best one.
    """

    column: int
    """Of the attribute."""
    width: int
    """Number of attributes, J."""
    told: NDArray[np.int8]
    """The stage that was told last, by row, int8 [N]."""

    @classmethod
    def of(cls, preset: Preset, catalogue: Catalogue, n: int) -> Self | None:
        """For ``n`` rows; None where the preset keeps the need to itself.

        Raises:
            InputError: the catalogue has no attribute for it.
        """
        name = preset.need_told
        if name is None:
            return None
        words = (*UNNAMED, *preset.categories)
        for column, attribute in enumerate(catalogue.attributes):
            if attribute.name == name and attribute.values == words:
                return cls(column, len(catalogue.attributes), np.zeros(n, np.int8))
        raise InputError(
            f"preset {preset.name!r} tells the need: give catalogue {catalogue.name!r} an "
            f"attribute {name}, a choice of {', '.join(words)}"
        )

    def introduce(
        self, rows: Rows, hidden: Hidden, described: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """What is told of new persons, float32 [M, J], with the stage of their need."""
        self.told[rows] = stage(hidden.take(rows))
        values = self._blank(len(rows)) if described is None else described
        values[:, self.column] = self.told[rows]
        return values

    def news(self, hidden: Hidden, active: NDArray[np.bool_], then: NDArray[np.int32]) -> Events:
        """One DESCRIBED event for each active row whose stage has changed, at ``then``, [N]."""
        now = stage(hidden)
        rows = np.flatnonzero(active & (now != self.told))
        self.told[rows] = now[rows]
        values = self._blank(len(rows))
        values[:, self.column] = now[rows]
        return Events.of(rows, EventKind.DESCRIBED, then[rows], attributes=values)

    def _blank(self, n: int) -> NDArray[np.float32]:
        return np.full((n, self.width), np.nan, np.float32)
