"""A search over settings with Ray Tune: which trials are run, which are ended early."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import ray
from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler
from ray.tune.search.basic_variant import BasicVariantGenerator
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from agents.training.spaces import OneOf, Space
from agents.training.trial import RUNGS, Showcase, Task, run_trial
from envs.errors import InputError

RERUNS: Final = 3
"""How often a trial is begun anew after its process or machine was lost."""


@dataclass(frozen=True, slots=True)
class Search:
    """What came of a search."""

    rows: list[dict[str, Any]]
    """One a judgement: ``trial``, ``setting_...`` and what the trial reported."""
    trials: int
    ended_early: int
    failed: int
    best: dict[str, Any]
    """``policy``, ``settings`` and the last report of the best trial that came to its end."""


@dataclass
class Watch(tune.Callback):
    """Listens to trials: collects their reports, tells the share of the search that is done."""

    trials: int
    told: Callable[[float], None]
    rows: list[dict[str, Any]] = field(default_factory=list)
    reached: dict[str, int] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        """What Tune writes down of it: not who is told."""
        return self.__dict__ | {"told": None}

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: Any, **_: Any
    ) -> None:
        """A trial was judged."""
        names = ("rung", "steps", "seconds", "gain", "gain_low", "gain_high", "value", "hostname")
        settings = {f"setting_{name}": _plain(value) for name, value in trial.config.items()}
        self.rows.append(
            {"trial": trial.trial_id, **{name: result[name] for name in names}, **settings}
        )
        self._reach(trial, result["rung"])

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        """A trial came to its end, or was ended."""
        self._reach(trial, RUNGS[-1])

    def _reach(self, trial: Any, rung: int) -> None:
        self.reached[trial.trial_id] = rung
        self.told(sum(self.reached.values()) / (self.trials * RUNGS[-1]))


def run_search(
    task: Task,
    space: Space,
    defaults: dict[str, Any],
    trials: int,
    workers: int,
    seed: int,
    folder: str,
    told: Callable[[float], None],
) -> Search:
    """Run the trials on the Ray that this process speaks to.

    Args:
        task: what they share.
        space: where settings are drawn from.
        defaults: settings of the first trial; those left out are drawn.
        trials: how many.
        workers: how many at a time; 0: as many as there are cores.
        seed: of the draws. The same settings are drawn again; which trials end early depends on
            who comes first as well.
        folder: for what Tune writes in the meantime.
        told: hears the share that is done.

    Raises:
        InputError: no trial came to its end.
    """
    # What Tune would write for each trial beyond what is collected here is of no use.
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    showcase = _beside_the_driver()
    watch = Watch(trials, told)
    found = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(run_trial, task=task, showcase=showcase), {"cpu": 1}
        ),
        param_space={name: _domain(values) for name, values in space.items()},
        tune_config=tune.TuneConfig(
            metric="gain",
            mode="max",
            num_samples=trials,
            max_concurrent_trials=workers or None,
            search_alg=BasicVariantGenerator(
                points_to_evaluate=[defaults], random_state=seed, max_concurrent=workers
            ),
            scheduler=AsyncHyperBandScheduler(
                time_attr="rung", grace_period=RUNGS[0], max_t=RUNGS[-1], reduction_factor=3
            ),
        ),
        run_config=tune.RunConfig(
            name="trials",
            storage_path=folder,
            verbose=0,
            callbacks=[watch],
            failure_config=tune.FailureConfig(max_failures=RERUNS),
        ),
    ).fit()
    best = ray.get(showcase.best.remote())
    if not best:
        raise InputError(f"no trial came to its end; the first error: {_first_error(found)}")
    last = {row["trial"]: row["rung"] for row in watch.rows}
    return Search(
        rows=watch.rows,
        trials=len(found),
        ended_early=sum(rung < RUNGS[-1] for rung in last.values()),
        failed=len(found.errors),
        best=best,
    )


def _beside_the_driver() -> Any:
    """The actor that keeps the best policy, on the machine where it will be written."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor: Any = ray.remote(Showcase)
    return actor.options(num_cpus=0, scheduling_strategy=here).remote()


def _domain(values: Any) -> Any:
    if isinstance(values, OneOf):
        return tune.choice(list(values.values))
    draw = tune.loguniform if values.logarithmic else tune.uniform
    return draw(values.low, values.high)


def _plain(value: Any) -> Any:
    """Lists of widths as text, so that a column has one type."""
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _first_error(found: Any) -> str:
    lines = [line for error in found.errors for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else "none was told"
