"""The command that finds the price of a cent for each budget."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache

import tyro
from rich.console import Console
from rich.table import Table

from agents.judging.field import OTHER_LUCK
from agents.judging.pricing import Crowd, kept_to
from agents.policy import load_policy
from envs.errors import InputError
from envs.lineage import lineage
from simulators.cluster import quiet_ray
from simulators.presets import catalogue_for, find_preset
from simulators.progress import Bar


@dataclass(frozen=True, slots=True)
class PriceConfig:
    """Find what a cent has to cost so that a policy spends a budget, and judge it on others.

    The policy has to know what it is told: one trained with a range of budget prices.
    """

    policy: tyro.conf.Positional[str]
    """Folder of a bundle."""
    budgets: tuple[float, ...]
    """Cents a user-week to spend on offers and sends, each above 0."""
    highest: float = 3.0
    """Highest price to look at, that of the training."""
    preset: str = "default"
    """Of the world."""
    users: int = 8000
    """People on whom prices are searched, and as many others on whom they are judged."""
    days: float = 60.0
    """How long to follow them."""
    seed: int = 0
    """Of the luck of those judged."""
    workers: int = 2
    """Ray tasks at a time; 0: no Ray, or all cores of the cluster at --address."""
    address: str | None = None
    """Ray cluster to use; one is started here when left out."""
    json: bool = False
    """Print one JSON object instead of a table."""


def run_price(config: PriceConfig) -> None:
    """The command: search, judge, print."""
    if not config.budgets or not min(config.budgets) > 0 or not config.highest > 0:
        raise InputError(
            f"budgets {list(config.budgets)} and highest {config.highest} have to be above 0"
        )
    if config.users < 2 or not config.days >= 1 or config.workers < 0:
        raise InputError(
            f"users {config.users} have to be 2 or more, days {config.days} 1 or more, "
            f"workers {config.workers} 0 or more"
        )
    preset, catalogue = find_preset(config.preset), catalogue_for(config.preset, None)
    policy = load_policy(config.policy, catalogue)
    where = preset, catalogue, config.users, config.days
    who = config.workers, config.address
    searched = Crowd(*where, config.seed + OTHER_LUCK, *who)
    judged = Crowd(*where, config.seed, *who)
    spend = cache(lambda price: searched.spend(policy, price))
    found = []
    used = config.workers or config.address
    ray = quiet_ray(config.address, config.workers) if used else nullcontext()
    with ray, Bar("searching prices", shown=not config.json) as bar:
        for done, budget in enumerate(config.budgets, start=1):
            found.append(kept_to(budget, policy, spend, judged, config.highest))
            bar.update(done / len(config.budgets))
    result = {
        "policy": config.policy,
        "preset": preset.name,
        "users": config.users,
        "days": config.days,
        "prices": found,
        "lineage": lineage(config.seed),
    }
    if config.json:
        print(json.dumps(result))
    else:
        whom = f"{config.users} other users x {config.days:g} days"
        Console().print(budgets_kept(found, whom))


def budgets_kept(rows: list[dict[str, float]], whom: str) -> Table:
    """What ``kept_to`` says of several budgets, as a table."""
    table = Table(title=f"{whom}, cents a user-week")
    for heading in ("budget", "price of a cent", "value", "spend", "of the budget"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            f"{row['budget_cents_per_user_week']:g}",
            f"{row['budget_price']:.4f}",
            f"{row['value_per_user_week_cents']:.1f}",
            f"{row['spend_per_user_week_cents']:.2f}",
            f"{row['spend_over_budget']:.1%}",
        )
    return table
