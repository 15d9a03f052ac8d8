"""Sends users to a service over HTTP, as an application would: the service cannot tell.

Either the users of the synthetic world, who react to what they get and whose reactions are
reported as events, or the customers of a log, once each, whose answers are kept to be judged.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import httpx
import numpy as np
import tyro
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from envs.aside import file_aside
from envs.errors import InputError
from envs.lineage import lineage
from simulators.clients.answers import Answer, Item, Result
from simulators.clients.customers import send_customers
from simulators.clients.visitors import Visit, visit
from simulators.logs.logged import read_log
from simulators.logs.served import write_served
from simulators.world import START, SyntheticWorld

TRIES: Final = 6
BACKOFF_S: Final = 0.1
"""Wait before the first retry; doubles with each."""
PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed."""


@dataclass(frozen=True, slots=True)
class TrafficConfig:
    """Send users to a service over HTTP and measure what comes back."""

    url: str
    """Address of the service, for example http://127.0.0.1:8000."""
    users: int = 500
    """Users of the synthetic world."""
    first_user: int = 0
    """Number of the first of them."""
    days: float = 7.0
    """How long each of them is followed."""
    seed: int = 0
    """Of the world's luck."""
    preset: str = "default"
    """Preset of the world."""
    start: str = START
    """Time at which the world starts, ISO 8601 with its zone."""
    signals: bool = False
    """Tell what an app has of the scene (motion, place, network, ...) in place of the scene; the
    service has to have been started with --scenes."""
    log: Path | None = None
    """Instead of the world: send the customers of this log, once each."""
    connections: Annotated[int, tyro.conf.arg(aliases=["--concurrency"])] = 8
    """Requests under way at the same time, each on its own connection. More of them than a small
    machine can serve only wait, until the service answers some with degraded silence."""
    label: str | None = None
    """Starts every user id. The same label asks the same requests again; by default a new one, so
    that the service meets strangers instead of users who remember another run."""
    key: str | None = None
    """API key; SCENELIFT_KEY of the environment if left out."""
    timeout_s: float = 10.0
    """How long one answer may take."""
    out: Path | None = None
    """Where the result goes: JSON for the world, Parquet of served decisions for a log."""
    json: bool = False
    """Print the result as one JSON object."""


@dataclass(slots=True)
class Counts:
    """What the calls came to."""

    offer_ms: list[float] = field(default_factory=list)
    """Time to the answer of each decision, retries included."""
    event_calls: int = 0
    events: int = 0
    errors: int = 0
    """Calls that failed for good."""
    retries: int = 0
    degraded: int = 0
    policies: dict[str, int] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """Figures for the result; latencies are those of decisions."""
        p50, p99 = np.percentile(self.offer_ms, (50, 99)) if self.offer_ms else (0.0, 0.0)
        return {
            "requests": len(self.offer_ms) + self.event_calls + self.errors,
            "errors": self.errors,
            "retries": self.retries,
            "p50_ms": float(p50),
            "p99_ms": float(p99),
            "decisions": len(self.offer_ms),
            "events": self.events,
            "degraded": self.degraded,
            "policies": self.policies,
        }


class HttpService:
    """The HTTP API as a client sees it, with bounded connections and retries by request id."""

    def __init__(self, config: TrafficConfig) -> None:
        key = config.key or os.environ.get("SCENELIFT_KEY")
        headers = {"content-type": "application/json"}
        if key:
            headers["authorization"] = f"Bearer {key}"
        try:
            self._client = httpx.AsyncClient(
                base_url=config.url,
                headers=headers,
                timeout=config.timeout_s,
                limits=httpx.Limits(max_connections=config.connections),
            )
        except (httpx.InvalidURL, ValueError) as error:
            raise InputError(f"--url {config.url!r}: {error}") from None
        self._url = config.url
        self._connections = config.connections
        self.counts = Counts()

    async def __aenter__(self) -> HttpService:
        """Make sure that somebody answers before thousands of calls are tried.

        Raises:
            InputError: nobody does.
        """
        try:
            await self._client.get("/healthz")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            await self._client.aclose()
            reason = str(error) or type(error).__name__
            raise InputError(
                f"no service answers at {self._url} ({reason}): start one with "
                "`python -m serving up`"
            ) from None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def decide(self, request: dict[str, Any]) -> Answer | None:
        """Ask for one user's offer; None when the service failed for good.

        Raises:
            InputError: the service refuses the request as wrong.
        """
        begun = time.perf_counter()
        answer = await self._post("/v1/offers", request)
        if answer is None:
            return None
        counts = self.counts
        counts.offer_ms.append((time.perf_counter() - begun) * 1000)
        counts.degraded += bool(answer["degraded"])
        policy = str(answer["policy"])
        counts.policies[policy] = counts.policies.get(policy, 0) + 1
        return Answer(
            decision_id=str(answer["decision_id"]),
            action=str(answer["action"]),
            propensity=float(answer["propensity"]),
            policy=policy,
            degraded=bool(answer["degraded"]),
        )

    async def tell(self, events: Sequence[dict[str, Any]]) -> None:
        """Report up to 1,000 events.

        Raises:
            InputError: the service refuses them as wrong.
        """
        if await self._post("/v1/events", {"events": list(events)}) is not None:
            self.counts.event_calls += 1
            self.counts.events += len(events)

    async def each(
        self, call: Callable[[Item], Awaitable[Result]], items: Iterable[Item]
    ) -> list[Result]:
        """Call for every item, as many at a time as there are connections; results in order."""
        queue = enumerate(items)
        results: dict[int, Result] = {}

        async def work() -> None:
            for position, item in queue:
                results[position] = await call(item)

        async with asyncio.TaskGroup() as group:
            for _ in range(self._connections):
                group.create_task(work())
        return [results[position] for position in sorted(results)]

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        content = json.dumps(body, separators=(",", ":"))
        for attempt in range(TRIES):
            if attempt:
                self.counts.retries += 1
                await asyncio.sleep(BACKOFF_S * 2 ** (attempt - 1))
            try:
                response = await self._client.post(path, content=content)
            except httpx.TransportError:
                continue
            if response.status_code < 300:
                answer: dict[str, Any] = response.json()
                return answer
            if response.status_code not in PASSING:
                raise InputError(
                    f"{self._url}{path} answers {response.status_code}: {response.text[:300]}"
                )
        self.counts.errors += 1
        return None


def run_traffic(config: TrafficConfig) -> None:
    """Send the users, write the result and print it."""
    if config.connections < 1 or config.users < 1 or not config.days > 0 or config.first_user < 0:
        raise InputError("--connections, --users and --days have to be above 0, --first-user 0 up")
    if config.signals and config.log is not None:
        raise InputError("--signals: a log has none; leave out --log or --signals")
    try:
        result = asyncio.run(_send(config))
    except BaseExceptionGroup as group:
        wrong = group.subgroup(InputError)
        if wrong is None:
            raise
        raise _first(wrong) from None
    if config.out is not None and config.log is None:
        config.out.parent.mkdir(parents=True, exist_ok=True)
        with file_aside(config.out) as aside:
            aside.write_text(json.dumps(result, indent=1) + "\n")
    _report(result, config)


def _first(group: BaseExceptionGroup[InputError]) -> InputError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, InputError), "the subgroup holds nothing else"
    return error


async def _send(config: TrafficConfig) -> dict[str, Any]:
    label = config.label or f"t{time.time_ns() // 1_000_000:x}"
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        async with HttpService(config) as service:
            begun = time.perf_counter()
            if config.log is not None:
                figures = await _send_log(config, service, progress, label)
            else:
                figures = await _send_world(config, service, progress, label)
    return {
        **service.counts.summary(),
        "seconds": time.perf_counter() - begun,
        "url": config.url,
        "label": label,
        "connections": config.connections,
        **figures,
        "lineage": lineage(config.seed),
    }


async def _send_log(
    config: TrafficConfig, service: HttpService, progress: Progress, label: str
) -> dict[str, Any]:
    log = read_log(Path(str(config.log)))
    task = progress.add_task("customers", total=len(set(log.user_ids)))
    served = await send_customers(log, service, label, lambda: progress.advance(task))
    if config.out is not None:
        write_served(served, config.out, lineage(config.seed))
    names, counts = np.unique(served.actions.astype(str), return_counts=True)
    return {"log": str(config.log), "served": dict(zip(names, counts.tolist(), strict=True))}


async def _send_world(
    config: TrafficConfig, service: HttpService, progress: Progress, label: str
) -> dict[str, Any]:
    world = SyntheticWorld(config.users, config.seed, config.preset, start=config.start)
    user_ids = np.arange(config.first_user, config.first_user + config.users)
    if config.first_user:
        world.restart(np.arange(config.users), user_ids)
    task = progress.add_task("user-days", total=round(config.users * config.days))
    passed = partial(_passed, progress, task)
    plan = Visit(label, config.days, passed, config.signals)
    value = await visit(world, user_ids, service, plan)
    return {
        "seed": config.seed,
        "preset": config.preset,
        "start": config.start,
        "users": config.users,
        "days": config.days,
        "signals": config.signals,
        "weeks": config.days / 7,
        "value_per_user_week_cents": value.per_user_week(config.days),
        "user_ids": user_ids.tolist(),
        "net_cents": value.net_cents.tolist(),
        "expected_cents": value.expected_cents.tolist(),
    }


def _passed(progress: Progress, task: TaskID, days: float) -> None:
    progress.update(task, completed=round(days))


def _report(result: dict[str, Any], config: TrafficConfig) -> None:
    if config.json:
        print(json.dumps(result))
        return
    table = Table("figure", title=f"traffic to {config.url}")
    table.add_column("value", justify="right")
    for name in ("requests", "errors", "retries", "decisions", "events", "degraded"):
        table.add_row(name, f"{result[name]:,}")
    for name in ("p50_ms", "p99_ms", "seconds"):
        table.add_row(name, f"{result[name]:,.1f}")
    for action, count in result.get("served", {}).items():
        table.add_row(f"served {action}", f"{count:,}")
    if "value_per_user_week_cents" in result:
        value = result["value_per_user_week_cents"]
        shown = f"{value['mean']:.1f} [{value['low']:.1f}, {value['high']:.1f}]"
        table.add_row("net value per user-week, cents", shown)
    Console().print(table)
