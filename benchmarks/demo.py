"""`make demo`: train, serve, send simulated users over real HTTP, print the lift, stay up."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from agents.baselines import Constant, constants, make_baseline
from benchmarks.children import Child, ChildError
from benchmarks.comparison import Comparison, compare
from benchmarks.report import Http, draw, table, write_summary
from envs.catalogue import load_catalogue
from envs.decisions import Policy
from envs.errors import InputError
from envs.lineage import lineage
from simulators.rollout import rollout
from simulators.trace import Trace
from simulators.value import per_user_week
from simulators.world import SyntheticWorld

AGENT = "agent"
TITLES = {
    AGENT: "agent, over HTTP",
    "silence": "silence",
    "uniform": "uniform over the allowed",
    "best_constant": "best constant",
    "rule_book": "rule book",
}


@dataclass(frozen=True, slots=True)
class DemoConfig:
    """Train a small policy, serve it, send it simulated users over HTTP and print the lift."""

    users: int = 400
    """Simulated users sent to the service."""
    days: int = 14
    """Days each of them lives through."""
    train_seconds: float = 60.0
    """How long to train."""
    port: int = 0
    """Port of the service; 0 takes a free one."""
    seed: int = 0
    """Of training, users and luck."""
    out: Path = Path("runs/demo")
    """Folder of everything the demo leaves."""
    exit: bool = False
    """End when the table is printed, instead of leaving the API up; also DEMO_EXIT=1."""


OTHER_USERS = 1_000_000
"""First of the people on whom the best constant is chosen: none of those it is judged on."""
CENTS = ("expected_cents", "net_cents")
"""Net value as its mean given the hidden state of the user, and as it fell: the same on average,
the first with far less noise."""
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
        say(report(config, traffic, rivals(config)))
        say(f"Written: {config.out}/summary.json, {config.out}/lift.png")
        if not leave:
            say(f"The API is up at {url} (in a browser: {url}/docs). Ctrl-C stops everything.")
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
    with Child("training", arguments) as training:
        training.finish()


@contextmanager
def served(config: DemoConfig) -> Iterator[tuple[Child, str]]:
    """The service, up, and its address; leaving stops it with its Redis and its Ray."""
    arguments = ["serving", "up", "--policy", str(config.out / "policy")]
    arguments += ["--port", str(config.port), "--run-dir", str(config.out / "serving")]
    with Child("the service", arguments, log=config.out / "serving.log") as service:
        yield service, service.address(READY_SECONDS)


def send_users(config: DemoConfig, url: str) -> dict[str, Any]:
    """Send the users over HTTP; what came of it, as the traffic command writes it."""
    out = config.out / "traffic.json"
    arguments = ["simulators", "traffic", "--url", url, "--users", str(config.users)]
    arguments += ["--days", str(config.days), "--seed", str(config.seed), "--out", str(out)]
    with Child("the traffic", arguments) as traffic:
        traffic.finish()
    result: dict[str, Any] = json.loads(out.read_text())
    return result


def rivals(config: DemoConfig) -> dict[str, Trace]:
    """What the rivals make of the users that were sent to the service."""
    catalogue = load_catalogue()
    policies: dict[str, Policy] = {
        "silence": make_baseline("silence", catalogue),
        "uniform": make_baseline("uniform", catalogue),
        "best_constant": best_constant(config),
        "rule_book": make_baseline("rule_book", catalogue),
    }
    users = np.arange(config.users)
    return {name: played(config, policy, users) for name, policy in policies.items()}


def best_constant(config: DemoConfig) -> Constant:
    """The one action that makes the most of other users whenever it is allowed."""
    others = np.arange(OTHER_USERS, OTHER_USERS + config.users)
    return max(
        constants(load_catalogue()),
        key=lambda policy: float(per_user_week(played(config, policy, others), CENTS[0]).mean()),
    )


def played(config: DemoConfig, policy: Policy, users: NDArray[np.int64]) -> Trace:
    """A rival's rollout in process, with the luck that the users met over HTTP."""
    world = SyntheticWorld(len(users), config.seed)
    return rollout(world, policy, users, config.days)


def judge(
    config: DemoConfig, traffic: dict[str, Any], traces: dict[str, Trace], cents: str
) -> Comparison:
    """The agent beside its rivals, user by user, by one way of counting cents."""
    agent = np.asarray(traffic[cents], np.float64) / (config.days / 7)
    rivals = {name: per_user_week(trace, cents) for name, trace in traces.items()}
    return compare({AGENT: agent, **rivals}, config.days, AGENT)


def report(config: DemoConfig, traffic: dict[str, Any], traces: dict[str, Trace]) -> Table:
    """Leave the picture and the summary in the folder; the table is for the terminal."""
    titles = TITLES | {"best_constant": f"best constant, {traces['best_constant'].info.policy}"}
    comparison, realised = (judge(config, traffic, traces, cents) for cents in CENTS)
    http = Http(*(traffic[name] for name in ("requests", "errors", "p50_ms", "p99_ms")))
    draw(comparison, titles, AGENT, config.out / "lift.png")
    write_summary(config.out / "summary.json", lineage(config.seed), http, comparison, realised)
    return table(comparison, titles, http, AGENT)


def main() -> int:
    """Run the demo; 0 when it came to its end, 130 when it was interrupted, else 1."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C, children too
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
