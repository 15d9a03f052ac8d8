"""Load on the service: as fast as it goes through ``wrk``, at a fixed rate, and in batches."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.connections import Client
from envs.errors import InputError

OFFERS: Final = "/v1/offers"
BATCH: Final = "/v1/offers:batch"
DEGRADED: Final = b'"degraded":true'

SCRIPT: Final = """
local prefix, users, scenes, count = "", 1, {}, 0

function init(args)
  prefix, users = args[1], tonumber(args[2])
  math.randomseed(tonumber(args[3]))
  for k = 4, #args do scenes[#scenes + 1] = args[k] end
  wrk.headers["content-type"] = "application/json"
end

function request()
  count = count + 1
  local user, scene = math.random(users), scenes[math.random(#scenes)]
  local body = string.format('{"request_id":"%s%d","user_id":"u%d","scene":"%s"}',
    prefix, count, user, scene)
  return wrk.format("POST", "/v1/offers", nil, body)
end

function done(summary, latency, requests)
  local wrong = summary.errors
  local broken = wrong.connect + wrong.read + wrong.write + wrong.timeout
  io.write(string.format(
    '{"requests":%d,"microseconds":%d,"refused":%d,"broken":%d,"p50_us":%d,"p99_us":%d}\\n',
    summary.requests, summary.duration, wrong.status, broken,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who asks, and from where."""

    users: int
    scenes: Sequence[str]
    seed: int


@dataclass(frozen=True, slots=True)
class Rush:
    """What ``wrk`` saw."""

    per_second: float
    """Answers with status 200."""
    refused: int
    """Answers with another status."""
    broken: int
    """Connections that failed, and calls without an answer."""
    p50_ms: float
    p99_ms: float


@dataclass(slots=True)
class Paced:
    """Calls at a fixed rate, each timed from the moment for which it was planned."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    """0 stands for no answer."""
    degraded: int = 0

    def add(self, status: int, body: bytes, seconds: float) -> None:
        """Note a call that has ended."""
        self.statuses[status] += 1
        self.seconds.append(seconds)
        self.degraded += DEGRADED in body

    @property
    def failed(self) -> int:
        """Calls without an answer, or with another status than 200."""
        return len(self.seconds) - self.statuses[200]

    def quantile_ms(self, share: float) -> float:
        """Time that this share of the calls took at most; those without an answer count too."""
        return float(np.quantile(self.seconds, share) * 1000) if self.seconds else float("nan")


def require_wrk() -> str:
    """Path of the ``wrk`` program.

    Raises:
        InputError: it is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise InputError("wrk is not installed: apt-get install wrk")
    return found


def rush(
    url: str, crowd: Crowd, prefix: str, seconds: float, connections: int, folder: Path
) -> Rush:
    """As many decisions as the service takes over so many connections, one in flight on each.

    Args:
        url: of the service.
        crowd: who asks.
        prefix: of the request ids; another one each time, lest answers be repeated.
        seconds: how long, at least one.
        connections: how many.
        folder: where the script is written.

    Raises:
        InputError: ``wrk`` is not installed, or it failed.
    """
    script = folder / "offers.lua"
    script.write_text(SCRIPT, encoding="utf-8")
    command = [require_wrk(), "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
    command += ["--timeout", "5s", "-s", str(script), url, "--", prefix, str(crowd.users)]
    done = subprocess.run(
        [*command, str(crowd.seed), *crowd.scenes], capture_output=True, text=True
    )
    if done.returncode:
        raise InputError(f"wrk failed on {url}: {(done.stderr or done.stdout).strip()}")
    return seen(json.loads(done.stdout.splitlines()[-1]))


def seen(said: dict[str, Any]) -> Rush:
    """What the script's last line says."""
    good = said["requests"] - said["refused"]
    return Rush(
        per_second=good / (said["microseconds"] / 1e6),
        refused=said["refused"],
        broken=said["broken"],
        p50_ms=said["p50_us"] / 1000,
        p99_ms=said["p99_us"] / 1000,
    )


def offer_bodies(crowd: Crowd, prefix: str) -> Callable[[int], bytes]:
    """The body of the request of each number."""
    rng = np.random.default_rng(crowd.seed)
    users = rng.integers(crowd.users, size=65_536).tolist()
    scenes = rng.integers(len(crowd.scenes), size=65_521).tolist()  # another period than users'

    def body(number: int) -> bytes:
        user, scene = users[number % len(users)], crowd.scenes[scenes[number % len(scenes)]]
        text = f'{{"request_id":"{prefix}{number}","user_id":"u{user}","scene":"{scene}"}}'
        return text.encode()

    return body


def batch_bodies(crowd: Crowd, prefix: str, size: int) -> Callable[[int], bytes]:
    """The body of the batch of each number: so many different users, one offer each."""

    def body(number: int) -> bytes:
        first, scenes = number * size, crowd.scenes
        offers = ",".join(
            f'{{"request_id":"{prefix}{place}","user_id":"u{place % max(crowd.users, size)}",'
            f'"scene":"{scenes[place % len(scenes)]}"}}'
            for place in range(first, first + size)
        )
        return f'{{"offers":[{offers}]}}'.encode()

    return body


async def paced(
    url: str, rate: float, seconds: float, connections: int, body: Callable[[int], bytes]
) -> Paced:
    """So many decisions a second, whether answers come or not.

    A call that finds no free connection waits, and its waiting counts: so a service that stalls
    is not asked less, and its stall is seen by all who would have come.
    """
    client, found = Client(url), Paced()
    due: asyncio.Queue[tuple[int, float] | None] = asyncio.Queue()

    async def work() -> None:
        while (job := await due.get()) is not None:
            number, planned = job
            try:
                reply = await client.post(OFFERS, body(number))
                status, text = reply.status, reply.body
            except (OSError, TimeoutError):
                status, text = 0, b""
            found.add(status, text, time.perf_counter() - planned)

    workers = [asyncio.create_task(work()) for _ in range(connections)]
    start = time.perf_counter()
    for number in range(round(rate * seconds)):
        planned = start + number / rate
        if (early := planned - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        due.put_nowait((number, planned))
    for _ in workers:
        due.put_nowait(None)
    await asyncio.gather(*workers)
    client.close()
    return found


async def batches(
    url: str, seconds: float, connections: int, size: int, body: Callable[[int], bytes]
) -> dict[str, float]:
    """As many batches as the service takes over so many connections."""
    client, start = Client(url, timeout_s=30.0), time.perf_counter()
    statuses: Counter[int] = Counter()
    degraded, number = 0, 0

    async def work() -> None:
        nonlocal degraded, number
        while time.perf_counter() - start < seconds:
            mine, number = number, number + 1
            try:
                reply = await client.post(BATCH, body(mine))
            except (OSError, TimeoutError):
                statuses[0] += 1
                continue
            statuses[reply.status] += 1
            degraded += reply.body.count(DEGRADED)

    await asyncio.gather(*(work() for _ in range(connections)))
    took = time.perf_counter() - start
    client.close()
    return {
        "per_second": statuses[200] * size / took,
        "failed": sum(statuses.values()) - statuses[200],
        "degraded": degraded,
    }
