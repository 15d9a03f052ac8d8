"""One trial of a search: a learner trained with given settings, judged while it learns.

Trials run as Ray Tune's functions in processes of their own, on any machine of a cluster. Policies
do not travel through files, so that no disk has to be shared: the best one so far is kept by an
actor beside the driver.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from agents.judging.field import Field, Weekly, interval, play
from agents.train import one_quiet_thread
from agents.training.settings import TrainConfig
from agents.training.spaces import CONTACT_PRICE
from agents.training.world_training import world_algorithm

RUNGS: Final = (1, 3, 9)
"""Ninths of a trial's training after which it is judged; the worse trials end there."""


@dataclass(frozen=True, slots=True)
class Task:
    """What all trials of a search share."""

    config: TrainConfig
    seconds: float | None
    """Of a whole trial, or ``config.steps``."""
    field: Field
    """Where policies are judged."""
    silence: Weekly
    """What the people of the field are worth when left alone."""


class Showcase:
    """Keeps the best policy that was trained to the end."""

    def __init__(self) -> None:
        self._best: dict[str, Any] = {}

    def show(self, found: dict[str, Any]) -> None:
        """Take ``policy``, ``settings`` and ``gain`` of a trial, if it is better."""
        if not self._best or found["gain"] > self._best["gain"]:
            self._best = found

    def best(self) -> dict[str, Any]:
        """The best one; empty when no trial came to its end."""
        return self._best


def run_trial(settings: Mapping[str, Any], task: Task, showcase: Any) -> None:
    """Train with these settings; report the paired gain over silence at every rung."""
    import ray
    from ray import tune

    with one_quiet_thread():
        algorithm = trial_algorithm(settings, task.config)
        try:
            spent = 0.0
            for rung in RUNGS:
                spent += _learn(algorithm, task, rung / RUNGS[-1], spent)
                policy = algorithm.policy()
                value = play(task.field, policy).value
                gain = interval(value - task.silence)
                report = {"rung": rung, "steps": algorithm.sampled_steps(), "seconds": spent}
                report |= {"gain": gain["mean"], "gain_low": gain["low"], "gain_high": gain["high"]}
                if rung == RUNGS[-1]:
                    shown = {"policy": policy, "settings": dict(settings), **report}
                    ray.get(showcase.show.remote(shown))
                tune.report(report | {"value": float(value.mean())})
        finally:
            algorithm.stop()


def trial_algorithm(settings: Mapping[str, Any], config: TrainConfig) -> Any:
    """The learner with the settings of a trial, ready to train."""
    given = dict(settings)
    price = given.pop(CONTACT_PRICE, None)
    algorithm = world_algorithm(replace(config, contact_price=price), given)
    if price is not None and hasattr(algorithm, "set_contact_price"):
        algorithm.set_contact_price(price)
    return algorithm


def _learn(algorithm: Any, task: Task, share: float, spent: float) -> float:
    """Train until a share of the trial is done; the seconds that took."""
    started = time.perf_counter()
    while True:
        algorithm.train()
        taken = time.perf_counter() - started
        shares = [(spent + taken) / task.seconds] if task.seconds else []
        shares += [algorithm.sampled_steps() / task.config.steps] if task.config.steps else []
        algorithm.slow_down(min(1.0, max(shares)))
        if max(shares) >= share:
            return taken
