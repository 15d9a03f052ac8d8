"""Whether the service says no as it promised to, whatever it is given.

schemathesis calls every route that the running service describes, with the keys of each role and
with none. Then bundles, catalogues, events and requests that were right are made wrong at random:
each has to be taken, or refused with the documented error. Exit status 1 otherwise.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from rich import box
from rich.console import Console
from rich.table import Table

from agents.policy import load_bundle, load_policy
from benchmarks.children import ChildError
from benchmarks.command import run
from benchmarks.connections import Client, Reply
from benchmarks.hammer_clients import EVENTS
from benchmarks.load import BATCH, OFFERS
from benchmarks.machine import origin
from benchmarks.mutants import mutant, nested, swapped
from benchmarks.served import service_up
from benchmarks.serving import network_bundle
from envs.catalogue import DEFAULT_CATALOGUE, Catalogue, load_catalogue, parse_catalogue
from envs.errors import CatalogueError, InputError
from envs.scene_reader import HOURS, SceneCounts, save_counts
from serving.access.key import new_key
from serving.security import Role, entry_of

CONFIG: Final = Path(__file__).with_name("schemathesis.toml")
WEIGHTS: Final = "weights.safetensors"
NOBODY: Final = "nobody"
SHOWN: Final = 5
"""Crashes that are kept with what made them."""
BODIES: Final[dict[str, dict[str, Any]]] = {
    OFFERS: {
        "request_id": "r1",
        "user_id": "u1",
        "scene": "commute",
        "attributes": {"member_tier": "gold", "past_spend_cents": 12.5},
        "now": "2025-01-06T08:30:00Z",
        "time_zone": "Europe/Berlin",
        "location": {"latitude": 52.52, "longitude": 13.4},
        "exclude_offers": ["gift"],
        "exclude_channels": ["sms"],
        "defer": True,
    },
    EVENTS: {
        "events": [
            {
                "event_id": "e1",
                "user_id": "u1",
                "kind": "bought",
                "time": "2025-01-06T08:30:00Z",
                "scene": "mall",
                "channel": "push",
                "offer": "off10",
                "amount_cents": 1234,
                "discount": 0.1,
                "attributes": {"favourite_category": "home"},
                "time_zone": "Europe/Berlin",
            }
        ]
    },
    BATCH: {
        "offers": [
            {"request_id": "r1", "user_id": "u1", "scene": "commute"},
            {"request_id": "r2", "user_id": "u2", "signals": {"motion": "walking"}},
        ]
    },
}


@dataclass(frozen=True, slots=True)
class FuzzBenchmark:
    """Give the service what it should refuse, and see that it does."""

    examples: int = 50
    """Most calls that schemathesis makes of a route in a phase; 0 leaves it out."""
    roles: tuple[str, ...] = ("admin", "analyst", "app", NOBODY)
    """Whose keys it shows; nobody has none."""
    bundles: int = 2_000
    """Bundles made wrong."""
    catalogues: int = 2_000
    """Catalogues made wrong."""
    bodies: int = 3_000
    """Bodies of calls made wrong."""
    seed: int = 0
    """Of everything."""
    json: bool = False
    """Print one JSON object instead of a table."""


@dataclass(slots=True)
class Tally:
    """What became of what was made wrong."""

    taken: int = 0
    refused: int = 0
    crashed: int = 0
    slowest_s: float = 0.0
    crashes: list[str] = field(default_factory=list)
    """The first few."""

    def crash(self, what: str) -> None:
        """Something that is neither taken nor refused as documented."""
        self.crashed += 1
        if len(self.crashes) < SHOWN:
            self.crashes.append(what)


def measure(config: FuzzBenchmark, folder: Path) -> dict[str, Any]:
    """Everything, and what went wrong.

    Raises:
        ChildError: the service did not start.
        InputError: schemathesis is not installed.
    """
    program = require_schemathesis() if config.examples else ""
    found: dict[str, Any] = {
        "bundles": asdict(fuzz_bundles(folder / "bundles", config.bundles, config.seed)),
        "catalogues": asdict(fuzz_catalogues(config.catalogues, config.seed)),
    }
    keys = {role.name.lower(): new_key() for role in Role}
    entries = [entry_of(Role[name.upper()], key, name) for name, key in keys.items()]
    settings = {
        "SCENELIFT_API_KEYS": ",".join(entries),
        "SCENELIFT_REDIS_TIMEOUT_MS": "2000",
        "SCENELIFT_SCENES": str(_scene_reader(folder / "scenes.json")),
    }
    with service_up(folder / "run", settings=settings) as served:
        calls = fuzz_calls(served.url, keys["admin"], config.bodies, config.seed)
        found["calls"] = asdict(asyncio.run(calls))
        if program:
            found["schemathesis"] = {
                role: _schemathesis(program, served.url, keys.get(role, ""), role, config, folder)
                for role in config.roles
            }
    return found | {
        "broken": broken_promises(found),
        "options": asdict(config),
        "lineage": origin(config.seed),
    }


def require_schemathesis() -> str:
    """Path of the program.

    Raises:
        InputError: it is not installed.
    """
    beside = Path(sys.executable).with_name("schemathesis")
    found = str(beside) if beside.exists() else shutil.which("schemathesis")
    if found is None:
        raise InputError("schemathesis is not installed: pip install -e '.[bench]'")
    return found


def _schemathesis(
    program: str, url: str, key: str, role: str, config: FuzzBenchmark, folder: Path
) -> dict[str, Any]:
    """One run with the key of a role; its own report says what it found."""
    report = folder / f"schemathesis-{role}.json"
    command = [program, "--config-file", str(CONFIG), "run", f"{url}/openapi.json"]
    command += ["--checks", "all", "--max-examples", str(config.examples), "--continue-on-failure"]
    command += ["--seed", str(config.seed), "--no-color", "--report", "json"]
    command += ["--report-json-path", str(report)]
    command += ["-H", f"Authorization: Bearer {key}"] if key else []
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    (folder / f"schemathesis-{role}.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
    if not report.exists():
        last = (done.stdout + done.stderr).strip().splitlines()[-1:]
        raise ChildError(f"schemathesis made no report: {' '.join(last)}")
    said = json.loads(report.read_text(encoding="utf-8"))
    return {
        "exit_status": done.returncode,
        "routes": said["operations"]["tested"],
        "calls": said["test_cases"]["generated"],
        "failures": said["failures"],
        "errors": said["errors"],
    }


def _scene_reader(path: Path) -> Path:
    """A file with which the service understands signals."""
    scenes = tuple(scene.name for scene in load_catalogue().scenes)
    once = (1,) * len(scenes)
    words = {"motion": {"walking": once, "vehicle": once}, "network": {"cellular": once}}
    save_counts(path, SceneCounts(scenes=scenes, hours=(once,) * HOURS, signals=words))
    return path


def fuzz_bundles(folder: Path, count: int, seed: int) -> Tally:
    """Bundles with one file made wrong; half of the wrong weights with a seal that fits them."""
    rng, tally, catalogue = random.Random(seed), Tally(), load_catalogue()
    right, wrong = network_bundle(folder / "right", seed), folder / "wrong"
    files = {path.name: path.read_bytes() for path in right.iterdir()}
    wrong.mkdir()
    for _ in range(count):
        made = wrong_bundle(files, rng)
        for name, content in made.items():
            (wrong / name).write_bytes(content)
        _try(tally, lambda: _serve(wrong, catalogue), InputError)
    return tally


def wrong_bundle(files: dict[str, bytes], rng: random.Random) -> dict[str, bytes]:
    """The files of a bundle, one of them made wrong."""
    name = rng.choice(sorted(files))
    made = dict(files)
    if name == "policy.json" and rng.random() < 0.5:
        text = json.dumps(swapped(json.loads(files[name]), rng))
        made[name] = text.encode("utf-8", "surrogatepass")
    else:
        # A header lies at the beginning of the weights: half of the mutants are of it.
        start = 512 if name == WEIGHTS and rng.random() < 0.5 else len(files[name])
        made[name] = mutant(files[name][:start], rng) + files[name][start:]
    if name == WEIGHTS and rng.random() < 0.5:
        manifest = json.loads(files["policy.json"])
        manifest["weights_sha256"] = hashlib.sha256(made[name]).hexdigest()
        made["policy.json"] = json.dumps(manifest).encode()
    return made


def _serve(folder: Path, catalogue: Catalogue) -> None:
    """Load a policy as the service does, for its own catalogue and for ours; let it decide."""
    policy = load_bundle(folder, served=True).policy
    load_policy(str(folder), catalogue, served=True)
    width, actions = policy.shape
    rows = policy.probabilities(np.zeros((2, width), np.float32), np.ones((2, actions), bool))
    if not np.allclose(rows.sum(axis=1), 1):
        raise ArithmeticError("a policy that was taken gives no probabilities")


def fuzz_catalogues(count: int, seed: int) -> Tally:
    """Catalogues made wrong as text, and as what the text says."""
    rng, tally = random.Random(seed), Tally()
    right = DEFAULT_CATALOGUE.read_bytes()
    content = yaml.safe_load(right)
    for number in range(count):
        if number % 2:
            text = mutant(right, rng).decode("utf-8", "replace")
        else:
            text = yaml.safe_dump(swapped(content, rng), allow_unicode=True)
        _try(tally, lambda text=text: parse_catalogue(text), CatalogueError)  # type: ignore[misc]
    return tally


def _try(tally: Tally, attempt: Callable[[], object], documented: type[Exception]) -> None:
    """One attempt: taken, refused with the documented error, or crashed."""
    start = time.perf_counter()
    try:
        attempt()
        tally.taken += 1
    except documented as error:
        if "\n" in str(error):
            tally.crash(f"an error of several lines: {str(error)!r:.300}")
        else:
            tally.refused += 1
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        tally.crash(
            f"{type(error).__name__}: {str(error)!r:.200} at {place.filename}:{place.lineno}"
        )
    tally.slowest_s = max(tally.slowest_s, time.perf_counter() - start)


def wrong_bodies(count: int, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Paths and bodies made wrong."""
    for number in range(count):
        path = rng.choice(sorted(BODIES))
        body = BODIES[path]
        if number % 100 == 0:
            yield path, nested(next(iter(body)))
        elif number % 2:
            yield path, mutant(json.dumps(body).encode(), rng)
        else:
            yield path, json.dumps(swapped(body, rng)).encode("utf-8", "surrogatepass")


async def fuzz_calls(url: str, key: str, count: int, seed: int) -> Tally:
    """Calls with bodies made wrong; every answer is a good one or a documented refusal."""
    rng, tally, client = random.Random(seed), Tally(), Client(url, timeout_s=30.0, key=key)
    for path, body in wrong_bodies(count, rng):
        start = time.perf_counter()
        try:
            reply = await client.patient_post(path, body)
        except (OSError, TimeoutError) as error:
            tally.crash(f"{path}: no answer ({type(error).__name__}) to {body!r:.300}")
            continue
        tally.slowest_s = max(tally.slowest_s, time.perf_counter() - start)
        if reply.status == 200:
            tally.taken += 1
        elif documented(reply):
            tally.refused += 1
        else:
            tally.crash(f"{path}: {reply.status} {reply.body!r:.100} to {body!r:.300}")
    client.close()
    return tally


def documented(reply: Reply) -> bool:
    """Whether a refusal is one that the caller can mend, in the shape that all have."""
    if not 400 <= reply.status < 500:
        return False
    try:
        error = json.loads(reply.body)["error"]
    except (ValueError, KeyError, TypeError):
        return False
    return isinstance(error, dict) and error.keys() == {"code", "message", "field"}


def broken_promises(found: dict[str, Any]) -> list[str]:
    """What went wrong, one line each."""
    broken = []
    for what in ("bundles", "catalogues", "calls"):
        row = found[what]
        if row["crashed"]:
            broken.append(f"{what}: {row['crashed']} crashed, such as {row['crashes'][0]}")
    for role, row in found.get("schemathesis", {}).items():
        broken += [
            f"as {role}: {failure['title']} ({failure['code']}): {failure['count']}: "
            f"{', '.join(failure['operations'])}"
            for failure in row["failures"]
        ]
        if row["errors"]:
            broken.append(f"as {role}: {len(row['errors'])} errors of schemathesis itself")
        elif row["exit_status"] and not row["failures"]:
            broken.append(f"as {role}: schemathesis ended with {row['exit_status']}")
    return broken


def main() -> int:
    """Fuzz and print; 1 when a promise is broken, 2 for what the caller can mend."""
    return run("fuzz", __doc__, FuzzBenchmark, measure, _show)


def _show(found: dict[str, Any]) -> None:
    console = Console()
    console.print(_table(found))
    console.print("\n".join(found["broken"]) or "Every promise held.", markup=False)


def _table(found: dict[str, Any]) -> Table:
    table = Table(box=box.SIMPLE)
    for heading in ("", "tried", "taken", "refused", "failed", "slowest s"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for what in ("bundles", "catalogues", "calls"):
        row = found[what]
        counts = [row[key] for key in ("taken", "refused", "crashed")]
        cells = (f"{count:,}" for count in (sum(counts), *counts))
        table.add_row(f"wrong {what}", *cells, f"{row['slowest_s']:.2f}")
    for role, row in found.get("schemathesis", {}).items():
        failed = sum(failure["count"] for failure in row["failures"]) + len(row["errors"])
        table.add_row(f"routes as {role}", f"{row['calls']:,}", "", "", f"{failed:,}", "")
    return table


if __name__ == "__main__":
    sys.exit(main())
