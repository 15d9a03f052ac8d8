"""Training from a log alone, round after round, as the train command does it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from agents.learners import LEARNERS
from agents.logs.log_steps import read_steps
from agents.training.settings import TrainConfig
from envs.catalogue import Catalogue, load_catalogue
from envs.encoding import Encoding
from simulators.logs.pieces import survey
from simulators.progress import Bar

SECONDS = 60.0
"""How long to learn when nobody says."""


def train_offline(
    config: TrainConfig, given: Mapping[str, Any]
) -> tuple[Catalogue, Any, dict[str, Any]]:
    """Learn from the steps of a log until the rows or the seconds are used up.

    Args:
        config: of the command; its log has to be there.
        given: settings of the learner.

    Returns:
        The log's catalogue, the policy, and what is to be known of the training.

    Raises:
        LogError: the log cannot be learnt from.
    """
    assert config.log is not None
    expected = None if config.catalogue is None else load_catalogue(config.catalogue)
    shape = survey(config.log, expected)
    catalogue = shape.catalogue
    settings = LEARNERS[config.learner].make().training(**given)
    settings = settings.from_log(Encoding(catalogue).width, len(catalogue.actions))
    settings = (
        settings.training(floor=config.floor, contact_price=config.contact_price)
        .learners(num_learners=config.learners)
        .debugging(seed=config.seed, log_level="ERROR")
    )
    algorithm = settings.build_algo()
    started = time.perf_counter()
    try:
        log = read_steps(shape)
        algorithm.read(log)
        _learn(algorithm, config)
        figures = {
            "steps": algorithm.sampled_steps(),
            "seconds": round(time.perf_counter() - started, 1),
            "rows": log.rows,
            "sequential": log.sequential,
            "reward": "sampled",
            "reward_unit": shape.reward_unit,
            "reward_scale": algorithm.reward_scale,
            "gamma": algorithm.config.gamma,
            "alpha": algorithm.config.alpha,
        }
        return catalogue, algorithm.policy(), figures
    finally:
        algorithm.stop()


def _learn(algorithm: Any, config: TrainConfig) -> None:
    """Iterate, with a bar."""
    seconds = SECONDS if config.seconds is None and config.steps is None else config.seconds
    started = time.perf_counter()
    with Bar(f"training {config.learner}", shown=not config.json) as bar:
        done = 0.0
        while done < 1.0:
            algorithm.train()
            shares = [(time.perf_counter() - started) / seconds] if seconds else []
            shares += [algorithm.sampled_steps() / config.steps] if config.steps else []
            done = max(shares)
            bar.update(min(1.0, done))
