"""What a policy of one shop is worth in another, and how little data mends it.

``python -m benchmarks.fine_tuning``. A policy is trained in the default catalogue and carried over
to a changed one: no SMS, three offers gone, two new ones. There it goes on learning from a few
decisions, beside a learner that begins with nothing and gets as many.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import tyro
import yaml
from rich import box
from rich.console import Console
from rich.table import Table

from agents.judging.field import Field, play
from agents.policy import Policy, load_bundle, load_policy, save_bundle
from agents.train import one_quiet_thread
from agents.training.settings import TrainConfig
from agents.training.transfer import transferred
from agents.training.world_training import world_algorithm
from envs.catalogue import DEFAULT_CATALOGUE, load_catalogue
from envs.lineage import lineage
from simulators.cluster import quiet_ray
from simulators.progress import Bar
from simulators.value import Estimate

GONE: Final = {"channels": {"sms"}, "offers": {"off5", "off20", "off30"}}
NEW: Final = (
    {"name": "off15", "kind": "discount", "discount": 0.15},
    {"name": "treat", "kind": "gift", "cost_cents": 80},
)
EXPLORED: Final = 0.1
"""Share of the decisions that are drawn while learning, at the end of a schedule or all along."""
UPDATES: Final = 32
"""Minibatches an iteration of some 2,000 decisions: with little data each is looked at often."""
FIRST_ROWS: Final = 4_096


@dataclass(frozen=True, slots=True)
class FineTuningConfig:
    """Carry a policy over to a changed catalogue and let it learn from little data."""

    source_steps: int = 300_000
    """Decisions that the first policy learns from, in the default catalogue."""
    steps: tuple[int, ...] = (20_000, 60_000)
    """Decisions in the changed catalogue."""
    seeds: int = 2
    """Learners of each kind."""
    seed: int = 0
    """The first of their seeds."""
    users: int = 1000
    """People of the evaluation, the same for all."""
    days: float = 28.0
    """How long each is followed."""
    json: bool = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True, slots=True)
class Row:
    """Gains over silence, cents a user-week; users are averaged over the learners' seeds."""

    decisions: int
    fine_tuned: Estimate
    from_nothing: Estimate
    difference: Estimate


def changed_catalogue(folder: Path) -> Path:
    """The other shop, written to a file."""
    content = yaml.safe_load(DEFAULT_CATALOGUE.read_text(encoding="utf-8"))
    for part, names in GONE.items():
        content[part] = [each for each in content[part] if each["name"] not in names]
    content["offers"] = [*content["offers"], *NEW]
    kept = [cap for cap in content["caps"] if cap.get("channel") not in GONE["channels"]]
    content["caps"] = [cap for cap in kept if cap.get("offer") not in GONE["offers"]]
    path = folder / "other_shop.yaml"
    path.write_text(yaml.safe_dump(content | {"name": "other_shop"}), encoding="utf-8")
    return path


def taught(config: TrainConfig, steps: int, warm: bool) -> Policy:
    """A policy after so many decisions; exploration falls over the first half of them."""
    given: dict[str, Any] = {"updates": UPDATES, "critic": False, "first_rows": FIRST_ROWS}
    if not warm:
        given["epsilon"] = (1.0, EXPLORED, steps // 2)
    algorithm = world_algorithm(config, given)
    while algorithm.sampled_steps() < steps:
        algorithm.train()
    policy: Policy = algorithm.policy()
    algorithm.stop()
    return policy


def main() -> None:
    """Train, carry over, go on, compare."""
    config = tyro.cli(FineTuningConfig, prog="python -m benchmarks.fine_tuning")
    with tempfile.TemporaryDirectory() as name, quiet_ray(None), one_quiet_thread():
        folder = Path(name)
        path = changed_catalogue(folder)
        carried, rows = _compared(config, folder, path)
    if config.json:
        found = {"carried_over": asdict(carried), "rows": [asdict(row) for row in rows]}
        print(json.dumps(found | {"config": asdict(config), "lineage": lineage(config.seed)}))
        return
    Console(width=110).print(_table(config, carried, rows))


def _compared(config: FineTuningConfig, folder: Path, path: Path) -> tuple[Estimate, list[Row]]:
    """What the policy is worth as it was carried over, and after more decisions."""
    catalogue = load_catalogue(path)
    field = Field(catalogue, users=config.users, days=config.days, seeds=(config.seed,))
    silence = play(field, load_policy("silence", catalogue)).value
    runs = 1 + 2 * len(config.steps) * config.seeds
    with Bar("fine-tuning", shown=not config.json) as bar:
        source = taught(TrainConfig("q", seed=config.seed), config.source_steps, warm=False)
        bundle = folder / "source"
        save_bundle(bundle, source, load_catalogue(), lineage(config.seed), {})  # type: ignore[arg-type]
        bar.update(1 / runs)
        carried = play(field, transferred(load_bundle(bundle), catalogue)).value - silence
        rows, done = [], 1
        for steps in config.steps:
            gains: dict[bool, list[Any]] = {True: [], False: []}
            for seed in range(config.seed, config.seed + config.seeds):
                for warm in (True, False):
                    start = bundle if warm else None
                    learner = TrainConfig("q", seed=seed, catalogue=path, warm_start=start)
                    policy = taught(learner, steps, warm)
                    gains[warm].append(play(field, policy).value - silence)
                    done += 1
                    bar.update(done / runs)
            tuned, fresh = (np.mean(gains[warm], axis=0) for warm in (True, False))
            rows.append(Row(steps, *(Estimate.of(v) for v in (tuned, fresh, tuned - fresh))))
    return Estimate.of(carried), rows


def _table(config: FineTuningConfig, carried: Estimate, rows: list[Row]) -> Table:
    table = Table(box=box.SIMPLE, title=(
        f"gain over silence, cents a user-week, {config.users} users x {config.days:g} days, "
        f"{config.seeds} learners each\ncarried over, nothing learnt: {_shown(carried)}"
    ))  # fmt: skip
    for heading in ("decisions", "fine-tuned", "from nothing", "difference, paired"):
        table.add_column(heading, justify="right")
    for row in rows:
        shown = (_shown(e) for e in (row.fine_tuned, row.from_nothing, row.difference))
        table.add_row(f"{row.decisions:,}", *shown)
    return table


def _shown(estimate: Estimate) -> str:
    return f"{estimate.mean:.1f} [{estimate.low:.1f}, {estimate.high:.1f}]"


if __name__ == "__main__":
    main()
