"""The table of values, how it is explored, and its update in RLlib: every step is replayed."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.core.rl_module.apis import InferenceOnlyAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from agents.columns import MASK, NEXT_MASK, OBSERVATIONS
from agents.learning.step_memory import NAMES, StepMemory, Steps
from agents.policies.cells import Cells
from agents.policies.table_policy import TablePolicy

REWARD, DISCOUNT = "learning_reward", "discount"
CELLS, NEXT_CELLS = "cells", "next_cells"
SETTLED_CENTS: Final = 1e-3
"""Largest change of a value in a sweep that counts as none."""

Floats = NDArray[np.float64]


class TableModule(TorchRLModule, InferenceOnlyAPI):
    """One value a cell and action, float64, and the memory that they follow from.

    The learner alone has the memory. RLlib turns float64 into float32 whenever it moves a module:
    state is moved here instead.
    """

    def setup(self) -> None:
        """Nothing is known."""
        self.cells: Cells = self.model_config["cells"]
        self.memory = StepMemory(self.cells.size, int(self.action_space.n))
        self.values: Floats = np.zeros(self.memory.visits.shape)
        """Discounted cents to come, float64 [C, A]; of an action never tried the cell's best."""
        self.errors: Floats = np.ones(self.memory.visits.shape)
        """Standard errors of the values, cents, float64 [C, A]."""

    def get_non_inference_attributes(self) -> list[str]:
        """Runners do without the memory: RLlib takes it away from them."""
        return ["memory"]

    def get_state(self, *args: Any, inference_only: bool = False, **kwargs: Any) -> dict[str, Any]:
        """Every array in its own precision."""
        learnt = {"values": self.values.copy(), "errors": self.errors.copy()}
        whole = not inference_only and hasattr(self, "memory")
        return learnt | self.memory.arrays() if whole else learnt

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over arrays in their own precision; the memory stays where none is given."""
        self.values, self.errors = np.array(state["values"]), np.array(state["errors"])
        if hasattr(self, "memory") and set(NAMES) <= set(state):
            self.memory.take_over(state)

    def learn(self, steps: Steps, sweeps: int) -> float:
        """Remember steps, then replay the memory.

        Returns:
            How far off the values were for these steps, root mean square, cents.
        """
        surprise = self._surprise(steps)
        self.memory.add(steps)
        self.replay(sweeps)
        self.errors = surprise / np.sqrt(self.memory.visits + 1)
        return surprise

    def _surprise(self, steps: Steps) -> float:
        later = np.where(steps.next_masks, self.values[steps.next_cells], -np.inf).max(axis=1)
        targets = steps.rewards + steps.discounts * later
        errors = targets - self.values[steps.cells, steps.actions]
        return float(np.sqrt(np.mean(errors**2)))

    def replay(self, sweeps: int) -> None:
        """Let every remembered step be learnt from, again and again, until the values settle.

        A sweep is Q-learning from all steps at once: each value becomes the mean of its targets,
        which is where step sizes of one over the visits lead. What is to come in the long run lifts
        all values alike, and would take very many sweeps; the first sweep makes up for it.
        """
        memory, taken = self.memory, self.memory.visits > 0
        paths = memory.paths()
        open_to = paths.mask & taken[paths.cell]  # [K, A]
        visits, rewards = memory.visits[taken], memory.rewards[taken]
        left = max(1.0 - float(memory.discounts.sum() / visits.sum()), 1e-3)
        for sweep in range(sweeps):
            later = _best_tried(self.values[paths.cell], open_to)[paths.situation]
            sums = np.bincount(paths.pair, memory.discounts * later, taken.size)
            targets = (rewards + sums.reshape(taken.shape)[taken]) / visits
            change = targets - self.values[taken]
            lift = float(visits @ change / visits.sum()) / left if sweep == 0 else 0.0
            self.values[taken] = targets + lift
            if np.abs(change).max() < SETTLED_CENTS:
                break
        self.values = np.where(taken, self.values, _best_tried(self.values, taken)[:, None])

    def policy(self, floor: float) -> TablePolicy:
        """What has been learnt, without torch: how much better than silence each action is."""
        taken = self.memory.visits > 0
        beyond = np.where(taken & taken[:, :1], self.values - self.values[:, :1], -np.inf)
        beyond[:, 0] = 0.0
        return TablePolicy(self.cells, beyond.astype(np.float32), floor)

    def _forward_inference(self, batch: dict[str, Tensor], **kwargs: Any) -> dict[str, Tensor]:
        values = self.values[self.cells.number(batch[OBSERVATIONS].numpy())]
        best = np.where(batch[MASK].numpy(), values, -np.inf).argmax(axis=1)
        return {Columns.ACTIONS: torch.from_numpy(best)}

    def _forward_exploration(
        self, batch: dict[str, Tensor], t: int = 0, **kwargs: Any
    ) -> dict[str, Tensor]:
        """The best action by values drawn as widely as they are uncertain; sometimes a blind one.

        So close calls are tried until they are settled, and hopeless actions are left alone. A
        share of the blind actions is silence: rested users are rare under any other rule.
        """
        rng: np.random.Generator = kwargs["rng"]
        cells, mask = self.cells.number(batch[OBSERVATIONS].numpy()), batch[MASK].numpy()
        drawn = self.values[cells] + self.errors[cells] * rng.standard_normal(mask.shape)
        best = np.where(mask, drawn, -np.inf).argmax(axis=1)
        any_allowed = np.where(mask, rng.random(mask.shape), -1.0).argmax(axis=1)
        draws = rng.random((len(mask), 2))
        blind = np.where(draws[:, 1] < self.model_config["silence_share"], 0, any_allowed)
        chosen = np.where(draws[:, 0] < self.model_config["epsilon"], blind, best)
        return {Columns.ACTIONS: torch.from_numpy(chosen)}

    def _forward_train(self, batch: dict[str, Tensor], **kwargs: Any) -> dict[str, Tensor]:
        return {}


def _best_tried(values: Floats, tried: NDArray[np.bool_]) -> Floats:
    """The best value among those tried, [K]; where none was, the mean of the others' best."""
    best: Floats = np.where(tried, values, -np.inf).max(axis=1)
    none = ~tried.any(axis=1)
    best[none] = 0.0 if none.all() else best[~none].mean()
    return best


class TableLearner(TorchLearner):
    """Remembers and replays; there is no gradient."""

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """Nothing to optimise."""

    def compute_loss_for_module(self, **kwargs: Any) -> Tensor:
        """No loss: RLlib asks every learner for one."""
        return torch.zeros(())

    def _make_modules_ddp_if_necessary(self) -> None:
        """No gradients to average."""

    def _update(self, batch: dict[str, Any], **kwargs: Any) -> tuple[Any, Any, Any]:
        for module_id, columns in batch.items():
            surprise = self.module[module_id].unwrapped().learn(_steps(columns), self.config.sweeps)
            self.metrics.log_value((module_id, "surprise_cents"), surprise, window=1)
        return {}, {module_id: torch.zeros(()) for module_id in batch}, {}


def _steps(columns: dict[str, Tensor]) -> Steps:
    """The rows of a batch, which RLlib has made into tensors of narrower types."""
    arrays = {name: tensor.numpy() for name, tensor in columns.items()}
    return Steps(
        arrays[CELLS].astype(np.int64),
        arrays[Columns.ACTIONS].astype(np.int64),
        arrays[REWARD].astype(np.float64),
        arrays[DISCOUNT].astype(np.float64),
        arrays[NEXT_CELLS].astype(np.int64),
        arrays[NEXT_MASK].astype(np.bool_),
    )
