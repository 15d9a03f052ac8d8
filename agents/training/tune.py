"""The command that searches for a learner's best settings, with Ray Tune, on any machines.

Settings are drawn at random from the learner's space (``agents/training/spaces.py``), its defaults
first.
Asynchronous successive halving (ASHA, Li et al. 2020) judges a trial after one, three and nine
ninths of its training, and ends it unless it is among the better third of those that came as far.
What is judged is the paired gain over silence, on people that neither training nor the final
evaluation meets: the best of many figures flatters itself, the final one does not.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import tyro
import yaml
from rich.console import Console

from agents.baselines import make_baseline
from agents.judging.field import Field, play
from agents.learners import LearnerName
from agents.policy import save_bundle
from agents.training.checkpoints import check_folder
from agents.training.settings import TrainConfig, check_training
from agents.training.spaces import defaults_of, space_of
from agents.training.trial import Task
from agents.training.world_training import SECONDS, environment, evaluation
from envs.aside import file_aside
from envs.catalogue import Catalogue
from envs.errors import InputError
from envs.lineage import lineage
from simulators.cluster import quiet_ray
from simulators.make import offer_vector_env
from simulators.presets import catalogue_for
from simulators.progress import Bar

if TYPE_CHECKING:
    from agents.training.search import Search

JUDGED_FIRST = 2_000_000
"""First number of the people on whom trials are judged."""


@dataclass(frozen=True, slots=True)
class TuneConfig:
    """Search for a learner's best settings in a world, and keep them with the policy they made."""

    learner: tyro.conf.Positional[LearnerName]
    """Whose settings; q, lints, linucb, squarecb, epsgreedy and neurallinear have a space."""
    out: Path = Path("runs/tune")
    """Folder of best.yaml (for train --settings), trials.parquet and policy, a bundle."""
    preset: str = "default"
    """World to train in: tabular, small, default, sparse, grocery or budget."""
    catalogue: Path | None = None
    """A catalogue file; the preset's when left out."""
    trials: int = 20
    """How many settings are tried; the first are the defaults."""
    seconds: float | None = None
    """Training of a whole trial; a minute when neither --seconds nor --steps is given."""
    steps: int | None = None
    """The same in decisions: a trial repeats exactly."""
    seed: int = 0
    """Of the settings drawn, and of every trial's training."""
    workers: int = 0
    """Trials at a time; 0: one a core."""
    address: str | None = None
    """Ray cluster to use; one is started here when left out."""
    users: int = 200
    """People on whom trials are judged."""
    days: float = 28.0
    """Length of an episode, and how long people are followed when judging."""
    budget_price: float = 0.0
    """Price of a cent spent, in cents."""
    evaluate_users: int = 300
    """Other people, on whom the best policy is evaluated at the end; 0: none."""
    json: bool = False
    """Print the result as one JSON object."""


def run_tune(config: TuneConfig) -> None:
    """The command: search, evaluate the best on other people, write settings, table and bundle."""
    training = TrainConfig(
        learner=config.learner, out=config.out / "policy", seed=config.seed, preset=config.preset,
        seconds=config.seconds, steps=config.steps, catalogue=config.catalogue, days=config.days,
        budget_price=config.budget_price, evaluate_users=config.evaluate_users, json=True,
    )  # fmt: skip
    _check(config, training)
    from agents.training.search import run_search  # Ray Tune is not loaded for --help

    catalogue = catalogue_for(config.preset, config.catalogue)
    with (
        quiet_ray(config.address, config.workers),
        tempfile.TemporaryDirectory() as folder,
        Bar(f"trying settings of {config.learner}", shown=not config.json) as bar,
    ):
        found = run_search(
            _task(config, training, catalogue), space_of(config.learner),
            defaults_of(config.learner), config.trials, config.workers, config.seed, folder,
            bar.update,
        )  # fmt: skip
    result = _write(config, training, catalogue, found)
    if config.json:
        print(json.dumps(result))
    else:
        Console(stderr=True).print(_told(result), highlight=False)


def _check(config: TuneConfig, training: TrainConfig) -> None:
    """Refuse what does not fit together, before anything starts.

    Raises:
        InputError: names the value and the remedy.
    """
    for name, least in (("trials", 1), ("workers", 0), ("users", 2)):
        if getattr(config, name) < least:
            raise InputError(f"--{name} {getattr(config, name)} is below {least}")
    space_of(config.learner)
    check_folder(config.out)
    check_training(training)
    offer_vector_env(1, **environment(training))


def _task(config: TuneConfig, training: TrainConfig, catalogue: Catalogue) -> Task:
    """What the trials share; silence is played once for all of them."""
    field = Field(catalogue, config.preset, config.users, config.days, (config.seed,), JUDGED_FIRST)
    silence = play(field, make_baseline("silence", catalogue)).value
    seconds = SECONDS if config.seconds is None and config.steps is None else config.seconds
    return Task(training, seconds, field, silence)


def _write(
    config: TuneConfig, training: TrainConfig, catalogue: Catalogue, found: Search
) -> dict[str, Any]:
    """Leave the table, the bundle and the settings, in this order; what came of it, as figures."""
    config.out.mkdir(parents=True, exist_ok=True)
    best, origin = dict(found.best), lineage(config.seed)
    policy, settings = best.pop("policy"), _plain(best.pop("settings"))
    figures = {"preset": config.preset, "judged": _plain(best), "settings": settings}
    figures |= evaluation(training, catalogue, policy)
    with file_aside(config.out / "trials.parquet") as aside:
        pd.DataFrame(found.rows).to_parquet(aside)
    save_bundle(training.out, policy, catalogue, origin, figures)
    result = {"learner": config.learner, **figures, "lineage": origin}
    text = yaml.safe_dump(result, sort_keys=False, allow_unicode=True)
    with file_aside(config.out / "best.yaml") as aside:
        aside.write_text(text, encoding="utf-8")
    counts = {"trials": found.trials, "ended_early": found.ended_early, "failed": found.failed}
    return {"out": str(config.out), **counts, **result}


def _plain(values: dict[str, Any]) -> Any:
    """Values as YAML and JSON know them."""
    return json.loads(json.dumps(values, default=lambda number: number.item()))


def _told(result: dict[str, Any]) -> str:
    settings = ", ".join(f"{name} {value}" for name, value in result["settings"].items())
    line = f"best of {result['trials']} ({result['ended_early']} ended early): {settings}"
    gain = result.get("gain_over_silence")
    if gain:
        line += (
            f"\ngain over silence {gain['mean']:.1f} [{gain['low']:.1f}, {gain['high']:.1f}] "
            f"cents a user-week on {result['evaluation']['users']} other users"
        )
    return f"{line}\n-> {result['out']}"
