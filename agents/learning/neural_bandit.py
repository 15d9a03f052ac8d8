"""The neural-linear bandit as an RLlib algorithm: now and then its features are learnt again."""

from __future__ import annotations

from collections import deque
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from agents.bandits import LinearBandit, LinearBanditConfig
from agents.columns import OBSERVATIONS
from agents.learning.linear_learner import REWARD, WEIGHT
from agents.learning.neural_learner import TARGET, NeuralLearner, NeuralModule


class NeuralLinearConfig(LinearBanditConfig):
    """Settings of the neural-linear bandit: those of the linear ones, and of its features."""

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class or NeuralLinear)
        self.lr = 1e-3
        self.train_batch_size_per_learner = 512
        self.hidden = (128, 32)
        self.memory_rows = 200_000
        self.first_rows = 5_000
        self.growth = 1.5
        self.epochs = 4.0

    def training(
        self,
        *,
        hidden: tuple[int, ...] | None = None,
        memory_rows: int | None = None,
        first_rows: int | None = None,
        growth: float | None = None,
        epochs: float | None = None,
        **kwargs: Any,
    ) -> Self:
        """Set what is learnt and how; None leaves a setting as it is.

        Args:
            hidden: widths of the hidden layers; the last is the number of features.
            memory_rows: decisions that are remembered at least, and all that new features know.
            first_rows: decisions before features are learnt for the first time.
            growth: features are learnt again when there are so many times as many decisions, or a
                full memory of new ones.
            epochs: passes over the memory each time.
            **kwargs: of ``LinearBanditConfig``.
        """
        super().training(**kwargs)
        given = dict(hidden=hidden, memory_rows=memory_rows, first_rows=first_rows,
                     growth=growth, epochs=epochs)  # fmt: skip
        for name, value in given.items():
            if value is not None:
                setattr(self, name, value)
        return self

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """The network and the posterior."""
        return RLModuleSpec(module_class=NeuralModule)

    def get_default_learner_class(self) -> type[NeuralLearner]:
        """Its learner."""
        return NeuralLearner

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        return super()._model_config_auto_includes | {"hidden": self.hidden}


class NeuralLinear(LinearBandit):
    """A linear bandit that remembers decisions, to believe anew whenever its features change.

    The memory is not part of a checkpoint. After a restore the features stay as they are until the
    memory is full, or holds as many decisions as there ever were: nothing known is thrown away.
    """

    @classmethod
    def get_default_config(cls) -> NeuralLinearConfig:
        """The defaults."""
        return NeuralLinearConfig()

    def setup(self, config: AlgorithmConfig) -> None:
        """Build runners and learners, and an empty memory."""
        super().setup(config)
        self._memory: deque[dict[str, NDArray[Any]]] = deque()
        self._remembered = 0
        self._rng = np.random.default_rng(self.config.seed)
        self._decisions = 0
        self._taught = 0

    def add_up(self, decisions: dict[str, NDArray[Any]]) -> None:
        """Add decisions to the posterior; or learn features, and then add up all of the memory."""
        self._remember(decisions)
        if self._is_due():
            decisions = {
                name: np.concatenate([part[name] for part in self._memory]) for name in decisions
            }
            self._teach(decisions)
            self.learner_group.foreach_learner(lambda learner: learner.forget())
        super().add_up(decisions)

    def _remember(self, decisions: dict[str, NDArray[Any]]) -> None:
        self._memory.append(decisions)
        self._remembered += len(decisions[WEIGHT])
        self._decisions += len(decisions[WEIGHT])
        while self._remembered - len(self._memory[0][WEIGHT]) >= self.config.memory_rows:
            self._remembered -= len(self._memory.popleft()[WEIGHT])

    def _is_due(self) -> bool:
        """Whether features are to be learnt: of a log at once, else see ``training``."""
        if self.config.env is None:
            return True
        full = self.config.memory_rows
        more = min(self.config.growth * self._taught, self._taught + full)
        known = self._remembered >= min(full, self._decisions)
        return known and self._decisions >= max(self.config.first_rows, more)

    def _teach(self, decisions: dict[str, NDArray[Any]]) -> None:
        """Let the network predict the rewards of decisions, in standard units."""
        size = self.config.train_batch_size_per_learner
        updates = max(1, round(self.config.epochs * len(decisions[WEIGHT]) / size))
        shape = size * updates * max(1, self.config.num_learners)
        rows = self._rng.integers(len(decisions[WEIGHT]), size=shape)
        rewards = decisions[REWARD]
        target = (rewards - rewards.mean()) / max(float(rewards.std()), 1e-9)
        self.update(
            {
                OBSERVATIONS: decisions[OBSERVATIONS][rows],
                Columns.ACTIONS: decisions[Columns.ACTIONS][rows],
                TARGET: target[rows].astype(np.float32),
            },
            minibatch=size,
        )
        self._taught = self._decisions

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """RLlib's state, and how many decisions there were."""
        state = super().get_state(*args, **kwargs)
        return state | {"decisions": self._decisions, "taught": self._taught}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over RLlib's state, and how many decisions there were; the memory is empty."""
        super().set_state(state)
        self._decisions, self._taught = state["decisions"], state["taught"]
        self._memory.clear()
        self._remembered = 0
