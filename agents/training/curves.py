"""Curves of a training: event files that TensorBoard shows, written while it learns.

``tensorboard --logdir runs`` shows those of every run below a folder. Names and units:

* ``learning/...``: what the learner watches, such as ``loss`` and ``value_mean``.
* ``world/episode_return_mean``: cents an episode, with the exploration of training.
* ``world/runners``: remote runners at work; ``world/runner_restarts``: started anew so far.
* ``speed/steps_per_s``: decisions a second, between two points.
* ``exploration/...``: how the learner explores now, such as ``epsilon``.
* ``evaluation/...``: what came of the policy, cents a user-week, when it was evaluated.

The horizontal axis counts decisions since the beginning, over restarts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

EVERY_S: Final = 1.0
"""How far points of a curve are apart at least: an hour's event file stays below 2 MB."""
COUNTED: Final = ("num_", "weights_seq_no", "module_train_batch_size_mean", "total_loss")
"""How those of RLlib's own figures begin that are no curves of learning."""


def curves_beside(out: Path) -> Path:
    """Where the curves of a bundle's training are: beside it, for it is replaced as a whole."""
    return out.with_name(f"{out.name}.curves")


class Curves:
    """Event files in a folder; several runs may write into one, each has its own file."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        from tensorboardX import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder), flush_secs=10)
        self._clock = clock
        self._last: tuple[float, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._writer.close()

    def draw(self, steps: int, result: Mapping[str, Any], exploration: Mapping[str, float]) -> None:
        """Draw one iteration, or leave it out when the last point is too near.

        Args:
            steps: decisions since the beginning.
            result: of ``Algorithm.train()``.
            exploration: how the learner explores now.
        """
        now = self._clock()
        if self._last is None:
            self._last = (now, steps)
            return
        before, steps_before = self._last
        if now - before < EVERY_S:
            return
        self._last = (now, steps)
        self._points(steps, dict(_watched(result)))
        self._points(steps, {"speed/steps_per_s": (steps - steps_before) / (now - before)})
        self._points(steps, {f"exploration/{name}": value for name, value in exploration.items()})

    def evaluated(self, steps: int, figures: Mapping[str, Any]) -> None:
        """Draw what an evaluation found: estimates with ``mean``, ``low`` and ``high``."""
        for name, estimate in figures.items():
            if isinstance(estimate, Mapping) and "mean" in estimate:
                self._points(steps, {f"evaluation/{name}/{k}": v for k, v in estimate.items()})

    def _points(self, steps: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, steps)


def _watched(result: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The curves among the figures of an iteration."""
    runners, health = result.get("env_runners", {}), result.get("fault_tolerance", {})
    learner = result.get("learners", {}).get("default_policy", {})
    found = {f"learning/{name}": v for name, v in learner.items() if not name.startswith(COUNTED)}
    found["world/episode_return_mean"] = runners.get("episode_return_mean")
    found["world/runners"] = health.get("num_healthy_workers")
    found["world/runner_restarts"] = health.get("num_remote_worker_restarts")
    for name, value in found.items():
        if not isinstance(value, Mapping) and value is not None and math.isfinite(value):
            yield name, float(value)
