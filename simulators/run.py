"""The command that plays a policy and keeps the trace."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from envs.catalogue import load_catalogue
from envs.errors import InputError
from simulators.progress import Bar
from simulators.replay import LoadPolicy
from simulators.rollout import BATCH, rollout
from simulators.trace import Trace, write_trace
from simulators.value import value_per_user_week
from simulators.world import START, SyntheticWorld


@dataclass(frozen=True, slots=True)
class RunConfig:
    """Let a policy decide for users of the synthetic world and keep everything that happened."""

    policy: str = "uniform"
    """A baseline (silence, uniform, rule_book, constant:OFFER/CHANNEL) or a bundle's folder."""
    users: int = 1000
    """How many users."""
    first_user: int = 0
    """Number of the first of them; the same number is the same person in any run of a seed."""
    days: float = 30.0
    """How long to follow each."""
    seed: int = 0
    """Of all luck."""
    preset: str = "default"
    """Of the world: default or small."""
    catalogue: Path | None = None
    """A catalogue file; the default one when left out."""
    start: str = START
    """ISO 8601 time with zone."""
    budget_price: float = 0.0
    """What the policy is told about the price of spend."""
    batch_size: int = BATCH
    """Users side by side; the trace is the same for any."""
    out: Path | None = None
    """Where to keep the trace (Parquet); not kept when left out."""
    json: bool = False
    """Print one JSON object instead of a table."""


def run_rollout(config: RunConfig, load_policy: LoadPolicy) -> None:
    """The command: play, keep, print the value a user and week."""
    _check(config)
    catalogue = load_catalogue(config.catalogue)
    policy = load_policy(config.policy, catalogue)
    rows = min(config.batch_size, config.users)
    world = SyntheticWorld(rows, config.seed, config.preset, catalogue, config.start)
    users = np.arange(config.first_user, config.first_user + config.users)
    started = time.perf_counter()
    with Bar(f"playing {policy.name}", shown=not config.json) as bar:
        trace = rollout(
            world, policy, users, config.days, config.budget_price, config.policy, bar.update
        )
    if config.out is not None:
        write_trace(trace, config.out)
    _print(trace, config, time.perf_counter() - started)


def _check(config: RunConfig) -> None:
    if min(config.users, config.batch_size, config.days) < 1 or config.first_user < 0:
        raise InputError(
            f"users {config.users}, batch_size {config.batch_size} and days {config.days:g} have "
            f"to be 1 or more, first_user {config.first_user} 0 or more"
        )
    if not config.budget_price >= 0:
        raise InputError(f"budget_price {config.budget_price} has to be 0 or more")


def _print(trace: Trace, config: RunConfig, seconds: float) -> None:
    value = value_per_user_week(trace)
    expected = value_per_user_week(trace, "expected_cents")
    if config.json:
        result = {
            "policy": trace.info.policy_name,
            "users": value.users,
            "days": trace.info.days,
            "decisions": trace.table.num_rows,
            "value_per_user_week_cents": asdict(value),
            "expected_per_user_week_cents": asdict(expected),
            "content_hash": trace.info.content_hash,
            "trace": None if config.out is None else str(config.out),
            "seconds": round(seconds, 3),
            "lineage": trace.info.lineage,
        }
        print(json.dumps(result))
        return
    title = f"{trace.info.policy_name}: {value.users} users x {trace.info.days:g} days"
    table = Table("", "cents a user-week", "95 % interval", title=title)
    for name, estimate in (("as it fell", value), ("conditional means", expected)):
        interval = f"{estimate.low:.1f} to {estimate.high:.1f}"
        table.add_row(name, f"{estimate.mean:.1f}", interval)
    console = Console()
    console.print(table)
    console.print(f"{trace.table.num_rows} decisions in {seconds:.1f} s", highlight=False)
    print(f"hash {trace.info.content_hash}")
    if config.out is not None:
        print(f"trace {config.out}")
