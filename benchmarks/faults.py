"""What callers and the journal suffer when something breaks, one fault at a time, under load.

Each fault has a service, a Redis and a run folder of its own, and steady load before, during and
after it. Exit status 1 when something acknowledged was lost, written twice or answered wrongly.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow.parquet as pq
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.children import Child, ChildError
from benchmarks.command import run
from benchmarks.fault_kinds import FAULTS, FIRST_POLICY, Scene, small_disk
from benchmarks.fault_redis import FaultyRedis
from benchmarks.fault_watch import Load, Times, followed_s, judged
from benchmarks.journals import read_journal, wait_until_written
from benchmarks.machine import origin
from benchmarks.served import READY_SECONDS, service_up
from benchmarks.serving import network_bundle
from envs.catalogue import load_catalogue
from envs.errors import InputError
from serving.ingress import free_ports

COUNTED: Final = ("decisions_lost", "events_lost", "duplicates", "wrong_answers")
"""What has to be zero."""
FOLLOWED_WITHIN_S: Final = 5.0
WRITTEN_WITHIN_S: Final = 60.0
WARM_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class FaultsBenchmark:
    """Break the service in one way after the other, and see what its callers notice."""

    faults: tuple[str, ...] = tuple(FAULTS)
    """Which."""
    rate: float = 60.0
    """Decisions a second, asked for whether answers come or not."""
    events: float = 20.0
    """Events a second."""
    replicas: int = 2
    """Processes that decide."""
    before_s: float = 5.0
    """Of load before the fault."""
    hold_s: float = 10.0
    """How long Redis stands still or is slow, and how long the disk is full."""
    dead_s: float = 2.0
    """How long Redis is gone when it is killed."""
    after_s: float = 20.0
    """Of load after the fault."""
    delay_ms: float = 200.0
    """How late Redis answers while it is slow."""
    kills: int = 20
    """How often the journal writer is killed."""
    fsync: Literal["always", "everysec"] = "always"
    """When Redis sees its append-only file safe on disk. Only "always" loses nothing whenever Redis
    or its machine ends; with "everysec" up to two seconds may go."""
    seed: int = 0
    """Of callers and moments."""
    folder: Path | None = None
    """Where logs and journals are kept; a temporary folder when left out."""
    json: bool = False
    """Print one JSON object instead of a table."""


def measure(config: FaultsBenchmark, temporary: Path) -> dict[str, Any]:
    """Every fault, and what was broken that should not be.

    Raises:
        InputError: a fault that is not known.
    """
    if unknown := set(config.faults) - FAULTS.keys():
        raise InputError(f"--faults {' '.join(sorted(unknown))}: give some of {' '.join(FAULTS)}")
    folder = config.folder or temporary
    rows = {name: _one(config, name, folder / name) for name in config.faults}
    return {
        "faults": rows,
        "broken": broken_promises(rows),
        "options": asdict(config) | {"folder": str(folder)},
        "lineage": origin(config.seed),
    }


def _one(config: FaultsBenchmark, name: str, folder: Path) -> dict[str, Any]:
    """One fault, from the start of a service to the count of what its journal has."""
    run_dir = folder / "run"
    with small_disk(run_dir / "journal") as mounted:
        try:
            with _scene(config, folder, mounted) as scene:
                load, times = asyncio.run(_under_load(config, name, scene))
                left = wait_until_written(scene.redis.url, WRITTEN_WITHIN_S)
        except ChildError as error:
            return {"failed": str(error)}
        log_ids = _log_ids(run_dir)
        journal = read_journal(run_dir)
        if mounted:  # the small disk goes with the block
            shutil.copytree(run_dir / "journal", folder / "journal", dirs_exist_ok=True)
    notes = scene.notes
    row = judged(load.calls, times, journal, log_ids, load_catalogue())
    if "changed" in notes:
        row["followed_s"] = followed_s(load.calls, notes["policy"], notes["changed"])
    kept = {key: value for key, value in notes.items() if key not in ("changed", "policy")}
    return row | {"fault_s": times.over - times.began, "left_in_redis": left, "notes": kept}


@contextmanager
def _scene(config: FaultsBenchmark, folder: Path, mounted: bool) -> Iterator[Scene]:
    """A service up, with all that there is to break."""
    wire_port = free_ports(1)[0]
    with FaultyRedis(folder / "redis", config.fsync) as redis:
        wire = ["benchmarks.slow_redis", "--port", str(wire_port), "--redis-port", str(redis.port)]
        wire += ["--delay-ms", str(config.delay_ms)]
        with Child("the wire", wire, folder / "wire.log") as slow:
            slow.address(READY_SECONDS)
            with service_up(
                folder / "run",
                policy=FIRST_POLICY,
                replicas=config.replicas,
                redis_url=f"redis://127.0.0.1:{wire_port}/0",
                settings={"SCENELIFT_POLICIES_DIR": str(folder.resolve())},
            ) as served:
                bundle = broken_bundle(folder / "broken")
                yield Scene(
                    *(served, redis, slow, mounted, bundle),
                    *(config.seed, config.hold_s, config.dead_s, config.kills),
                )


def broken_bundle(folder: Path) -> Path:
    """A bundle whose weights were changed after it was made."""
    network_bundle(folder, seed=0)
    weights = folder / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-8:] = bytes(byte ^ 0xFF for byte in content[-8:])
    weights.write_bytes(content)
    return folder.resolve()


async def _under_load(config: FaultsBenchmark, name: str, scene: Scene) -> tuple[Load, Times]:
    """Load before, during and after a fault.

    Raises:
        ChildError: the fault could not be made.
    """
    scenes = [place.name for place in load_catalogue().scenes]
    load = Load(scene.served.url, scenes, config.rate, config.events, config.seed)
    await _warm_up(load)
    stopped = asyncio.Event()
    calling = asyncio.create_task(load.run(stopped))
    try:
        await asyncio.sleep(config.before_s)
        began = time.monotonic()
        await FAULTS[name](scene)
        over = time.monotonic()
        await asyncio.sleep(config.after_s)
    finally:
        stopped.set()
        await calling
    return load, Times(began, over)


async def _warm_up(load: Load) -> None:
    """Calls that do not count: the first ones of new processes come late."""
    stopped, first = asyncio.Event(), replace(load, events=0.0, prefix="warm", calls=[])
    calling = asyncio.create_task(first.run(stopped))
    await asyncio.sleep(WARM_S)
    stopped.set()
    await calling


def _log_ids(run_dir: Path) -> list[str]:
    """Decision ids in the log that the service's own command makes."""
    arguments = ["serving", "journal", "--run-dir", str(run_dir)]
    with Child("the journal", arguments, run_dir.parent / "journal.log") as making:
        making.finish()
    ids: list[str] = pq.read_table(run_dir / "journal.parquet")["decision_id"].to_pylist()
    return ids


def broken_promises(rows: dict[str, dict[str, Any]]) -> list[str]:
    """What should never be and was, one line each."""
    broken = []
    for name, row in rows.items():
        if "failed" in row:
            broken.append(f"{name}: {row['failed']}")
            continue
        broken += [f"{name}: {key.replace('_', ' ')}: {row[key]}" for key in COUNTED if row[key]]
        if row["recovered_s"] is None:
            broken.append(f"{name}: had not recovered when the load ended")
        if "followed_s" in row:
            seconds = row["followed_s"]
            if seconds is None or seconds > FOLLOWED_WITHIN_S:
                shown = "never" if seconds is None else f"after {seconds:.1f} s"
                broken.append(f"{name}: all replicas followed {shown}")
        if "broken" in row["notes"]:
            broken.append(f"{name}: {row['notes']['broken']}")
    return broken


def main() -> int:
    """Measure and print; 1 when a promise is broken, 2 for what the caller can mend."""
    return run("faults", __doc__, FaultsBenchmark, measure, _show)


def _show(found: dict[str, Any]) -> None:
    console = Console()
    console.print(_table(found["faults"], found["options"]["fsync"]))
    console.print("\n".join(found["broken"]) or "Every promise held.")


def _table(rows: dict[str, dict[str, Any]], fsync: str) -> Table:
    title = f"Acknowledged and lost; what callers noticed; Redis with appendfsync {fsync}"
    table = Table(title=title, box=box.SIMPLE)
    headings = ("", "lost", "twice", "wrong", "degraded", "5xx", "gap s", "recovery s")
    for heading in headings:
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for name, row in rows.items():
        if "failed" in row:
            table.add_row(name.replace("_", " "), "not made")
            continue
        recovered = "never" if row["recovered_s"] is None else f"{row['recovered_s']:.1f}"
        table.add_row(
            name.replace("_", " "),
            f"{row['decisions_lost']} + {row['events_lost']}",
            f"{row['duplicates']}",
            f"{row['wrong_answers']}",
            f"{row['degraded_share']:.2%}",
            f"{row['failed_share']:.2%}",
            f"{row['longest_gap_s']:.2f}",
            recovered,
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
