"""Training in the synthetic world, as the train command does it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from agents.baselines import make_baseline
from agents.judging.field import OTHER_LUCK, Field, best_contact_price, interval, play
from agents.learners import LEARNERS
from agents.learning.endurance import enduring
from agents.policy import check_policy, load_bundle
from agents.training.checkpoints import Checkpoints, Origin, find_checkpoint, has_checkpoint
from agents.training.curves import Curves, curves_beside
from agents.training.settings import TrainConfig
from envs.catalogue import Catalogue
from envs.encoding import Encoding
from simulators.insight import Burden
from simulators.presets import catalogue_for, find_preset
from simulators.progress import Bar

SECONDS = 60.0
"""How long to learn when nobody says."""
PRICE_USERS = 200
"""On whom prices of a contact are tried."""

Learnt = tuple[Catalogue, Any, dict[str, Any]]
"""The catalogue, the policy, and what is to be known of the training."""


def in_world(config: TrainConfig, given: Mapping[str, Any]) -> Learnt:
    """Train in the synthetic world.

    Args:
        config: of the command.
        given: settings of the learner.

    Returns:
        The catalogue, the policy, and what is to be known of the training.
    """
    catalogue = catalogue_for(config.preset, config.catalogue)
    origin = Origin(config.learner, catalogue.hash)
    goes_on = config.go_on and has_checkpoint(config.checkpoint)
    place = config.checkpoint if goes_on else config.resume
    resumed = None if place is None else find_checkpoint(place, origin)
    algorithm = world_algorithm(config, given)
    with Curves(config.curves or curves_beside(config.out)) as curves:
        try:
            if resumed is not None:
                algorithm.restore_from_path(resumed.as_posix())
            if not config.large:
                check_policy(config.out, algorithm.policy())
            left = Checkpoints(config.checkpoint, origin, config.checkpoint_seconds)
            started = time.perf_counter()
            steps, price = _train(algorithm, config, catalogue, curves, left)
            seconds = time.perf_counter() - started
            left.keep(algorithm)
            policy, total = algorithm.policy(), algorithm.sampled_steps()
            settings = {"reward": algorithm.config.reward, "gamma": algorithm.config.gamma}
        finally:
            algorithm.stop()
        figures = {"steps": steps, "seconds": round(seconds, 1), "preset": config.preset}
        figures |= settings | {"contact_price_cents": price}
        figures |= evaluation(config, catalogue, policy)
        curves.evaluated(total, figures)
    return catalogue, policy, figures


def world_algorithm(config: TrainConfig, given: Mapping[str, Any] | None = None) -> Any:
    """The RLlib algorithm of a configuration, built.

    Args:
        config: of the command.
        given: settings of the learner, arguments of its configuration's ``training``.
    """
    settings = (
        enduring(LEARNERS[config.learner].make())
        .environment("simulators:SceneLift-v0", env_config=environment(config))
        .env_runners(num_env_runners=config.runners)
        .learners(num_learners=config.learners)
        .training(**(given or {}))
        .training(reward=config.reward, floor=config.floor)
        .debugging(seed=config.seed + OTHER_LUCK, log_level="ERROR")
    )
    if hasattr(settings, "contact_price"):
        settings = settings.training(contact_price=config.contact_price)
    if getattr(settings, "wide", False):
        names = Encoding(catalogue_for(config.preset, config.catalogue)).names
        scenes = tuple(i for i, name in enumerate(names) if name.startswith("scene="))
        settings = settings.training(crossed=scenes)
    if config.warm_start is None:
        return _with_insight(settings, config).build_algo()
    from agents.training.transfer import start_from_bundle, warm_settings

    bundle = load_bundle(config.warm_start)
    algorithm = _with_insight(warm_settings(settings, bundle), config).build_algo()
    start_from_bundle(algorithm, bundle, catalogue_for(config.preset, config.catalogue))
    return algorithm


def environment(config: TrainConfig) -> dict[str, Any]:
    """Arguments of the environment to train in."""
    catalogue = None if config.catalogue is None else str(config.catalogue.resolve())
    lowest, highest = config.budget_price, config.highest_budget_price
    return {
        "preset": config.preset,
        "catalogue": catalogue,
        "days": config.days,
        "budget_price": lowest if highest is None else (lowest, highest),
    }


def _with_insight(settings: Any, config: TrainConfig) -> Any:
    """With a critic the environment tells what nobody can know, and the learner what it means."""
    if not getattr(settings, "critic", False) or settings.reward != "lasting":
        return settings
    catalogue = catalogue_for(config.preset, config.catalogue)
    told = settings.env_config | {"hidden": True, "twins": settings.twins > 0}
    return settings.environment(env_config=told).training(
        burdens=Burden.of(catalogue, find_preset(config.preset))
    )


def _train(
    algorithm: Any, config: TrainConfig, catalogue: Catalogue, curves: Curves, left: Checkpoints
) -> tuple[int, float]:
    """Iterate until the steps or the seconds are used up.

    Returns:
        The steps taken, and the price of a contact.
    """
    seconds = SECONDS if config.seconds is None and config.steps is None else config.seconds
    first, started = 0 if config.go_on else algorithm.sampled_steps(), time.perf_counter()
    myopic = hasattr(algorithm, "set_contact_price")
    price = config.contact_price if myopic else getattr(algorithm.config, "price_of_contact", 0.0)
    if myopic and price is not None:
        algorithm.set_contact_price(price)
    with Bar(f"training {config.learner}", shown=not config.json) as bar:
        while True:
            result = algorithm.train()
            steps = int(algorithm.sampled_steps() - first)
            shares = [(time.perf_counter() - started) / seconds] if seconds else []
            shares += [steps / config.steps] if config.steps else []
            bar.update(min(1.0, max(shares)))
            algorithm.slow_down(min(1.0, max(shares)))
            if price is None and max(shares) >= 0.5:
                price = _choose_price(algorithm, config, catalogue)
            curves.draw(first + steps, result, algorithm.exploration())
            left.keep_when_due(algorithm)
            if max(shares) >= 1.0 and price is not None:
                return steps, price


def _choose_price(algorithm: Any, config: TrainConfig, catalogue: Catalogue) -> float:
    """Try prices of a contact on people of the training, and go on with the best."""
    field = Field(
        catalogue, config.preset, PRICE_USERS, days=min(28.0, config.days),
        seeds=(config.seed + OTHER_LUCK,),
    )  # fmt: skip
    price = best_contact_price(field, algorithm.policy())
    algorithm.set_contact_price(price)
    return price


def evaluation(config: TrainConfig, catalogue: Catalogue, policy: Any) -> dict[str, Any]:
    """The paired gain over silence on people that training did not meet."""
    if not config.evaluate_users:
        return {}
    field = Field(catalogue, config.preset, max(2, config.evaluate_users), seeds=(config.seed,))
    silence = play(field, make_baseline("silence", catalogue)).value
    value = play(field, policy).value
    return {
        "evaluation": {"users": field.users, "days": field.days, "cents": field.cents},
        "value_per_user_week_cents": interval(value),
        "gain_over_silence": interval(value - silence),
    }
