"""What simple policies are worth in the world, beside one that knows what nobody can.

How fast the world is, beside others, is told by ``python -m simulators bench``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np
import tyro
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

from agents.policy import load_policy
from envs.decisions import Policy
from envs.lineage import lineage
from simulators.progress import Bar
from simulators.rollout import rollout
from simulators.trace import Trace
from simulators.value import Estimate, paired_difference, value_per_user_week
from simulators.world import SyntheticWorld

BASELINES = ("silence", "uniform", "rule_book", "constant:gift/mini_program")


@dataclass(frozen=True, slots=True)
class WorldBenchmark:
    """Compare what simple policies are worth for the same users."""

    users: int = 2000
    """Who is followed under each policy."""
    days: float = 28.0
    """How long they are followed."""
    seed: int = 0
    """Of the world."""
    json: bool = False
    """Print one JSON object instead of a table."""


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


def main() -> None:
    """Measure and print."""
    config = tyro.cli(WorldBenchmark, prog="python -m benchmarks.world")
    world = SyntheticWorld(min(config.users, 2048), config.seed)
    with Bar("playing policies", shown=not config.json) as bar:
        found = worths(config, world, bar)
    if config.json:
        result = {
            "worths": [asdict(worth) for worth in found],
            "lineage": lineage(config.seed),
        }
        print(json.dumps(result))
        return
    Console().print(_table(config, found))


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
