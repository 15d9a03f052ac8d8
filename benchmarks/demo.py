"""`make demo`: train, serve, send simulated users over real HTTP, print the lift, stay up."""

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from agents.judging.field import Field, play, rivals
from agents.policy import Policy
from benchmarks.children import Child, ChildError
from benchmarks.comparison import Comparison, compare
from benchmarks.report import Http, draw, shown, table, write_summary
from envs.catalogue import load_catalogue
from envs.errors import InputError
from envs.lineage import lineage

AGENT = "agent"
TITLES = {
    AGENT: "agent (HTTP)",
    "silence": "silence",
    "uniform": "uniform",
    "best_constant": "best constant",
    "rule_book": "rule book",
}


@dataclass(frozen=True, slots=True)
class DemoConfig:
    """Train a small policy, serve it, send it simulated users over HTTP and print the lift."""

    users: int = 240
    """Simulated users sent to the service."""
    days: int = 28
    """Days each of them lives through; fewer flatter every contact, as it moves demand forward."""
    train_seconds: float = 60.0
    """How long to train."""
    port: int = 8000
    """Port of the service; a free one is taken when somebody listens there."""
    seed: int = 0
    """Of training, users and luck."""
    out: Path = Path("runs/demo")
    """Folder of everything the demo leaves."""
    exit: bool = False
    """End when the table is printed, instead of leaving the API up; also DEMO_EXIT=1."""


READY_SECONDS = 180.0


def run(config: DemoConfig, leave: bool) -> None:
    """The story of the demo, one sentence a line.

    Raises:
        ChildError: a program it needs failed.
        InputError: a setting is wrong.
    """
    say = Console().print
    config.out.mkdir(parents=True, exist_ok=True)
    say(f"[bold]1/4[/] Training for {config.train_seconds:g} seconds")
    train(config)
    say("[bold]2/4[/] Starting Redis and the service")
    with served(config) as (service, url):
        say(f"[bold]3/4[/] Sending {config.users} users x {config.days} days to {url}")
        traffic = send_users(config, url)
        say("[bold]4/4[/] The same people and the same luck under the rivals")
        say(report(config, traffic))
        say(f"Written: {config.out}/summary.json, {config.out}/lift.png")
        if not leave:
            say(
                f"The API is up at {url} (in a browser: {url}/docs). Ctrl-C stops everything.",
                soft_wrap=True,
            )
            stay(service)


def stay(service: Child) -> None:
    """Leave the service up until Ctrl-C.

    Raises:
        ChildError: the service ended by itself.
    """
    with suppress(KeyboardInterrupt):
        service.wait()
    Console().print("Stopping the service, Ray and Redis.")


def train(config: DemoConfig) -> None:
    """Train the agent into a bundle."""
    arguments = ["agents", "train", "q", "--seconds", f"{config.train_seconds:g}"]
    arguments += ["--seed", str(config.seed), "--out", str(config.out / "policy")]
    arguments += ["--evaluate-users", "0"]  # the demo judges it over HTTP
    with Child("training", arguments) as training:
        training.finish()


@contextmanager
def served(config: DemoConfig) -> Iterator[tuple[Child, str]]:
    """The service, up, and its address; leaving stops it with its Redis and its Ray."""
    arguments = ["serving", "up", "--policy", str(config.out / "policy")]
    arguments += ["--port", str(free_port(config.port)), "--run-dir", str(config.out / "serving")]
    with Child("the service", arguments, log=config.out / "serving.log") as service:
        yield service, service.address(READY_SECONDS)


def free_port(wanted: int) -> int:
    """The wanted port when nobody listens there, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            number: int = probe.getsockname()[1]
            return number
    raise InputError(f"port {wanted} is taken and no other is free")


def send_users(config: DemoConfig, url: str) -> dict[str, Any]:
    """Send the users over HTTP; what came of it, as the traffic command writes it."""
    out = config.out / "traffic.json"
    arguments = ["simulators", "traffic", "--url", url, "--users", str(config.users)]
    arguments += ["--days", str(config.days), "--seed", str(config.seed), "--out", str(out)]
    with Child("the traffic", [*arguments, "--json"], quiet=True) as traffic:
        traffic.finish()
    result: dict[str, Any] = json.loads(out.read_text())
    return result


def report(config: DemoConfig, traffic: dict[str, Any]) -> Table:
    """Judge the agent; leave picture and summary in the folder; the table is for the terminal."""
    field = Field(load_catalogue(), users=config.users, days=config.days, seeds=(config.seed,))
    known = rivals(field)
    comparison = judge(field, traffic, known)
    fallen = judge(replace(field, cents="net_cents"), traffic, known)
    http = Http(*(traffic[name] for name in ("requests", "errors", "p50_ms", "p99_ms")))
    draw(comparison, TITLES, AGENT, config.out / "lift.png")
    write_summary(config.out / "summary.json", lineage(config.seed), http, comparison, fallen)
    said = notes(comparison, traffic, known["best_constant"].name)
    return table(comparison, fallen, TITLES, AGENT, said)


def notes(comparison: Comparison, traffic: dict[str, Any], constant: str) -> str:
    """What has to be known to read the table."""
    lift = shown(comparison.lifts["rule_book"], 100, 1)
    return (
        "All paired: the same people, the same luck. Values are means given what nobody observes "
        "of the users; the last column has what fell by chance. Lift over the rule book, in % of "
        f"its value: {lift}. Best constant, chosen on other people: "
        f"{constant.removeprefix('constant:')}. HTTP: {traffic['requests']:,} requests, "
        f"{traffic['errors']} errors, {traffic['degraded']} degraded, "
        f"p50 {traffic['p50_ms']:.1f} ms, p99 {traffic['p99_ms']:.1f} ms."
    )


def judge(field: Field, traffic: dict[str, Any], known: dict[str, Policy]) -> Comparison:
    """The agent over HTTP beside its rivals in process, user by user, with the same luck."""
    agent = np.asarray(traffic[field.cents], np.float64) / (field.days / 7)
    weekly = {name: play(field, policy).value for name, policy in known.items()}
    return compare({AGENT: agent, **weekly}, field.days, AGENT)


def main() -> int:
    """Run the demo; 0 when it came to its end, 130 when it was interrupted, else 1."""
    for number in (signal.SIGINT, signal.SIGTERM):  # both end it, and its children with it
        signal.signal(number, signal.default_int_handler)
    config = tyro.cli(DemoConfig, prog="python -m benchmarks.demo", description=__doc__)
    leave = config.exit or os.environ.get("DEMO_EXIT", "") not in ("", "0")
    try:
        run(config, leave)
    except (ChildError, InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; everything that was started is stopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
