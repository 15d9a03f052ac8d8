"""The command that decides for a file of users: Parquet in, Parquet out, on any number of machines.

The unit of work is a row group of the input: it is read batch by batch, decided, and becomes one
part of the output. Tasks of ``ray.data`` take a few of them each. So memory grows neither with the
file nor with the number of machines, and no user travels between processes.
"""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from agents.baselines import is_baseline
from agents.policy import load_bundle, load_policy
from agents.shipping.decision_files import DecisionFolder, ScoreInfo, check_folder
from agents.shipping.pieces import Done, Piece, peak_mb, pieces_of, score_piece
from agents.shipping.scoring import Scorer
from envs.catalogue import load_catalogue
from envs.encoding import Encoding
from envs.errors import InputError
from envs.lineage import lineage
from simulators.cluster import Progress, cluster_cores, quiet_ray
from simulators.presets import catalogue_for
from simulators.progress import Bar

TASKS: Final = 8
"""Tasks a worker, so that all end at about the same time."""
PIECES: Final = 4
"""Pieces a task, where that leaves tasks enough: what Ray does for a task takes as long as half a
piece."""


@dataclass(frozen=True, slots=True)
class ScoreConfig:
    """Decide for every user of a file, and write each decision with its probability."""

    policy: tyro.conf.Positional[str]
    """Folder of a bundle, or a baseline such as rule_book."""
    users: tyro.conf.Positional[Path]
    """Parquet file of users, or a folder of such files; `python -m simulators snapshot` makes one.
    Its row groups are decided side by side."""
    out: Path = Path("runs/decisions")
    """Folder of the decisions; older decisions there are replaced."""
    seed: int = 0
    """Of the draws: each is a function of the seed, the user's name and the time alone."""
    budget_price: float = 0.0
    """What the policy is told about the price of a cent spent."""
    preset: str = "default"
    """Whose catalogue a baseline decides for."""
    catalogue: Path | None = None
    """A catalogue file; the bundle's own, or the preset's, when left out."""
    workers: int = 0
    """Row groups decided at a time; 0: one a core."""
    address: str | None = None
    """Ray cluster to use; one is started here when left out. Its machines have to see the files."""
    json: bool = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True, slots=True)
class Score:
    """What came of a scoring."""

    decisions: int
    actions: dict[str, int]
    """How often each action was taken."""
    seconds: float
    """Until the last part was written, without the start of Ray."""
    cpu_seconds: float
    """Time that processors worked on it, on all machines."""
    peak_worker_mb: float
    """The most memory that one of the workers ever held."""
    peak_driver_mb: float
    """The same of this process."""


def run_score(config: ScoreConfig) -> None:
    """The command: decide for everybody, say how many and how fast."""
    if not config.budget_price >= 0 or config.workers < 0:
        raise InputError(
            f"budget_price {config.budget_price} and workers {config.workers} have to be 0 or more"
        )
    check_folder(config.out)
    scorer, info = _prepared(config)
    pieces = pieces_of(config.users, scorer.catalogue)
    bar = Bar(f"deciding with {info.policy_name}", shown=not config.json)
    with quiet_ray(config.address, config.workers), DecisionFolder(config.out, info) as folder, bar:
        score = score_all(scorer, pieces, folder, config.workers, bar.update)
        folder.finish(len(pieces))
    _print(config, info, score)


def _prepared(config: ScoreConfig) -> tuple[Scorer, ScoreInfo]:
    """What decides, and what the decisions will say of it."""
    given = None if config.catalogue is None else load_catalogue(config.catalogue)
    if Path(config.policy).is_dir() and not is_baseline(config.policy):
        bundle = load_bundle(Path(config.policy), given)
        policy: Any = bundle.policy
        catalogue, weights = bundle.catalogue, bundle.manifest.weights_sha256
    else:
        catalogue, weights = given or catalogue_for(config.preset, None), ""
        policy = load_policy(config.policy, catalogue)
    info = ScoreInfo(
        policy=config.policy,
        policy_name=policy.name,
        weights_sha256=weights,
        catalogue_hash=catalogue.hash,
        encoding_hash=Encoding(catalogue).hash,
        users=str(config.users),
        seed=config.seed,
        budget_price=config.budget_price,
        lineage=lineage(config.seed),
    )
    return Scorer(catalogue, policy, config.seed, config.budget_price), info


def score_all(
    scorer: Scorer,
    pieces: list[Piece],
    folder: DecisionFolder,
    workers: int = 0,
    progress: Progress | None = None,
) -> Score:
    """Decide for all pieces, in tasks of the Ray that is up, and count.

    Args:
        scorer: decides.
        pieces: what to decide.
        folder: where the parts go.
        workers: pieces at a time; 0: one a core.
        progress: told the share done.

    Raises:
        InputError: a piece that cannot be read, or holds values that cannot be.
    """
    wanted, done, cpu, peak = sum(piece.rows for piece in pieces), 0, 0.0, 0.0
    counts = np.zeros(len(scorer.catalogue.actions), np.int64)
    started = time.perf_counter()
    for each in _as_tasks(scorer, pieces, folder, workers):
        if each.refused:
            raise InputError(each.refused)
        done, cpu, peak = done + each.rows, cpu + each.cpu_s, max(peak, each.peak_mb)
        counts += each.counts
        if progress is not None:
            progress(done / wanted)
    names = (action.name for action in scorer.catalogue.actions)
    actions = dict(zip(names, counts.tolist(), strict=True))
    return Score(done, actions, time.perf_counter() - started, cpu, peak, peak_mb())


def _as_tasks(
    scorer: Scorer, pieces: list[Piece], folder: DecisionFolder, workers: int
) -> Iterator[Done]:
    """The pieces as a dataset with a row each, mapped where there is room."""
    decide = partial(score_piece, scorer=scorer, folder=folder.aside, said=folder.metadata)
    with warnings.catch_warnings():
        # Ray warns of old settings of its own, which nobody here uses.
        warnings.simplefilter("ignore", DeprecationWarning)
        import ray.data

        logging.getLogger("ray.data").setLevel(logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False
        given = [asdict(piece) for piece in pieces]
        tasks = _tasks(len(pieces), workers or cluster_cores())
        rows = ray.data.from_items(given, override_num_blocks=tasks)
        for row in rows.map(decide, concurrency=workers or None).iter_rows():
            yield Done(**row)


def _tasks(pieces: int, workers: int) -> int:
    """In how many tasks so many pieces are decided."""
    return max(-(-pieces // PIECES), min(pieces, TASKS * workers))


def _print(config: ScoreConfig, info: ScoreInfo, score: Score) -> None:
    rate = score.decisions / max(score.seconds, 1e-9)
    if config.json:
        result = {"out": str(config.out), "decisions_per_second": round(rate), **asdict(score)}
        print(json.dumps(result | {"info": asdict(info)}))
        return
    table = Table("action", "decisions", "share", title=f"{info.policy_name}: {score.decisions:,}")
    for name, count in sorted(score.actions.items(), key=lambda item: -item[1]):
        if count:
            table.add_row(name, f"{count:,}", f"{count / score.decisions:.1%}")
    console = Console()
    console.print(table)
    speed = f"{rate:,.0f} a second, {score.decisions / score.cpu_seconds:,.0f} a second of a core"
    console.print(
        f"{score.seconds:.1f} s, {speed} -> {config.out}", highlight=False, soft_wrap=True
    )
