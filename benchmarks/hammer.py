"""Whether caps and budget hold under many clients at once; all of it counted from the journal.

First few users, tight caps and a tight budget, asked for by many clients through several replicas.
Then many users without caps, who would take more than the budget: there its spend has to end at
what was planned. Exit status 1 when a promise is broken.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.command import run
from benchmarks.hammer_clients import Hammer, Mix, Seen
from benchmarks.journals import (
    ACTIVATED,
    LAPSED,
    Journal,
    cap_violations,
    read_journal,
    spend,
    wait_until_written,
)
from benchmarks.machine import origin
from benchmarks.served import service_up
from envs.catalogue import DEFAULT_CATALOGUE, Catalogue, load_catalogue
from serving.store.redis_server import RedisServer

TIGHT: Final = [
    {"name": "a_scene", "limit": 3, "hours": 1, "per": ["scene"]},
    {"name": "push_a_scene", "limit": 1, "hours": 24, "channel": "push", "per": ["scene"]},
    {"name": "sms_a_week", "limit": 1, "hours": 168, "channel": "sms"},
    {"name": "a_pair", "limit": 2, "hours": 1, "per": ["channel", "offer"]},
    {"name": "deep_a_month", "limit": 1, "hours": 720, "offer": "off30"},
    {"name": "twenty_a_day", "limit": 20, "days": 1},
]
WRITTEN_WITHIN_S: Final = 120.0
TOLERANCE: Final = 0.01
OVER_PERIODS_S: Final = 1.0
"""A period counts as whole when the load was on so long before it and after it."""


@dataclass(frozen=True, slots=True)
class HammerBenchmark:
    """Hammer the service, then count from the journal whether its promises held."""

    seconds: float = 60.0
    """Of hammering."""
    clients: int = 64
    """Connections, each with one call after the other."""
    replicas: int = 3
    """Processes that decide."""
    users: int = 200
    """Users asked for; a tenth of them get half of the calls."""
    budget_cents: int = 40_000
    """Of each period while hammered; more is asked for."""
    period_s: int = 15
    """Length of a period while hammered."""
    defer_s: int = 5
    """How long a deferred offer waits to be shown, before its budget is given back."""
    plan_periods: int = 3
    """Whole periods without contention; 0 leaves them out."""
    plan_cents: int = 200_000
    """Of each period without contention; more is asked for."""
    plan_period_s: int = 20
    """Length of a period without contention."""
    plan_clients: int = 16
    """Connections without contention."""
    plan_users: int = 20_000
    """Users without contention, whom no cap protects."""
    redis_timeout_ms: int = 250
    """How long a decision waits for Redis; long, so that clients contend instead of giving up."""
    seed: int = 0
    """Of what the clients do."""
    folder: Path | None = None
    """Where journals and logs are kept; a temporary folder when left out."""
    json: bool = False
    """Print one JSON object instead of a table."""


def measure(config: HammerBenchmark, temporary: Path) -> dict[str, Any]:
    """Both phases, and the promises that were broken.

    Raises:
        ChildError: the service did not start.
    """
    folder = config.folder or temporary
    found: dict[str, Any] = {"hammered": _hammered(config, folder / "hammered")}
    if config.plan_periods:
        found["planned"] = _planned(config, folder / "planned")
    broken = broken_promises(found)
    return found | {
        "broken": broken,
        "options": asdict(config) | {"folder": str(folder)},
        "lineage": origin(config.seed),
    }


def _hammered(config: HammerBenchmark, folder: Path) -> dict[str, Any]:
    """Few users, tight caps, a tight budget."""
    catalogue = write_catalogue(folder / "catalogue.yaml", TIGHT)
    mix = Mix(config.users, max(1, config.users // 10), _scenes(catalogue), batch=20)
    money = {
        "SCENELIFT_BUDGET_CENTS": str(config.budget_cents),
        "SCENELIFT_BUDGET_PERIOD_S": str(config.period_s),
        "SCENELIFT_DEFER_S": str(config.defer_s),
    }
    with _served(config, folder, money) as url:
        hammer = Hammer(url, mix, "h", config.seed)
        seen = asyncio.run(hammer.strike(config.clients, config.seconds))
    journal = read_journal(folder / "run")
    return counted(catalogue, journal, seen, config.budget_cents) | {
        "per_second": seen.decided / config.seconds,
        "cap_violations": cap_violations(catalogue, journal),
    }


def _planned(config: HammerBenchmark, folder: Path) -> dict[str, Any]:
    """Many users, no caps, more demand than budget; whole periods only."""
    catalogue = write_catalogue(folder / "catalogue.yaml", [])
    mix = Mix(
        config.plan_users, config.plan_users, _scenes(catalogue), batch=20, told=0.0, deferred=0.0
    )
    period_s = config.plan_period_s
    money = {
        "SCENELIFT_BUDGET_CENTS": str(config.plan_cents),
        "SCENELIFT_BUDGET_PERIOD_S": str(period_s),
    }
    with _served(config, folder, money) as url:
        start = time.time()
        first = int((start + OVER_PERIODS_S) // period_s) + 1
        end = (first + config.plan_periods) * period_s + OVER_PERIODS_S
        hammer = Hammer(url, mix, "p", config.seed)
        seen = asyncio.run(hammer.strike(config.plan_clients, end - start))
    journal = read_journal(folder / "run")
    spent = spend(catalogue, journal)
    whole = {
        period: spent.get(period, 0.0) / config.plan_cents
        for period in range(first, first + config.plan_periods)
    }
    return counted(catalogue, journal, seen, config.plan_cents) | {
        "per_second": seen.decided / (end - start),
        "share_of_plan": whole,
    }


@contextmanager
def _served(config: HammerBenchmark, folder: Path, money: Mapping[str, str]) -> Iterator[str]:
    """The service with a Redis of its own; in the end its journal is written."""
    settings = {"SCENELIFT_REDIS_TIMEOUT_MS": str(config.redis_timeout_ms), **money}
    with (
        RedisServer.start(folder / "redis") as redis,
        service_up(
            folder / "run",
            replicas=config.replicas,
            redis_url=redis.url,
            catalogue=folder / "catalogue.yaml",
            settings=settings,
        ) as served,
    ):
        yield served.url
        wait_until_written(redis.url, WRITTEN_WITHIN_S)


def write_catalogue(path: Path, caps: list[dict[str, Any]]) -> Catalogue:
    """The default catalogue with other caps, everyone to be reached at any hour."""
    content = yaml.safe_load(DEFAULT_CATALOGUE.read_text(encoding="utf-8"))
    content["caps"] = caps
    for channel in content["channels"]:
        channel.pop("quiet", None)
        channel.pop("consent", None)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return load_catalogue(path)


def _scenes(catalogue: Catalogue) -> tuple[str, ...]:
    return tuple(scene.name for scene in catalogue.scenes)


def counted(
    catalogue: Catalogue, journal: Journal, seen: Seen, budget_cents: int
) -> dict[str, Any]:
    """What clients were told, held against what the journal has."""
    kept, spent = journal.by_id(), spend(catalogue, journal)
    answers = seen.answers.values()
    known = [answer for answer in answers if answer["decision_id"] in kept]
    actions = {action.name: action.index for action in catalogue.actions}
    other = [a for a in known if kept[a["decision_id"]]["action"] != actions.get(a["action"])]
    return {
        "decisions": len(journal.decisions),
        "contacts": len(journal.given()),
        "answered": seen.decided,
        "repeated": seen.repeated,
        "degraded_share": seen.degraded / max(1, seen.decided),
        "statuses": dict(seen.statuses),
        "failed_calls": seen.failed,
        "refused_by": dict(seen.refused.most_common()),
        "missing_in_journal": len(seen.answers) - len(known),
        "activated": len(journal.ended_as(ACTIVATED)),
        "lapsed": len(journal.ended_as(LAPSED)),
        "activations_missing": len(seen.activated - journal.ended_as(ACTIVATED)),
        "answered_otherwise": seen.differing + len(other),
        "written_twice": journal.written_twice,
        "spent_of_budget": {k: v / budget_cents for k, v in sorted(spent.items()) if k},
        "overspent_cents": sum(max(0.0, v - budget_cents) for k, v in spent.items() if k),
        "spent_outside_periods_cents": spent.get(0, 0.0),
    }


def broken_promises(found: Mapping[str, Any]) -> list[str]:
    """What was promised and did not hold, one line each."""
    broken = []
    for phase in ("hammered", "planned"):
        row = found.get(phase, {})
        for name in (
            "cap_violations",
            "overspent_cents",
            "spent_outside_periods_cents",
            "missing_in_journal",
            "activations_missing",
            "answered_otherwise",
        ):
            if row.get(name):
                broken.append(f"{phase}: {name.replace('_', ' ')}: {row[name]:g}")
        if row and not row["decisions"]:
            broken.append(f"{phase}: no decision was taken")
    for period, share in found.get("planned", {}).get("share_of_plan", {}).items():
        if abs(share - 1) > TOLERANCE:
            broken.append(f"planned: period {period} ended at {share:.2%} of its plan")
    return broken


def main() -> int:
    """Measure and print; 1 when a promise is broken, 2 for what the caller can mend."""
    return run("hammer", __doc__, HammerBenchmark, measure, _show)


def _show(found: dict[str, Any]) -> None:
    Console().print(_table(found))


def _table(found: dict[str, Any]) -> Table:
    title = "; ".join(found["broken"]) or "Every promise held"
    table = Table(title=title, box=box.SIMPLE)
    phases = [phase for phase in ("hammered", "planned") if phase in found]
    table.add_column("", no_wrap=True)
    for phase in phases:
        table.add_column(phase, justify="right", no_wrap=True)
    rows = [found[phase] for phase in phases]
    for name in (
        *("decisions", "contacts", "per_second", "repeated", "degraded_share", "failed_calls"),
        *("cap_violations", "overspent_cents", "spent_outside_periods_cents"),
        *("missing_in_journal", "activations_missing", "answered_otherwise", "written_twice"),
        *("activated", "lapsed"),
    ):
        cells = (f"{row[name]:,.4g}" if name in row else "" for row in rows)
        table.add_row(name.replace("_", " "), *cells)
    for name in ("spent_of_budget", "share_of_plan"):
        cells = ("\n".join(f"{share:.2%}" for share in row.get(name, {}).values()) for row in rows)
        table.add_row(name.replace("_", " "), *cells)
    table.add_row("refused by", *(_most(row["refused_by"]) for row in rows))
    return table


def _most(refused: Mapping[str, int]) -> str:
    lines = [f"{name} {count:,}" for name, count in list(refused.items())[:6]]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
