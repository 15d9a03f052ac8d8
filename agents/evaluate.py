"""The command that plays policies against each other in the synthetic world."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table

from agents.judging import Cents, Field, Outcome, interval, play, rivals, summary
from agents.policy import Policy, load_policy
from envs.errors import InputError
from envs.lineage import lineage
from simulators.presets import catalogue_for
from simulators.progress import Bar


@dataclass(frozen=True, slots=True)
class EvaluateConfig:
    """Play policies on the same users and the same luck, beside the rivals that learn nothing."""

    policies: tyro.conf.Positional[tuple[str, ...]] = field(default=())
    """Folders of bundles, or baselines such as constant:gift/mini_program."""
    preset: str = "default"
    """Of the world: tabular, small, default, sparse, grocery or budget."""
    users: int = 1000
    """People, the same for every policy."""
    days: float = 28.0
    """How long each is followed."""
    seeds: int = 1
    """How many times all people are played, with other luck each time."""
    seed: int = 0
    """The first of those seeds."""
    cents: Cents = "expected_cents"
    """Net value as its mean given the hidden state, or as it fell."""
    catalogue: Path | None = None
    """A catalogue file; the preset's own when left out."""
    json: bool = False
    """Print one JSON object instead of a table."""


def run_evaluate(config: EvaluateConfig) -> None:
    """The command: play everybody, print values and paired gains."""
    if config.users < 2 or config.seeds < 1 or not config.days >= 1:
        raise InputError(
            f"users {config.users} have to be 2 or more, seeds {config.seeds} and "
            f"days {config.days} 1 or more"
        )
    catalogue = catalogue_for(config.preset, config.catalogue)
    seeds = tuple(range(config.seed, config.seed + config.seeds))
    where = Field(catalogue, config.preset, config.users, config.days, seeds, 0, config.cents)
    named = {_short(spec): load_policy(spec, catalogue) for spec in config.policies}
    outcomes, constant = _play_all(where, named, shown=not config.json)
    result = {
        "preset": config.preset,
        "users": config.users,
        "days": config.days,
        "seeds": list(seeds),
        "cents": config.cents,
        "best_constant": constant,
        "policies": summary(outcomes),
        "gain_over_best_constant": {
            name: interval(outcome.value - outcomes["best_constant"].value)
            for name, outcome in outcomes.items()
        },
        "lineage": lineage(config.seed),
    }
    if config.json:
        print(json.dumps(result))
    else:
        Console().print(_table(result))


def _short(spec: str) -> str:
    """A bundle is called by its path, a baseline by its name."""
    return spec.rstrip("/")


def _play_all(
    where: Field, named: dict[str, Policy], shown: bool
) -> tuple[dict[str, Outcome], str]:
    """Play rivals and policies, with a bar."""
    outcomes: dict[str, Outcome] = {}
    with Bar("choosing the best constant", shown):
        known = rivals(where)
    everybody = known | named
    for name, policy in everybody.items():
        with Bar(f"playing {name}", shown) as bar:
            outcomes[name] = play(where, policy, bar.update)
    return outcomes, known["best_constant"].name


def _table(result: dict[str, Any]) -> Table:
    table = Table(
        title=f"{result['users']} users x {result['days']:g} days, {result['cents']} a user-week"
    )
    table.add_column("policy", overflow="fold")
    for heading in ("value", "over silence", "over best constant", "spend"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, row in result["policies"].items():
        title = f"{name}, {result['best_constant']}" if name == "best_constant" else name
        table.add_row(
            title,
            _shown(row["value_per_user_week_cents"]),
            _shown(row["gain_over_silence"]),
            _shown(result["gain_over_best_constant"][name]),
            f"{row['spend_per_user_week_cents']:.1f}",
        )
    return table


def _shown(estimate: dict[str, float]) -> str:
    return f"{estimate['mean']:.0f} [{estimate['low']:.0f}, {estimate['high']:.0f}]"
