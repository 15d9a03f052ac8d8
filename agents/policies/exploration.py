"""How an action is chosen from what is believed of each: the rule, its exact row, its draw.

NumPy only: the runner that explores in training and the service that decides draw from one rule.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from agents.policies.quadrature import best_probabilities
from envs.decisions import draw_actions

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
RuleName = Literal["thompson", "ucb", "squarecb", "greedy"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of choice: a row of probabilities from means, deviations and the mask.

    All take believed means and standard deviations of the actions' rewards, [N, A] each, in the
    reward's unit, and the allowed actions, bool [N, A], at least one a row.
    """

    needs_deviations: ClassVar[bool] = True
    """Whether deviations matter; where not, zeros will do."""

    floor: float = 0.01
    """Share of decisions drawn uniformly over the allowed actions, 0 to 1."""

    def __post_init__(self) -> None:
        """Refuse a number out of its range."""
        for item in fields(self):
            value = getattr(self, item.name)
            if not 0.0 <= value < np.inf or (item.name == "floor" and value > 1.0):
                raise ValueError(f"{item.name} is {value}")

    def probabilities(self, means: NDArray[Any], deviations: NDArray[Any], mask: Bools) -> Floats:
        """The chance of each action, float64 [N, A]; 0 where masked, rows sum to 1."""
        row = self._row(means.astype(np.float64), deviations.astype(np.float64), mask)
        explored: Floats = mask * (self.floor / mask.sum(axis=1, keepdims=True))
        return (1.0 - self.floor) * row + explored

    def draw(
        self,
        means: NDArray[Any],
        deviations: NDArray[Any],
        mask: Bools,
        rng: np.random.Generator,
    ) -> NDArray[np.int64]:
        """One action a row, as likely as ``probabilities`` says, int64 [N]."""
        row = self.probabilities(means, deviations, mask)
        return draw_actions(row, rng.random(len(row)))

    def sharpened(self, certainty: float) -> Self:
        """The rule for beliefs of this certainty, decisions a feature over noise: see subclass."""
        return self

    def settings(self) -> dict[str, float]:
        """Its numbers by name, by which ``rule_of`` knows it again."""
        return asdict(self)

    def _row(self, means: Floats, deviations: Floats, mask: Bools) -> Floats:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Thompson(Rule):
    """An action as likely as it is to be the best one (Thompson 1933)."""

    spread: float = 1.0
    """Factor on every standard deviation: 1 is Thompson sampling, below 1 is greedier."""

    def draw(
        self,
        means: NDArray[Any],
        deviations: NDArray[Any],
        mask: Bools,
        rng: np.random.Generator,
    ) -> NDArray[np.int64]:
        """The best of one drawn score an action: the same chances without their quadrature."""
        noise = rng.standard_normal(means.shape, dtype=np.float32)
        best = np.where(mask, means + self.spread * deviations * noise, -np.inf).argmax(axis=1)
        anything = np.where(mask, rng.random(mask.shape, dtype=np.float32), -1.0).argmax(axis=1)
        drawn: NDArray[np.int64] = np.where(rng.random(len(best)) < self.floor, anything, best)
        return drawn

    def _row(self, means: Floats, deviations: Floats, mask: Bools) -> Floats:
        tiny = 1e-9 * (1.0 + np.abs(means).max(axis=1, keepdims=True))  # a Gaussian has a width
        return best_probabilities(means, np.maximum(self.spread * deviations, tiny), mask)


@dataclass(frozen=True, slots=True)
class UpperBound(Rule):
    """The action whose mean and ``alpha`` deviations are the most; ties share (Li et al. 2010)."""

    alpha: float = 1.0
    """Deviations above the mean that are hoped for."""

    def _row(self, means: Floats, deviations: Floats, mask: Bools) -> Floats:
        return _largest(means + self.alpha * deviations, mask)


@dataclass(frozen=True, slots=True)
class Greedy(Rule):
    """The action with the largest mean; ties share. Its floor is the epsilon of epsilon-greedy."""

    needs_deviations: ClassVar[bool] = False

    def _row(self, means: Floats, deviations: Floats, mask: Bools) -> Floats:
        return _largest(means, mask)


@dataclass(frozen=True, slots=True)
class InverseGap(Rule):
    """SquareCB: an action as rare as it seems worse than the best (Foster and Rakhlin 2020).

    Of K allowed actions one that seems worse by a gap has the probability 1 / (K + gamma gap), the
    best one the rest. Their analysis wants gamma to grow as the root of the decisions over the
    squared error of all predictions: about sqrt(n / d) / noise, n decisions, d features.
    """

    needs_deviations: ClassVar[bool] = False

    gamma: float = 1.0
    """Per unit of reward, or per unit of certainty until ``sharpened``."""

    def sharpened(self, certainty: float) -> Self:
        """With gamma times sqrt(n / d) / noise: how certain the means are, per unit of reward."""
        return replace(self, gamma=self.gamma * certainty)

    def _row(self, means: Floats, deviations: Floats, mask: Bools) -> Floats:
        allowed = mask.sum(axis=1, keepdims=True)
        known = np.where(mask, means, -np.inf)
        best = known.argmax(axis=1)[:, None]
        gaps = np.take_along_axis(known, best, axis=1) - np.where(mask, means, 0.0)
        row: Floats = np.where(mask, 1.0 / (allowed + self.gamma * np.where(mask, gaps, 0.0)), 0.0)
        np.put_along_axis(row, best, 0.0, axis=1)
        np.put_along_axis(row, best, 1.0 - row.sum(axis=1, keepdims=True), axis=1)
        return row


def _largest(scores: Floats, mask: Bools) -> Floats:
    known = np.where(mask, scores, -np.inf)
    best = known == known.max(axis=1, keepdims=True)
    row: Floats = best / best.sum(axis=1, keepdims=True)
    return row


RULES: dict[RuleName, type[Rule]] = {
    "thompson": Thompson,
    "ucb": UpperBound,
    "squarecb": InverseGap,
    "greedy": Greedy,
}


def rule_of(settings: dict[str, float]) -> Rule:
    """The rule with these numbers: each has other names; ValueError when none has them."""
    for kind in RULES.values():
        if {item.name for item in fields(kind)} == set(settings):
            return kind(**settings)
    raise ValueError(f"no rule has the settings {sorted(settings)}")
