"""Rounds of a contextual bandit: what was seen, what was allowed, what an action earns.

* ``world_rounds``: from the synthetic world, where the mean of every action is known. People are
  followed under a fixed rule (half silence, half any allowed action), so that all players meet the
  same contexts; a played contact is not carried over. An action earns its immediate mean beyond
  silence, given the hidden state that no player sees: that is the noise.
* ``log_rounds``: from a real randomised log, by replay: a round is posed, and answered only where
  the player takes the action that the log took. Nothing is invented and no model stands between
  (turning a classification table into rewards would do both). Rows are thinned first so that
  every action is equally likely: what is answered is then distributed as the player plays.
  Reference: Li, Chu, Langford and Wang, WSDM 2011.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.real_logs import RealLog
from envs.encoding import Encoding
from envs.rules import Rules
from simulators.world import SyntheticWorld

PEOPLE = 100
"""Followed side by side in the world."""
BETWEEN = 5
"""Opportunities of a person that are passed over between two rounds."""
LOW, HIGH = 0.01, 0.99
"""Quantiles of the reward that players get as 0 and 1."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """Rounds in the order in which they are posed."""

    name: str
    observations: NDArray[np.float32]
    """[T, D]"""
    mask: NDArray[np.bool_]
    """[T, A]"""
    rewards: NDArray[np.float64]
    """Of every action where it is known, else NaN, [T, A]."""
    means: NDArray[np.float64] | None
    """Conditional mean of every action, [T, A]; None where only a log answers."""
    scale: tuple[float, float]
    """What players get as 0 and 1: rewards are (reward - low) / (high - low) for them."""
    unit: str

    def __len__(self) -> int:
        return len(self.mask)

    def answers(self, rows: NDArray[np.int64], actions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Rewards in the players' scale, NaN where unknown, float64 [N]."""
        low, high = self.scale
        answers: NDArray[np.float64] = (self.rewards[rows, actions] - low) / (high - low)
        return answers

    def regret(
        self, rows: NDArray[np.int64], chances: NDArray[np.float64], actions: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Mean of the best allowed action less that of the row of chances played, [N].

        Where means are unknown: minus the reward of the action taken, NaN where it is unknown.
        """
        if self.means is None:
            earned: NDArray[np.float64] = self.rewards[rows, actions]
            return -earned
        best = np.where(self.mask[rows], self.means[rows], -np.inf).max(axis=1)
        regret: NDArray[np.float64] = best - (chances * self.means[rows]).sum(axis=1)
        return regret


def world_rounds(rounds: int, seed: int, preset: str = "default") -> Rounds:
    """So many rounds of the synthetic world.

    Args:
        rounds: T, rounded up to a multiple of the people followed.
        seed: of the world and of the rule under which people are followed.
        preset: of the world.
    """
    world, rng = SyntheticWorld(PEOPLE, seed, preset), np.random.default_rng(seed)
    rules, encoding = Rules(world.catalogue), Encoding(world.catalogue)
    seen, allowed, gains = [], [], []
    for tick in range(-(-rounds // PEOPLE) * BETWEEN):
        moment = world.moment()
        mask = ~rules.refused(world.users, moment, world.budget_left())
        if tick % BETWEEN == BETWEEN - 1:
            seen.append(encoding.encode(world.users, moment, 0.0))
            allowed.append(mask)
            gains.append(world.action_gains())
        any_allowed = np.where(mask, rng.random(mask.shape), -1.0).argmax(axis=1)
        step = world.step(np.where(rng.random(PEOPLE) < 0.5, 0, any_allowed))
        gone = np.flatnonzero(step.departed)
        if len(gone):
            world.restart(gone, gone + PEOPLE * (tick + 1))
    means, mask = np.concatenate(gains), np.concatenate(allowed)
    return Rounds(
        f"world, {preset}", np.concatenate(seen), mask, means, means, _scale(means[mask]), "cents"
    )


def log_rounds(log: RealLog, rounds: int, seed: int) -> Rounds:
    """So many posed rounds of a real log, in an order drawn from the seed.

    The log is posed again from its beginning, in another order, when it is used up.
    """
    rng = np.random.default_rng(seed)
    rows = np.empty(0, np.int64)
    while len(rows) < rounds:
        kept = rng.random(len(log.actions)) < log.propensities.min() / log.propensities
        rows = np.concatenate([rows, rng.permutation(np.flatnonzero(kept))])
    rows = rows[:rounds]
    rewards = np.full((rounds, log.arms), np.nan)
    rewards[np.arange(rounds), log.actions[rows]] = log.rewards[rows]
    mask = np.ones(rewards.shape, np.bool_)
    return Rounds(log.name, log.observations[rows], mask, rewards, None, (0.0, 1.0), log.unit)


def _scale(rewards: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(rewards, [LOW, HIGH])
    return float(low), float(high)
