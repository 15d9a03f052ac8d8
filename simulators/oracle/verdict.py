"""What policies are worth beside silence and the optimum, from paired simulations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.oracle.panel import Figure, Panel

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Played:
    """Values of all rows of a panel under each policy, and what was planned for its individuals."""

    panel: Panel
    planned: Floats
    """Optimum by dynamic programming, cents a user-week, float64 [I]."""
    silence: Floats
    """With no contact at all, exact, float64 [I]."""
    values: Mapping[str, Floats]
    """Simulated, by policy, float64 [I * copies]; "silence" and "attained" are among them."""

    def value_silence(self) -> float:
        """Exact."""
        return float(self.panel.shares @ self.silence)

    def value_optimal(self) -> float:
        """As planned."""
        return float(self.panel.shares @ self.planned)

    def gain(self, name: str) -> Floats:
        """What a policy earns beyond silence with the same luck, [I * copies]."""
        return self.values[name] - self.values["silence"]

    def value(self, name: str) -> Figure:
        """Silence's exact value and the policy's paired gain: far less noise than its mean."""
        gain, base = self.panel.figure(self.gain(name)), self.value_silence()
        return Figure(base + gain.mean, base + gain.low, base + gain.high)

    def share(self, name: str, of: str) -> Figure:
        """Share of another policy's gain over silence, with the interval of a ratio of means."""
        return self._ratio(self.gain(name), self.gain(of))

    def error(self) -> Figure:
        """Planned less attained, as a share of the attained gain over silence.

        The plan's gain is paired with the simulated one through silence, which is known exactly.
        """
        planned = np.repeat(self.planned - self.silence, self.panel.copies)
        return self._ratio(planned - self.gain("attained"), self.gain("attained"))

    def _ratio(self, part: Floats, whole: Floats) -> Figure:
        """Mean of one over mean of the other, linearised (delta method)."""
        figure = self.panel.figure
        over, under = figure(part).mean, figure(whole).mean
        ratio = over / under
        spread = figure((part - ratio * whole) / under)
        return Figure(ratio, ratio + spread.low, ratio + spread.high)
