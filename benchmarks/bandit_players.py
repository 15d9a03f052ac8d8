"""Who plays the rounds: our linear beliefs with each rule, and Vowpal Wabbit's explorations."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from agents.learning.posterior import LinearPosterior
from agents.policies.exploration import RULES, RuleName
from benchmarks.rounds import Rounds
from envs.decisions import draw_actions

ALONE: Final = 100
"""Decisions that are timed one at a time, when all has been learnt."""
TOGETHER: Final = 50
"""Decisions that ours takes before it learns from them; Vowpal Wabbit learns from each at once."""
NOISE: Final = 0.25
"""Of a reward, believed at first, in the players' scale."""
Chances = NDArray[np.float64]


class Player(Protocol):
    """Plays rounds in order."""

    together: int
    """Rounds that are decided before their answers are learnt from."""

    def decide(self, rows: NDArray[np.int64]) -> Chances:
        """The chance of every action, [N, A]."""

    def learn(
        self, rows: NDArray[np.int64], actions: NDArray[np.int64],
        rewards: NDArray[np.float64], chances: NDArray[np.float64],
    ) -> None:  # fmt: skip
        """Learn from answers, [N] each."""


class Ours:
    """Linear beliefs about each action, and a rule of choice."""

    together = TOGETHER

    def __init__(self, rounds: Rounds, rule: RuleName, settings: dict[str, float]) -> None:
        """Begins with the prior."""
        width, arms = rounds.observations.shape[1], rounds.mask.shape[1]
        numbers = dict(settings)
        self._rounds = rounds
        self._posterior = LinearPosterior(width, arms, ridge=numbers.pop("ridge"), noise=NOISE)
        self._rule = RULES[rule](**numbers)
        self._policy = self._posterior.policy(self._rule)

    def decide(self, rows: NDArray[np.int64]) -> Chances:
        """The chance of every action, [N, A]."""
        return self._policy.probabilities(self._rounds.observations[rows], self._rounds.mask[rows])

    def learn(
        self, rows: NDArray[np.int64], actions: NDArray[np.int64],
        rewards: NDArray[np.float64], chances: NDArray[np.float64],
    ) -> None:  # fmt: skip
        """Learn from answers, [N] each, and have the policy know of them."""
        self._posterior.learn(self._rounds.observations[rows], actions, rewards)
        self._policy = self._posterior.policy(self._rule)


class VowpalWabbit:
    """``--cb_explore_adf``: one weight for each action and feature, as ours has."""

    together = 1

    def __init__(self, texts: list[list[str]], options: str, arms: int, seed: int) -> None:
        """Begins with a fresh workspace.

        Args:
            texts: lines of each round, see ``as_text``.
            options: of the exploration and of the learning.
            arms: number of actions, A.
            seed: of its own draws.
        """
        from vowpalwabbit import Workspace

        self._texts, self._arms = texts, arms
        self._workspace: Any = Workspace(
            f"--cb_explore_adf {options} -q sa --ignore_linear s --quiet --random_seed {seed + 1}"
        )

    def decide(self, rows: NDArray[np.int64]) -> Chances:
        """The chance of every action, [N, A]."""
        chances = np.zeros((len(rows), self._arms))
        for place, row in enumerate(rows):
            lines = self._texts[row]
            found = self._workspace.predict("\n".join(lines))
            chances[place, _offered(lines)] = found
        chances /= chances.sum(axis=1, keepdims=True)  # they are float32
        return chances

    def learn(
        self, rows: NDArray[np.int64], actions: NDArray[np.int64],
        rewards: NDArray[np.float64], chances: NDArray[np.float64],
    ) -> None:  # fmt: skip
        """Learn from answers, [N] each: costs are one minus the reward."""
        for row, action, reward, chance in zip(rows, actions, rewards, chances, strict=True):
            lines = list(self._texts[row])
            place = lines.index(f"|a {action}")
            lines[place] = f"0:{1.0 - reward:.6g}:{chance:.6g} {lines[place]}"
            self._workspace.learn("\n".join(lines))


def as_text(rounds: Rounds) -> list[list[str]]:
    """Every round in Vowpal Wabbit's format: the shared line, then one for each allowed action."""
    texts = []
    for seen, mask in zip(rounds.observations, rounds.mask, strict=True):
        features = " ".join(f"{i}:{seen[i]:.5g}" for i in np.flatnonzero(seen))
        texts.append([f"shared |s {features}", *(f"|a {a}" for a in np.flatnonzero(mask))])
    return texts


def _offered(lines: list[str]) -> list[int]:
    return [int(line.removeprefix("|a ")) for line in lines[1:]]


@dataclass(slots=True)
class Game:
    """What came of a player, round by round."""

    regret: NDArray[np.float64]
    """Of each round, NaN where it was not answered, [T]."""
    decide_us: float = 0.0
    """Processor time of a decision, in the batches that the player takes, microseconds."""
    alone_us: float = 0.0
    """The same of a decision by itself."""
    learn_us: float = 0.0
    """Processor time of learning from a decision, microseconds."""
    learnt: int = 0


def play(rounds: Rounds, player: Player, seed: int) -> Game:
    """Let a player play all rounds; the luck of its draws belongs to the round."""
    luck = np.random.default_rng(seed).random(len(rounds))
    game = Game(np.full(len(rounds), np.nan))
    deciding = learning = 0.0
    for start in range(0, len(rounds), player.together):
        rows = np.arange(start, min(start + player.together, len(rounds)))
        begun = time.process_time()
        chances = player.decide(rows)
        decided = time.process_time()
        actions = draw_actions(chances, luck[rows])
        answers = rounds.answers(rows, actions)
        game.regret[rows] = rounds.regret(rows, chances, actions)
        known = ~np.isnan(answers)
        rows, actions, chances = rows[known], actions[known], chances[known]
        taken = chances[np.arange(len(rows)), actions]
        learn_begun = time.process_time()
        if len(rows):
            player.learn(rows, actions, answers[known], taken)
        learning += time.process_time() - learn_begun
        deciding += decided - begun
        game.learnt += len(rows)
    game.decide_us = 1e6 * deciding / len(rounds)
    game.learn_us = 1e6 * learning / max(1, game.learnt)
    game.alone_us = 1e6 * _alone(player, min(ALONE, len(rounds)))
    return game


def _alone(player: Player, decisions: int) -> float:
    """Seconds of processor time that a decision takes when nothing is decided with it."""
    begun = time.process_time()
    for row in range(decisions):
        player.decide(np.arange(row, row + 1))
    return (time.process_time() - begun) / decisions
