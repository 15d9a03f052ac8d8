"""How fast ours learns beside RLlib's own DQN and Stable-Baselines3's, in one run."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import tyro
from rich import box
from rich.console import Console
from rich.table import Table

from envs.errors import InputError
from envs.lineage import lineage
from simulators.cluster import quiet_ray
from simulators.presets import catalogue_for
from simulators.progress import Bar

if TYPE_CHECKING:  # RLlib is imported once Ray knows how to authenticate
    from benchmarks.curves import Curve, Standing
    from benchmarks.paces import Paces, Pair


@dataclass(frozen=True, slots=True)
class TrainingBenchmark:
    """Measure steps a second end to end, then seconds to 95 % of our plateau.

    Steps a second: ours (agents/q_learning.py as it comes) against stock RLlib DQN with its own
    runner, EpisodeReplayBuffer and learner; the same environment, network, minibatch and rows
    learnt from a sampled row; blocks of both in turn. Seconds: the same two and, if installed,
    Stable-Baselines3's DQN on one small problem and the same learning signal, policies judged by
    their paired gain over silence. Time is the driver's processor time unless it says wall.
    """

    preset: str = "default"
    """World in which steps are counted."""
    envs: tuple[int, ...] = (64, 512, 2048)
    """Numbers of environments that both sides try."""
    runners: tuple[int, ...] = (1, 2)
    """Numbers of remote runners, besides none."""
    repeats: int = 5
    """Blocks of each; the median counts."""
    seconds: float = 3.0
    """Length of a block, wall time; at least one iteration. 0 repeats leave this part out."""
    small: str = "tabular"
    """World of the learning curves."""
    minutes: float = 8.0
    """Processor time of all learning curves together; 0 leaves them out."""
    seeds: int = 1
    """Trainings of each contestant; they share the minutes."""
    exploring: int = 200_000
    """Steps over which exploration falls in the learning curves."""
    users: int = 300
    """On whom policies are judged."""
    seed: int = 0
    """Of the worlds and the learners."""
    address: str | None = None
    """Ray cluster to use; one is started here when left out."""
    json: bool = False
    """Print one JSON object instead of tables."""


def measure(config: TrainingBenchmark) -> dict[str, Any]:
    """Both parts, as plain values for JSON or for ``tables``."""
    _check(config)
    most = 2 * max((0, *config.runners))  # both sides have theirs at the same time
    with quiet_ray(config.address, most), _one_quiet_thread(), _bar(config) as bar:
        paces = _paces(config, bar) if config.repeats else None
        curves = _curves(config, bar) if config.minutes else []
    return {"paces": paces, "curves": curves}


@contextmanager
def _one_quiet_thread() -> Iterator[None]:
    """One thread for all of them; the libraries keep their warnings to themselves."""
    import torch

    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _bar(config: TrainingBenchmark) -> Bar:
    return Bar("training", shown=not config.json)


def _check(config: TrainingBenchmark) -> None:
    """Refuse what cannot be measured.

    Raises:
        InputError: names the value.
    """
    catalogue_for(config.preset, None)
    catalogue_for(config.small, None)
    if not config.envs or min(config.envs) < 1 or min((1, *config.runners)) < 1:
        raise InputError("environments and remote runners have to be 1 or more")
    if config.repeats < 0 or not config.seconds > 0 or not config.minutes >= 0:
        raise InputError("repeats, seconds and minutes must not be below 0")
    if config.seeds < 1 or config.users < 2 or config.exploring < 1:
        raise InputError("seeds and exploring have to be 1 or more, users 2")


def _paces(config: TrainingBenchmark, bar: Bar) -> Paces:
    from benchmarks.paces import Sizes, measure

    sizes = Sizes(
        config.preset, config.envs, config.runners, config.repeats, config.seconds, config.seed
    )
    share = 0.4 if config.minutes else 1.0
    return measure(sizes, lambda done: bar.update(share * done))


def _curves(config: TrainingBenchmark, bar: Bar) -> list[Curve]:
    """Train every contestant for its share of the minutes, one after the other."""
    from agents.judging.field import Field
    from benchmarks.contestants import Problem, contestants
    from benchmarks.curves import Checkpoints, Curve, Judge

    problem = Problem(config.small, 28.0, config.exploring)
    field = Field(catalogue_for(config.small, None), config.small, config.users, 28.0)
    judge, rivals = Judge(field), contestants()
    runs = [(rival, config.seed + i) for i in range(config.seeds) for rival in rivals]
    before, curves = 0.4 if config.repeats else 0.0, []
    for run, (rival, seed) in enumerate(runs):

        def told(done: float, run: int = run) -> None:
            bar.update(before + (1 - before) * (run + done) / len(runs))

        curve = Curve(rival.learner, rival.settings, seed)
        seconds = 60 * config.minutes / len(runs)
        rival.train(problem, Checkpoints(curve, seconds, judge, told), seed)
        curves.append(curve)
    return curves


def as_json(config: TrainingBenchmark, found: dict[str, Any]) -> dict[str, Any]:
    """What was found, for programs."""
    from benchmarks.curves import standings

    paces, curves = found["paces"], found["curves"]
    result: dict[str, Any] = {"paces": asdict(paces) if paces else None, "curves": None}
    if curves:
        plateau, standing = standings(curves, "ours")
        result["curves"] = {
            "plateau": plateau,
            "standings": [asdict(each) for each in standing],
            "points": [asdict(curve) for curve in curves],
        }
    return result | {
        "sb3_installed": find_spec("stable_baselines3") is not None,
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "lineage": lineage(config.seed),
    }


def _show(config: TrainingBenchmark, found: dict[str, Any]) -> None:
    from benchmarks.curves import standings

    console = Console(highlight=False)
    if found["paces"]:
        console.print(_pace_table(config, found["paces"].pairs))
        console.print(_phase_table(found["paces"].phases))
    if found["curves"]:
        console.print(_standing_table(config, *standings(found["curves"], "ours")))
    if find_spec("stable_baselines3") is None:
        console.print("Stable-Baselines3 is not installed: pip install -e '.[bench]'")


def _pace_table(config: TrainingBenchmark, pairs: list[Pair]) -> Table:
    table = Table(
        title=f"steps a second, medians of {config.repeats} blocks each, {config.preset}",
        caption="runners 0: by processor time; else by the wall clock", box=box.SIMPLE,
    )  # fmt: skip
    table.add_column("environments")
    for heading in (
        "runners", "ours sampled", "trained", "stock sampled", "trained", "ratio", "of trained"
    ):  # fmt: skip
        table.add_column(heading, justify="right")
    for pair in pairs:
        wall = "wall_" if pair.runners else ""
        rates = [
            f"{getattr(pace, wall + name).median:,.0f}"
            for pace in (pair.ours, pair.stock)
            for name in ("sampled", "trained")
        ]
        sampled, trained = pair.sampled_ratio, pair.trained_ratio
        ratio = f"{sampled.median:.1f} ({sampled.lowest:.1f} to {sampled.highest:.1f})"
        sizes = f"{pair.title}: {pair.ours.envs} | {pair.stock.envs}"
        table.add_row(sizes, str(pair.runners), *rates, ratio, f"{trained.median:.1f}")
    return table


def _phase_table(shares: dict[str, dict[str, float]]) -> Table:
    table = Table(title="share of the processor time", box=box.SIMPLE)
    table.add_column("phase")
    for name in shares:
        table.add_column(name, justify="right")
    for phase in next(iter(shares.values())):
        table.add_row(phase, *(f"{share[phase]:.1%}" for share in shares.values()))
    return table


def _standing_table(config: TrainingBenchmark, plateau: float, standing: list[Standing]) -> Table:
    table = Table(
        title=f"seconds to 95 % of our plateau, {plateau:.0f} cents a user-week over silence, "
        f"{config.small}",
        caption=f"{config.seeds} seed(s), judged on {config.users} users x 28 days",
        box=box.SIMPLE,
    )
    table.add_column("learner")
    table.add_column("settings")
    for heading in ("first there", "held from", "final gain", "of plateau", "steps/s"):
        table.add_column(heading, justify="right")
    for each in standing:
        table.add_row(
            each.learner, each.settings, _took(each.seconds, each), _took(each.held, each),
            f"{each.final:.0f}", f"{each.final / plateau:.0%}", f"{each.pace:,.0f}",
        )  # fmt: skip
    return table


def _took(seconds: float | None, standing: Standing) -> str:
    return f"not in {standing.given:.0f}" if seconds is None else f"{seconds:.0f}"


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 2 when what was given is wrong."""
    config = tyro.cli(TrainingBenchmark, args=arguments, prog="python -m benchmarks.training")
    try:
        found = measure(config)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if config.json:
        print(json.dumps(as_json(config, found)))
    else:
        _show(config, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
