"""Regret of our bandits beside Vowpal Wabbit's, in the world and on real campaigns."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import tyro
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.bandit_players import Game, as_text, play
from benchmarks.bandit_settings import Entry, entries
from benchmarks.real_logs import RealLog, real_logs
from benchmarks.rounds import Rounds, log_rounds, world_rounds
from envs.errors import InputError
from envs.lineage import lineage
from simulators.presets import catalogue_for
from simulators.progress import Bar
from simulators.value import Estimate

TUNING_SEED: Final = 1_000_000
"""First seed of the rounds on which settings are chosen; nothing is reported of them."""
WIDTH: Final = 110
"""Of the tables at least, characters."""


@dataclass(frozen=True, slots=True)
class BanditBenchmark:
    """Measure regret, and time of a decision and of learning from it, against Vowpal Wabbit.

    Every learner has four settings, of which the one with the least regret on rounds of their own
    is reported. Both sides see the same features, the same rounds and the same scale, and have one
    weight for each action and feature.
    """

    rounds: int = 3000
    """In the world, for each seed."""
    posed: int = 6000
    """Rounds posed from each real log, for each seed; those that the log answers count."""
    seeds: int = 10
    """Rounds of so many seeds are reported."""
    tuning_seeds: int = 2
    """On so many others settings are chosen."""
    preset: str = "default"
    """Of the world."""
    logs: Path = Path("../shared/data")
    """Folder of the real logs (see benchmarks/real_logs.py); absent ones are left out."""
    seed: int = 0
    """The first of the seeds."""
    json: bool = False
    """Print one JSON object instead of tables."""


@dataclass(frozen=True, slots=True)
class Result:
    """A learner on one problem, with the settings chosen for it."""

    problem: str
    learner: str
    settings: str
    regret: Estimate
    """A decision, over seeds: conditional mean of the best allowed action less that of the row
    played; on a log the mean of its best constant action less that of the answered rounds."""
    late: Estimate
    """The same in the last quarter of the rounds."""
    learnt: float
    """Rounds learnt from, mean over seeds."""
    decide_us: float
    """Processor time of a decision in batches, microseconds, median over seeds."""
    alone_us: float
    """The same of a decision by itself."""
    learn_us: float
    """Processor time of learning from one."""
    tuning_regret: float
    """With these settings on the rounds on which they were chosen."""
    per_seed: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """Where rounds come from."""

    name: str
    unit: str
    rounds: Callable[[int], Rounds]
    """Of a seed."""
    best: float
    """Added to what ``Game.regret`` holds: 0 where means are known, else the best arm's mean."""


def problems(config: BanditBenchmark) -> list[Problem]:
    """The world, and the real logs that are there."""
    world = partial(world_rounds, config.rounds, preset=config.preset)
    found = [Problem(f"world, {config.preset}", "cents", world, 0.0)]
    return found + [_posed(log, config.posed) for log in real_logs(config.logs)]


def _posed(log: RealLog, posed: int) -> Problem:
    return Problem(log.name, log.unit, partial(log_rounds, log, posed), log.best_arm())


def _check(config: BanditBenchmark) -> None:
    """Refuse what cannot be measured.

    Raises:
        InputError: names the smallest values, or the preset.
    """
    if min(config.rounds, config.posed) < 100 or config.seeds < 2 or config.tuning_seeds < 1:
        raise InputError("rounds and posed have to be 100 or more, seeds 2, tuning-seeds 1")
    catalogue_for(config.preset, None)


def measure(config: BanditBenchmark, bar: Bar) -> list[Result]:
    """Every learner on every problem."""
    results, where = [], problems(config)
    for done, problem in enumerate(where):

        def told(share: float, done: int = done) -> None:
            bar.update((done + share) / len(where))

        results += _on(problem, config, told)
    return results


def _on(problem: Problem, config: BanditBenchmark, told: Callable[[float], None]) -> list[Result]:
    """Choose settings on seeds of their own, then play the reported seeds."""
    learners = entries()
    tuning = [TUNING_SEED + config.seed + i for i in range(config.tuning_seeds)]
    reported = [config.seed + i for i in range(config.seeds)]
    every = list(itertools.chain.from_iterable(learners.values()))
    total = len(every) * len(tuning) + len(learners) * len(reported)
    tried = _games(problem, every, tuning, lambda n: told(n / total))
    chosen = [
        min(each, key=lambda e: _average(problem, tried[e.key])) for each in learners.values()
    ]
    before = len(every) * len(tuning)
    games = _games(problem, chosen, reported, lambda n: told((before + n) / total))
    return [_result(problem, e, games[e.key], _average(problem, tried[e.key])) for e in chosen]


def _games(
    problem: Problem, players: Sequence[Entry], seeds: Sequence[int], told: Callable[[int], None]
) -> dict[tuple[str, str], list[Game]]:
    """Games of all players, by learner and settings; rounds are made once for each seed."""
    games: dict[tuple[str, str], list[Game]] = {e.key: [] for e in players}
    for done, seed in enumerate(seeds):
        rounds = problem.rounds(seed)
        texts = as_text(rounds) if any(e.learner.startswith("vw") for e in players) else []
        for place, entry in enumerate(players):
            player = entry.make(rounds, texts, seed)
            games[entry.key].append(play(rounds, player, seed))
            told(done * len(players) + place + 1)
    return games


def _regret(problem: Problem, game: Game, last: float = 1.0) -> float:
    """A decision's, over the last share of the rounds."""
    rounds = game.regret[int(len(game.regret) * (1.0 - last)) :]
    return problem.best + _mean(rounds[~np.isnan(rounds)])


def _mean(values: Sequence[float] | NDArray[np.float64]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _average(problem: Problem, games: Sequence[Game]) -> float:
    return _mean([_regret(problem, game) for game in games])


def _result(problem: Problem, entry: Entry, games: Sequence[Game], tuning: float) -> Result:
    each = np.asarray([_regret(problem, game) for game in games])
    late = np.asarray([_regret(problem, game, 0.25) for game in games])
    return Result(
        problem.name,
        entry.learner,
        entry.settings,
        Estimate.of(each),
        Estimate.of(late),
        learnt=_mean([game.learnt for game in games]),
        decide_us=float(np.median([game.decide_us for game in games])),
        alone_us=float(np.median([game.alone_us for game in games])),
        learn_us=float(np.median([game.learn_us for game in games])),
        tuning_regret=tuning,
        per_seed=tuple(each.tolist()),
    )


def best_against_best(results: Sequence[Result]) -> dict[str, Estimate]:
    """For each problem the best of ours less the best of Vowpal Wabbit's, paired by seed.

    Each side's best is the one with the least regret on the tuning rounds: the reported ones have
    no say, so the difference favours nobody.
    """
    found = {}
    for problem in dict.fromkeys(result.problem for result in results):
        here = [result for result in results if result.problem == problem]
        sides = [
            [r for r in here if r.learner.startswith("vw") == theirs] for theirs in (False, True)
        ]
        if all(sides):
            ours, theirs = (min(side, key=lambda r: r.tuning_regret) for side in sides)
            found[problem] = Estimate.of(np.subtract(ours.per_seed, theirs.per_seed))
    return found


def _tables(config: BanditBenchmark, results: list[Result]) -> list[Table]:
    compared = best_against_best(results)
    tables = []
    for problem in dict.fromkeys(result.problem for result in results):
        caption = None
        if problem in compared:
            caption = f"best of ours less best of Vowpal Wabbit's: {_shown(compared[problem])}"
        table = Table(
            title=f"{problem}: regret a decision, {config.seeds} seeds, 95 % intervals",
            caption=caption, box=box.SIMPLE,
        )  # fmt: skip
        table.add_column("learner")
        table.add_column("settings", overflow="fold")
        for heading in ("regret", "last quarter", "learnt", "us to decide", "alone", "to learn"):
            table.add_column(heading, justify="right")
        for result in sorted(results, key=lambda r: r.regret.mean):
            if result.problem == problem:
                table.add_row(
                    result.learner,
                    result.settings,
                    _shown(result.regret),
                    f"{result.late.mean:.4g}",
                    f"{result.learnt:,.0f}",
                    f"{result.decide_us:.0f}",
                    f"{result.alone_us:.0f}",
                    f"{result.learn_us:.0f}",
                )
        tables.append(table)
    return tables


def _shown(estimate: Estimate) -> str:
    return f"{estimate.mean:.4g} [{estimate.low:.4g}, {estimate.high:.4g}]"


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 2 when what was given is wrong."""
    config = tyro.cli(BanditBenchmark, args=arguments, prog="python -m benchmarks.bandits")
    try:
        _check(config)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with Bar("playing bandits", shown=not config.json) as bar:
        results = measure(config, bar)
    if config.json:
        print(json.dumps(_as_json(config, results)))
        return 0
    console = Console(highlight=False, width=max(WIDTH, Console().width))
    for table in _tables(config, results):
        console.print(table)
    if find_spec("vowpalwabbit") is None:
        console.print("Vowpal Wabbit is not installed: pip install -e '.[bench]'")
    return 0


def _as_json(config: BanditBenchmark, results: list[Result]) -> dict[str, Any]:
    compared = {name: asdict(each) for name, each in best_against_best(results).items()}
    return {
        "results": [asdict(result) for result in results],
        "best_of_ours_less_best_of_vw": compared,
        "vw_installed": find_spec("vowpalwabbit") is not None,
        "lineage": lineage(config.seed),
    }


if __name__ == "__main__":
    sys.exit(main())
