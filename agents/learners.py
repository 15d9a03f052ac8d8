"""The learners by the names that commands know them by; RLlib is loaded when one is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final, Literal

LearnerName = Literal[
    "q", "naiveq", "table", "lints", "linucb", "squarecb", "epsgreedy", "neurallinear", "cql"
]
"""Names on the command line."""


@dataclass(frozen=True, slots=True)
class Learner:
    """How a learner's RLlib configuration is made."""

    title: str
    """What it is, for people."""
    module: str
    config: str
    """Name of its configuration class in that module."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the configuration's ``training`` that belong to the name."""
    from_log: bool = False
    """Whether it learns from a log as well: its configuration has ``from_log``, its algorithm
    ``learn``."""
    only_from_log: bool = False
    """Whether it learns from nothing else, round after round (``agents.logs.offline_training``)."""

    def make(self) -> Any:
        """Its configuration."""
        made = getattr(import_module(self.module), self.config)()
        return made.training(**self.settings)


def _bandit(title: str, **settings: Any) -> Learner:
    return Learner(title, "agents.bandits", "LinearBanditConfig", settings, from_log=True)


LEARNERS: Final[Mapping[LearnerName, Learner]] = {
    "q": Learner("masked dueling double deep Q-learning", "agents.q_learning", "QLearningConfig"),
    "naiveq": Learner(
        "the same as found in textbooks: one step at a time, of what was paid, with no critic",
        "agents.q_learning",
        "QLearningConfig",
        {"reward": "sampled", "silence_steps": 0, "steps_ahead": 1, "critic": False},
    ),
    "table": Learner("tabular Q-learning", "agents.table_learning", "TableLearningConfig"),
    "lints": _bandit("linear Thompson sampling", rule="thompson"),
    "linucb": _bandit("the largest upper bound of linear models", rule="ucb"),
    "squarecb": _bandit("inverse gaps of linear models (SquareCB)", rule="squarecb"),
    "epsgreedy": _bandit("epsilon-greedy in linear models", rule="greedy", floor=0.05),
    "neurallinear": Learner(
        "Thompson sampling, linear in a network's last layer",
        "agents.learning.neural_bandit",
        "NeuralLinearConfig",
        from_log=True,
    ),
    "cql": Learner(
        "conservative Q-learning",
        "agents.offline",
        "ConservativeQConfig",
        from_log=True,
        only_from_log=True,
    ),
}
