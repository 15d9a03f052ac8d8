"""The bandits that are compared, each with four settings to choose from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from agents.policies.exploration import RuleName
from benchmarks.bandit_players import Ours, Player, VowpalWabbit
from benchmarks.rounds import Rounds

RULES: Final[Mapping[str, tuple[RuleName, tuple[dict[str, float], ...]]]] = {
    "lints": ("thompson", tuple({"floor": 0.0, "spread": s} for s in (1.0, 0.3))),
    "linucb": ("ucb", tuple({"floor": 0.0, "alpha": a} for a in (1.0, 0.3))),
    "squarecb": ("squarecb", tuple({"floor": 0.0, "gamma": g} for g in (1.0, 10.0))),
    "epsgreedy": ("greedy", tuple({"floor": e} for e in (0.05, 0.01))),
}
"""Ours: the rule and two settings of it, each with two strengths of the prior."""
RIDGES: Final = (1.0, 10.0)
EXPLORATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "vw squarecb": ("--squarecb --gamma_scale 10", "--squarecb --gamma_scale 100"),
    "vw cover": ("--cover 3", "--cover 5"),
    "vw bag": ("--bag 5", "--bag 10"),
    "vw epsilon": ("--epsilon 0.05", "--epsilon 0.01"),
}
"""Vowpal Wabbit: two settings of each exploration, each with two learning rates."""
LEARNING_RATES: Final = (0.5, 0.1)
"""The first is its own default."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A learner with one setting."""

    learner: str
    settings: str
    make: Callable[[Rounds, list[list[str]], int], Player]
    """From rounds, the same as text and a seed."""

    @property
    def key(self) -> tuple[str, str]:
        """By which its games are found again."""
        return self.learner, self.settings


def entries() -> dict[str, list[Entry]]:
    """All learners, each with its settings; Vowpal Wabbit's only where it is installed."""
    found = {
        name: [_ours(name, rule, {**own, "ridge": ridge}) for own in settings for ridge in RIDGES]
        for name, (rule, settings) in RULES.items()
    }
    if find_spec("vowpalwabbit") is not None:
        found |= {
            name: [
                _theirs(name, f"{options} --learning_rate {rate}")
                for options in each
                for rate in LEARNING_RATES
            ]
            for name, each in EXPLORATIONS.items()
        }
    return found


def _ours(name: str, rule: RuleName, settings: dict[str, float]) -> Entry:
    shown = " ".join(f"{key} {value:g}" for key, value in settings.items())
    return Entry(name, shown, lambda rounds, _texts, _seed: Ours(rounds, rule, settings))


def _theirs(name: str, options: str) -> Entry:
    def make(rounds: Rounds, texts: list[list[str]], seed: int) -> Player:
        return VowpalWabbit(texts, options, rounds.mask.shape[1], seed)

    shown = options.replace("--", "").replace("learning_rate", "rate")
    return Entry(name, shown.removeprefix("squarecb "), make)
