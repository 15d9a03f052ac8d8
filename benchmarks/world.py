r"""How fast the world is beside RecSim, and what simple policies are worth in it.

RecSim wants old packages, so it lives in an environment of its own:

    python3.11 -m venv runs/recsim/venv
    runs/recsim/venv/bin/pip install recsim==0.2.4 dopamine-rl==4.0.9 \
        "tensorflow-cpu<2.16" "numpy<2"
    python -m benchmarks.world

Without it the ratio is left out and the output says so.
"""

from __future__ import annotations

import json
import statistics
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

from agents.policy import load_policy
from envs.decisions import Policy
from envs.lineage import lineage
from simulators.bench import BenchConfig, Speed, measure
from simulators.progress import Bar
from simulators.rollout import rollout
from simulators.trace import Trace
from simulators.value import Estimate, paired_difference, value_per_user_week
from simulators.world import SyntheticWorld

RECSIM = Path(__file__).with_name("recsim_speed.py")
BASELINES = ("silence", "uniform", "rule_book", "constant:gift/mini_program")


@dataclass(frozen=True, slots=True)
class WorldBenchmark:
    """Measure the world's speed beside RecSim's, and what simple policies are worth."""

    recsim_python: Path = Path("runs/recsim/venv/bin/python")
    """A Python that has RecSim."""
    repeats: int = 5
    """Of each speed, taken in turn; the median counts."""
    users: int = 2000
    """Users of the comparison of policies; 0 leaves it out."""
    days: float = 28.0
    """How long they are followed."""
    seed: int = 0
    """Of the world."""
    json: bool = False
    """Print one JSON object instead of tables."""


class Myopic:
    """Takes what pays most in this very step, knowing what nobody can: the hidden state.

    It counts a sale that would have come anyway a little later as a gain, and never saves a
    contact for a better moment. A yardstick of what looking ahead is for.
    """

    name = "myopic, knows all"

    def __init__(self, world: SyntheticWorld) -> None:
        """Looks into this world, which has to be the one it decides in."""
        self._world = world

    def probabilities(
        self, observations: NDArray[np.float32], mask: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """All on the best allowed action, float64 [N, A]."""
        gains = np.where(mask, self._world.action_gains(), -np.inf)
        rows = np.zeros_like(gains)
        rows[np.arange(len(rows)), gains.argmax(axis=1)] = 1.0
        return rows


@dataclass(frozen=True, slots=True)
class Worth:
    """Cents a user-week of one policy, and beyond silence, user by user."""

    policy: str
    value: Estimate
    beyond_silence: Estimate
    expected_beyond_silence: Estimate
    """Of conditional means: the same mean, less noise."""


def worths(config: WorldBenchmark, world: SyntheticWorld, bar: Bar) -> list[Worth]:
    """Play every policy for the same users with the same luck."""
    policies: list[Policy] = [load_policy(name, world.catalogue) for name in BASELINES]
    policies.append(Myopic(world))
    users, silence, found = np.arange(config.users), None, []
    for done, policy in enumerate(policies):
        trace = rollout(world, policy, users, config.days)
        silence = trace if silence is None else silence
        found.append(_worth(silence, trace))
        bar.update((done + 1) / len(policies))
    return found


def _worth(silence: Trace, trace: Trace) -> Worth:
    return Worth(
        trace.info.policy_name,
        value_per_user_week(trace),
        paired_difference(silence, trace),
        paired_difference(silence, trace, "expected_cents"),
    )


def recsim_speed(python: Path) -> float | None:
    """Steps a second of RecSim's interest evolution; None where it cannot run."""
    if not python.exists():
        return None
    command = [str(python), "-W", "ignore", str(RECSIM)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return float(ran.stdout.split()[-1]) if ran.returncode == 0 else None


def speeds(config: WorldBenchmark, bar: Bar) -> tuple[list[Speed], list[float]]:
    """Both worlds in turn, so that a busy machine is unkind to both."""
    ours, theirs = [], []
    for done in range(config.repeats):
        ours.append(measure(BenchConfig(repeats=1, seed=config.seed)))
        speed = recsim_speed(config.recsim_python)
        theirs += [] if speed is None else [speed]
        bar.update((done + 1) / config.repeats)
    return ours, theirs


def main() -> None:
    """Measure and print."""
    config = tyro.cli(WorldBenchmark, prog="python -m benchmarks.world")
    with Bar("measuring speed", shown=not config.json) as bar:
        ours, theirs = speeds(config, bar)
    found: list[Worth] = []
    if config.users:
        world = SyntheticWorld(min(config.users, 2048), config.seed)
        with Bar("playing policies", shown=not config.json) as bar:
            found = worths(config, world, bar)
    speed = statistics.median(each.median for each in ours)
    recsim = statistics.median(theirs) if theirs else None
    if config.json:
        result = {
            "user_steps_per_second": speed,
            "recsim_steps_per_second": recsim,
            "ratio": None if recsim is None else speed / recsim,
            "worths": [asdict(worth) for worth in found],
            "lineage": lineage(config.seed),
        }
        print(json.dumps(result))
        return
    _print_speed(speed, recsim, config.recsim_python)
    if found:
        Console().print(_table(config, found))


def _print_speed(speed: float, recsim: float | None, python: Path) -> None:
    print(f"SceneLift: {speed:,.0f} user-steps/s of one core, random allowed actions")
    if recsim is None:
        print(f"RecSim: not measured, {python} does not run it (see benchmarks/world.py)")
        return
    print(
        f"RecSim interest_evolution: {recsim:,.0f} steps/s of one core, ratio {speed / recsim:.0f}"
    )


def _table(config: WorldBenchmark, found: list[Worth]) -> Table:
    title = f"cents a user-week, {config.users} users x {config.days:g} days, 95 % intervals"
    table = Table(title=title, box=box.SIMPLE)
    for header in ("policy", "value", "over silence", "same, in mean"):
        table.add_column(header, no_wrap=True)
    for worth in found:
        estimates = (worth.value, worth.beyond_silence, worth.expected_beyond_silence)
        table.add_row(worth.policy, *(_shown(estimate) for estimate in estimates))
    return table


def _shown(estimate: Estimate) -> str:
    return f"{estimate.mean:.0f} [{estimate.low:.0f}, {estimate.high:.0f}]"


if __name__ == "__main__":
    main()
