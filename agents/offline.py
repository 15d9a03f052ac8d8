"""Conservative Q-learning of offers from a log alone, as an RLlib algorithm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.core.columns import Columns
from ray.rllib.utils.checkpoints import Checkpointable
from torch import Tensor

from agents.algorithm import FromLog
from agents.columns import ELAPSED, MASK
from agents.learning.q_learner import REWARD, VALUES, QLearner
from agents.learning.silence_value import fit_silence_value
from agents.logs.log_steps import LogSteps
from agents.q_learning import LEARNT, QLearning, QLearningConfig

LEARNT_ROWS = "log_rows_learnt"
"""Metric: rows of the log that minibatches were made of, counted again each time round."""


class ConservativeQConfig(FromLog, QLearningConfig):
    """Settings of conservative Q-learning; those of Q-learning hold as well."""

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class or ConservativeQLearning)
        self.reward = "sampled"
        self.critic = False  # a log knows nothing of what is hidden
        self.alpha = 0.1

    def training(self, *, alpha: float | None = None, **kwargs: Any) -> Self:
        """Set what is learnt and how; None leaves a setting as it is.

        Args:
            alpha: how much an action has to be worth beyond what the log shows of it, in standard
                deviations of the reward; 0 is Q-learning that believes anything of actions that
                the log never took.
            **kwargs: of ``QLearningConfig.training``; ``reward_scale`` follows from the log.
        """
        super().training(**kwargs)
        if alpha is not None:
            self.alpha = alpha
        return self

    def get_default_learner_class(self) -> type[ConservativeQLearner]:
        """Its learner."""
        return ConservativeQLearner


class ConservativeQLearner(QLearner):
    """Q-learning that is not to believe what the log cannot show.

    The largest of many values that nobody ever tried is too large. Added to the loss is ``alpha``
    times logsumexp over the allowed actions of Q, less Q of the logged action: it pushes down what
    is high without evidence and holds up what was done.

    Reference: Kumar, Zhou, Tucker and Levine, NeurIPS 2020, equation 4 (CQL(H)).
    """

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict[str, Tensor], fwd_out: dict[str, Tensor]
    ) -> Tensor:
        """The loss of Q-learning and the price of optimism."""
        loss = super().compute_loss_for_module(
            module_id=module_id, config=config, batch=batch, fwd_out=fwd_out
        )
        values = fwd_out[VALUES]
        chosen = values.gather(1, batch[Columns.ACTIONS].long()[:, None])[:, 0]
        optimism = (soft_maximum(values, batch[MASK].bool()) - chosen).mean()
        self.metrics.log_value((module_id, "optimism"), optimism.detach(), window=1)
        return loss + config.alpha * optimism


def soft_maximum(values: Tensor, mask: Tensor) -> Tensor:
    """Logsumexp over the allowed actions, [N]."""
    return torch.logsumexp(values.masked_fill(~mask, -torch.inf), dim=1)


class ConservativeQLearning(QLearning):
    """Learn from minibatches of a log, round after round."""

    @classmethod
    def get_default_config(cls) -> ConservativeQConfig:
        """The defaults."""
        return ConservativeQConfig()

    def read(self, log: LogSteps) -> None:
        """Learn from this log from now on; rewards are scaled to its standard deviation."""
        self._log = log
        self._scale = 1.0 / max(log.reward_deviation, 1e-6)
        rows = self.config.updates * self.config.train_batch_size_per_learner
        rows *= max(1, self.config.num_learners)
        self._batches = log.endless(rows, int(self._rng.integers(2**31)))
        if log.sequential and self.config.silence_steps:
            self._learn_silence()

    @property
    def reward_scale(self) -> float:
        """Learnt values per unit of the log's reward."""
        return self._scale

    def sampled_steps(self) -> int:
        """Rows learnt from since the beginning, over restarts."""
        return int(self.metrics.peek((LEARNT_ROWS,), default=0))

    def training_step(self) -> None:
        """One iteration: some minibatches of the log."""
        columns = self._scaled(next(self._batches))
        self.update(columns, minibatch=self.config.train_batch_size_per_learner)
        self.metrics.log_value((LEARNT_ROWS,), len(columns[REWARD]), reduce="lifetime_sum")

    def restore_env_runners(self, env_runner_group: Any) -> list[int]:
        """There are no runners."""
        return []

    def restore_from_path(self, path: Any, *args: Any, **kwargs: Any) -> None:
        """Restore a checkpoint; RLlib would go on to hand weights over to runners."""
        Checkpointable.restore_from_path(self, path, *args, **kwargs)

    def _scaled(self, columns: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        contacts = columns[Columns.ACTIONS] > 0
        paid = columns[Columns.REWARDS] - self.config.price_of_contact * contacts
        rewards = (paid * self._scale).astype(np.float32)
        columns = columns | {REWARD: rewards, ELAPSED: columns[ELAPSED].astype(np.float32)}
        return {name: columns[name] for name in LEARNT if name in columns}

    def _learn_silence(self) -> None:
        """What users are worth when left alone, from the steps in which the log was silent."""
        steps = _silent(self._log.once(65_536, 0), self.config.silence_steps)
        value = fit_silence_value(steps, steps[Columns.REWARDS] * self._scale, self.config.gamma)
        self.learner_group.foreach_learner(lambda learner: learner.set_silence_value(value))


def _silent(batches: Iterator[dict[str, NDArray[Any]]], wanted: int) -> dict[str, NDArray[Any]]:
    """So many silent steps, or all that there are."""
    found: list[dict[str, NDArray[Any]]] = []
    for batch in batches:
        silent = batch[Columns.ACTIONS] == 0
        found.append({name: values[silent] for name, values in batch.items()})
        if sum(len(part[ELAPSED]) for part in found) >= wanted:
            break
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}
