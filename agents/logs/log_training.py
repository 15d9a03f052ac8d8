"""Training from a log: bandits add it up at once, conservative Q-learning reads it in rounds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from agents.learners import LEARNERS
from agents.logs.offline_training import train_offline
from agents.training.settings import TrainConfig
from envs.catalogue import Catalogue, load_catalogue
from envs.errors import InputError
from simulators.logs.logged import read_log


def from_log(
    config: TrainConfig, given: Mapping[str, Any]
) -> tuple[Catalogue, Any, dict[str, Any]]:
    """Train from the decisions of a log.

    Args:
        config: of the command; its log has to be there.
        given: settings of the learner.

    Returns:
        The log's catalogue, the policy, and what is to be known of the training.

    Raises:
        InputError: the log cannot be learnt from.
    """
    if LEARNERS[config.learner].only_from_log:
        return train_offline(config, given)

    assert config.log is not None
    log = read_log(config.log)
    if config.catalogue is not None and load_catalogue(config.catalogue).hash != log.catalogue.hash:
        raise InputError(f"{config.log} is a log of another catalogue than {config.catalogue}")
    log = log.learnable()
    if not len(log):
        raise InputError(f"{config.log} has no decision with a known reward")
    log = log.take(np.argsort(log.times, kind="stable"))  # what is forgotten goes by age
    settings = (
        LEARNERS[config.learner]
        .make()
        .training(**given)
        .from_log(log.observations.shape[1], log.mask.shape[1])
    )
    settings = settings.training(
        reward="sampled", floor=config.floor, noise=max(float(log.rewards.std()), 1e-6)
    )
    settings = settings.learners(num_learners=config.learners).debugging(seed=config.seed)
    algorithm = settings.build_algo()
    started = time.perf_counter()
    try:
        algorithm.learn(log.observations, log.actions, log.rewards, log.propensities)
        if config.contact_price is not None:
            algorithm.set_contact_price(config.contact_price)
        policy = algorithm.policy()
    finally:
        algorithm.stop()
    seconds = time.perf_counter() - started
    figures = {"steps": len(log), "seconds": round(seconds, 1), "reward_unit": log.reward_unit}
    return log.catalogue, policy, figures
