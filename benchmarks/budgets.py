"""One network for every price of a cent beside a network for each, and how well budgets are kept.

``python -m benchmarks.budgets``. What counts at a price is the net value less the price times the
spend: that is what both kinds of networks learn to make large. Both are judged on the same people
with the same luck. A budget's price is searched with some luck and judged with other luck of the
same people, as a price found on last month's customers is used on them this month.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import tyro
from rich import box
from rich.console import Console
from rich.table import Table

from agents.judging.field import OTHER_LUCK, Weekly
from agents.judging.price import budgets_kept
from agents.judging.pricing import Crowd, kept_to
from agents.policy import BundledPolicy, Policy, load_bundle, load_policy, save_bundle
from agents.train import one_quiet_thread
from agents.training.settings import TrainConfig
from agents.training.world_training import world_algorithm
from benchmarks.comparison import ratio
from envs.catalogue import Catalogue
from envs.errors import InputError
from envs.lineage import lineage
from simulators.cluster import everywhere, quiet_ray
from simulators.presets import Preset, catalogue_for, find_preset
from simulators.progress import Bar
from simulators.rollout import Progress
from simulators.value import Estimate


@dataclass(frozen=True, slots=True)
class BudgetsConfig:
    """Train one network for a range of prices and one for each of a few, and compare them."""

    preset: str = "default"
    """Of the world."""
    prices: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0, 2.0)
    """Prices of a cent, ascending; the range of the one network ends at the last."""
    steps: int = 2_000_000
    """Decisions that each network of one price learns from."""
    steps_of_all: int | None = None
    """Decisions that the network for all prices learns from; as many as one other if left out."""
    budgets: tuple[float, ...] = (0.8, 0.5, 0.2)
    """Budgets to be kept by the network for all prices: from what it spends at the highest price,
    0, to what it spends at none, 1."""
    users: int = 8000
    """On whom both kinds of networks are judged."""
    days: float = 60.0
    """How long each of them is followed."""
    spending_users: int = 40_000
    """On whom prices of budgets are searched and judged."""
    spending_days: float = 28.0
    """How long each of those is followed."""
    seed: int = 0
    """Of the training, and of the judged users' luck."""
    kept: Path | None = None
    """Folder in which trained networks are kept: what is there already is not trained again."""
    workers: int = 2
    """Networks trained, and groups of users judged, at the same time."""
    json: bool = False
    """Print one JSON object instead of tables."""


@dataclass(frozen=True, slots=True)
class Row:
    """At one price; cents a user-week, less the price of the spend, beyond silence."""

    price: float
    of_all: Estimate
    of_one: Estimate
    share: Estimate
    """What the network for all prices gains, as a share of what the one for this price gains."""


def main() -> None:
    """Train, compare, keep budgets, print."""
    config = tyro.cli(BudgetsConfig, prog="python -m benchmarks.budgets")
    found = measure(config)
    if config.json:
        told = found | {"config": asdict(config), "lineage": lineage(config.seed)}
        print(json.dumps(told, default=str))  # paths
        return
    console = Console(width=110)
    console.print(_prices(config, found["prices"]))
    whom = f"{config.spending_users:,} users x {config.spending_days:g} days with other luck"
    console.print(budgets_kept(found["budgets"], whom))


def measure(config: BudgetsConfig) -> dict[str, Any]:
    """Both tables, as plain values.

    Raises:
        InputError: prices or budgets that cannot be compared.
    """
    if list(config.prices) != sorted(set(config.prices)) or len(config.prices) < 2:
        raise InputError(f"prices {list(config.prices)} have to ascend, and to be two or more")
    if not all(0 < share < 1 for share in config.budgets):
        raise InputError(f"budgets {list(config.budgets)} have to be shares above 0 and below 1")
    with quiet_ray(None, config.workers):
        with Bar("training networks", shown=not config.json) as bar:
            of_all, *of_each = _networks(config, bar.update)
        with Bar("comparing them", shown=not config.json) as bar:
            rows = []
            for row in _compared(config, of_all, of_each):
                rows.append(row)
                bar.update(len(rows) / (len(config.prices) + 1))
            budgets = _budgets(config, of_all)
    return {"prices": [asdict(row) for row in rows], "budgets": budgets}


def _networks(config: BudgetsConfig, told: Progress) -> list[BundledPolicy]:
    """The network for all prices, then one for each; those that are kept are not trained again."""
    wanted = [None, *config.prices]
    found = {price: policy for price in wanted if (policy := _known(config, price)) is not None}
    missing = [price for price in wanted if price not in found]
    taught = everywhere(partial(_taught, config), missing, None, config.workers, told)
    (_, catalogue), made = _world(config), lineage(config.seed)
    for price, policy in zip(missing, taught, strict=True):
        found[price] = policy
        if config.kept is not None:
            save_bundle(_place(config, price), policy, catalogue, made, _figures(config, price))
    return [found[price] for price in wanted]


def _place(config: BudgetsConfig, price: float | None) -> Path:
    assert config.kept is not None, "asked for where networks are kept"
    return config.kept / ("all" if price is None else f"price-{price:g}")


def _figures(config: BudgetsConfig, price: float | None) -> dict[str, Any]:
    """What a kept network has to have been trained with."""
    steps = config.steps if price is not None else config.steps_of_all or config.steps
    prices = [config.prices[0], config.prices[-1]] if price is None else [price]
    return {"preset": config.preset, "prices": prices, "steps": steps}


def _known(config: BudgetsConfig, price: float | None) -> BundledPolicy | None:
    """A network that is kept.

    Raises:
        InputError: it was trained with something else.
    """
    if config.kept is None or not _place(config, price).is_dir():
        return None
    bundle = load_bundle(_place(config, price), _world(config)[1])
    asked = _figures(config, price) | {"seed": config.seed}
    was = bundle.manifest.figures | {"seed": bundle.manifest.seed}
    if was != asked:
        raise InputError(f"{bundle.path} was trained with {was}, not {asked}: give another --kept")
    return bundle.policy


def _taught(config: BudgetsConfig, price: float | None) -> BundledPolicy:
    """A network for one price, or for all of them."""
    lowest, highest = config.prices[0], config.prices[-1]
    steps = _figures(config, price)["steps"]
    training = TrainConfig(
        "q", seed=config.seed, preset=config.preset,
        budget_price=lowest if price is None else price,
        highest_budget_price=highest if price is None else None,
    )  # fmt: skip
    with one_quiet_thread():
        algorithm = world_algorithm(training)
        while (done := algorithm.sampled_steps() / steps) < 1:
            algorithm.train()
            algorithm.slow_down(min(1.0, done))
        policy: BundledPolicy = algorithm.policy()
        algorithm.stop()
    return policy


def _compared(config: BudgetsConfig, of_all: Policy, of_each: Sequence[Policy]) -> Iterator[Row]:
    """Both kinds at every price, on the same people with the same luck."""
    judged = Crowd(*_world(config), config.users, config.days, config.seed, workers=config.workers)
    silence, _ = judged.of_each(load_policy("silence", judged.catalogue), 0.0)  # spends nothing
    for price, of_one in zip(config.prices, of_each, strict=True):
        mine, its_own = (
            _less_spend(judged, policy, price) - silence for policy in (of_all, of_one)
        )
        yield Row(price, Estimate.of(mine), Estimate.of(its_own), ratio(mine, its_own))


def _less_spend(judged: Crowd, policy: Policy, price: float) -> Weekly:
    value, spend = judged.of_each(policy, price)
    return value - price * spend


def _budgets(config: BudgetsConfig, policy: Policy) -> list[dict[str, float]]:
    """The price of each budget by the dual search, and what was spent at it with other luck."""
    who, highest = (config.spending_users, config.spending_days), config.prices[-1]
    judged = Crowd(*_world(config), *who, config.seed, workers=config.workers, people=config.seed)
    searched = replace(judged, seed=config.seed + OTHER_LUCK)
    spend = cache(lambda price: searched.spend(policy, price))
    least, most = spend(highest), spend(0.0)
    budgets = [least + share * (most - least) for share in config.budgets]
    return [kept_to(budget, policy, spend, judged, highest) for budget in budgets]


def _world(config: BudgetsConfig) -> tuple[Preset, Catalogue]:
    return find_preset(config.preset), catalogue_for(config.preset, None)


def _prices(config: BudgetsConfig, rows: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE, title=(
        f"gain over silence less the price of the spend, cents a user-week, "
        f"{config.users:,} users x {config.days:g} days"
    ))  # fmt: skip
    for heading in ("price of a cent", "one network for all", "its own network", "share"):
        table.add_column(heading, justify="right")
    for row in rows:
        share = (
            f"{row['share']['mean']:.1%} [{row['share']['low']:.1%}, {row['share']['high']:.1%}]"
        )
        gains = (
            f"{row[kind]['mean']:.1f} [{row[kind]['low']:.1f}, {row[kind]['high']:.1f}]"
            for kind in ("of_all", "of_one")
        )
        table.add_row(f"{row['price']:g}", *gains, share)
    return table


if __name__ == "__main__":
    main()
