"""The command that plays a policy and keeps the trace."""

from __future__ import annotations

import json
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from envs.catalogue import load_catalogue
from envs.errors import InputError
from envs.lineage import lineage
from simulators.cluster import quiet_ray
from simulators.content import joined_hash
from simulators.make import world_factory
from simulators.progress import Bar
from simulators.replay import LoadPolicy
from simulators.rollout import BATCH, Progress
from simulators.shards import Job, play_shards
from simulators.trace import TraceFile, TraceFolder, TraceInfo, keeping
from simulators.value import Tally
from simulators.world import START

NOT_OF_THE_TRACE: Final = ("batch_size", "workers", "address", "out", "json")
"""Settings that have no part in what happens."""


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
    """Of the world: default, small, sparse, grocery, budget or tabular."""
    catalogue: Path | None = None
    """A catalogue file; the preset's own when left out."""
    start: str = START
    """ISO 8601 time with zone."""
    budget_price: float = 0.0
    """What the policy is told about the price of spend."""
    stress: tuple[str, ...] = ()
    """What goes wrong, the first innermost, like drift:0.1 failed_channel:push:3:10."""
    signals: bool = False
    """Keep what an app had of the users too: place, motion, device, network, page, weather."""
    batch_size: int = BATCH
    """Users side by side; the trace is the same for any. Memory grows with them and the days."""
    workers: int = 0
    """Ray tasks at a time; 0: no Ray, or all cores of the cluster at --address."""
    address: str | None = None
    """Ray cluster to use; with --workers one is started here when left out."""
    out: str | None = None
    """Where to keep the trace: a Parquet file, or a folder of them (a / at the end, or an empty
    folder); not kept when left out. The bytes are the same for any batch size and workers."""
    json: bool = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a run."""

    info: TraceInfo
    rows: int
    net: Tally
    expected: Tally


def run_rollout(config: RunConfig, load_policy: LoadPolicy) -> None:
    """The command: play, keep, print the value a user and week."""
    _check(config)
    job = _job(config, load_policy)
    started = time.perf_counter()
    bar = Bar(f"playing {job.policy.name}", shown=not config.json)
    with _ray(config), _place(config.out) as kept, bar:
        run = _played(config, job, kept, bar.update)
    _print(run, config, time.perf_counter() - started)


def _ray(config: RunConfig) -> AbstractContextManager[None]:
    """Ray before the bar begins, if anybody asks for it."""
    if not config.workers and config.address is None:
        return nullcontext()
    return quiet_ray(config.address, config.workers)


def _place(out: str | None) -> AbstractContextManager[TraceFile | TraceFolder | None]:
    """Where the trace is kept, if anywhere."""
    if out is None:
        return nullcontext()
    return keeping(Path(out), folder=out.endswith("/") or Path(out).is_dir())


def _job(config: RunConfig, load_policy: LoadPolicy) -> Job:
    catalogue = None if config.catalogue is None else load_catalogue(config.catalogue)
    worlds = world_factory(config.preset, catalogue, config.start, config.stress)
    return Job(
        worlds=worlds,
        seed=config.seed,
        policy=load_policy(config.policy, worlds.catalogue),
        days=config.days,
        budget_price=config.budget_price,
        signals=config.signals,
        batch_size=config.batch_size,
        kept=config.out is not None,
    )


def _played(
    config: RunConfig, job: Job, kept: TraceFile | TraceFolder | None, progress: Progress
) -> Run:
    """Play all parts and keep them as they come."""
    player = job.player(1)  # what is wrong with the world shows before any work is done
    users = np.arange(config.first_user, config.first_user + config.users)
    rows, hashes, net, expected = 0, [], Tally(), Tally()
    for part in play_shards(job, users, config.address, config.workers, progress):
        rows += part.rows
        hashes.append(part.hash)
        net, expected = net.plus(part.net), expected.plus(part.expected)
        if kept is not None:
            kept.add(part.content)
    info = player.info(joined_hash(hashes), config.policy, config.stress, _command(config))
    if kept is not None:
        kept.finish(info)
    return Run(info, rows, net, expected)


def _command(config: RunConfig) -> str:
    """What makes the same trace, whatever the machine: without how and where it is made."""
    given = {
        field.name: getattr(config, field.name)
        for field in fields(config)
        if field.name not in NOT_OF_THE_TRACE
    }
    options = [_option(name.replace("_", "-"), value) for name, value in given.items()]
    return " ".join(["python -m simulators run", *filter(None, options)])


def _option(name: str, value: object) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else ""
    if isinstance(value, tuple):
        return f"--{name} {' '.join(value)}" if value else ""
    return "" if value is None else f"--{name} {value}"


def _check(config: RunConfig) -> None:
    if not min(config.users, config.batch_size, config.days) >= 1:
        raise InputError(
            f"users {config.users}, batch_size {config.batch_size} and days {config.days:g} have "
            "to be 1 or more"
        )
    if min(config.first_user, config.workers) < 0:
        raise InputError(
            f"first_user {config.first_user} and workers {config.workers} have to be 0 or more"
        )
    if not config.budget_price >= 0:
        raise InputError(f"budget_price {config.budget_price} has to be 0 or more")


def _print(run: Run, config: RunConfig, seconds: float) -> None:
    info, net, expected = run.info, run.net.estimate(), run.expected.estimate()
    if config.json:
        result = {
            "policy": info.policy_name,
            "users": net.users,
            "days": info.days,
            "decisions": run.rows,
            "value_per_user_week_cents": asdict(net),
            "expected_per_user_week_cents": asdict(expected),
            "content_hash": info.content_hash,
            "trace": config.out,
            "seconds": round(seconds, 3),
            "lineage": lineage(info.seed),
        }
        print(json.dumps(result))
        return
    title = f"{info.policy_name}: {net.users} users x {info.days:g} days"
    table = Table("", "cents a user-week", "95 % interval", title=title)
    for name, estimate in (("as it fell", net), ("conditional means", expected)):
        interval = f"{estimate.low:.1f} to {estimate.high:.1f}"
        table.add_row(name, f"{estimate.mean:.1f}", interval)
    console = Console()
    console.print(table)
    console.print(f"{run.rows} decisions in {seconds:.1f} s", highlight=False)
    print(f"hash {info.content_hash}")
    if config.out is not None:
        print(f"trace {config.out}")
