"""The command that trains a learner, in the synthetic world or from a log, into a bundle."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from rich.console import Console

from agents.logs.log_training import from_log
from agents.policy import save_bundle
from agents.training.settings import FOR_BANDITS, TrainConfig, check_training
from agents.training.spaces import CONTACT_PRICE, read_settings
from agents.training.world_training import environment, in_world
from envs.catalogue import Catalogue
from envs.lineage import lineage
from simulators.cluster import quiet_ray
from simulators.make import offer_vector_env


def run_train(config: TrainConfig) -> None:
    """The command: train, evaluate, write the bundle, say what came of it."""
    check_training(config)
    if config.log is None:
        offer_vector_env(1, **environment(config))  # what is wrong with it shows before Ray starts
    config, given = _with_settings(config)
    with quiet_ray(config.address, config.runners + config.learners), one_quiet_thread():
        learn = in_world if config.log is None else from_log
        catalogue, policy, figures = learn(config, given)
        result = _write(config, catalogue, policy, figures)
    if config.json:
        print(json.dumps(result))
        return
    figures = result["figures"]
    line = f"{figures['steps']:,} decisions in {figures['seconds']:.0f} s -> {config.out}"
    gain = figures.get("gain_over_silence")
    if gain:
        line += (
            f"\ngain over silence {gain['mean']:.1f} [{gain['low']:.1f}, {gain['high']:.1f}] "
            f"cents a user-week ({figures['evaluation']['users']} users)"
        )
    Console(stderr=True).print(line, highlight=False)


@contextmanager
def one_quiet_thread() -> Iterator[None]:
    """Learn on one thread, so that a run repeats; RLlib keeps its warnings to itself."""
    import torch

    torch.set_num_threads(1)
    with warnings.catch_warnings():
        # RLlib warns of its own old ways, which nobody here can change.
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def _with_settings(config: TrainConfig) -> tuple[TrainConfig, dict[str, Any]]:
    """The settings in the file, and the configuration with the price of a contact among them."""
    own = {name: getattr(config, name) for name in FOR_BANDITS}
    own = {name: value for name, value in own.items() if value is not None}
    if config.settings is None:
        return config, own
    given = read_settings(config.settings, config.learner) | own
    price = given.pop(CONTACT_PRICE, None)
    return replace(
        config, contact_price=price if config.contact_price is None else config.contact_price
    ), given


def _write(
    config: TrainConfig, catalogue: Catalogue, policy: Any, figures: dict[str, Any]
) -> dict[str, Any]:
    origin = lineage(config.seed)
    save_bundle(config.out, policy, catalogue, origin, figures, served=not config.large)
    return {"out": str(config.out), "learner": config.learner, "figures": figures,
            "lineage": origin}  # fmt: skip
