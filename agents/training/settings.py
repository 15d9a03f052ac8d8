"""What can be asked of a training, and what does not fit together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from agents.learners import LEARNERS, LearnerName
from agents.learning.rewards import LearningReward
from agents.policy import check_place
from agents.training.checkpoints import check_folder, find_checkpoint
from envs.errors import InputError

FOR_BANDITS, BANDITS = ("half_life", "weight_limit"), ("bandits", "neural_bandit")
"""Settings that only these modules' learners have."""


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Train a policy and write it as a bundle."""

    learner: tyro.conf.Positional[LearnerName]
    """q: masked double dueling deep Q-learning; lints: linear Thompson sampling."""
    out: Path = Path("runs/policy")
    """Folder of the bundle."""
    seed: int = 0
    """Of initial weights, exploration and training users; with --steps the run repeats exactly."""
    seconds: float | None = None
    """How long to train; a minute when neither --seconds nor --steps is given."""
    steps: int | None = None
    """How many decisions to train for."""
    preset: str = "default"
    """World to train in: tabular, small, default, sparse, grocery or budget."""
    log: Path | None = None
    """Train from this log (Parquet file or folder) instead of a world."""
    catalogue: Path | None = None
    """A catalogue file; the preset's, or the log's own, when left out."""
    warm_start: Path | None = None
    """Begin q with this bundle, of the same or of another catalogue: features and actions are met
    by name."""
    reward: LearningReward | None = None
    """What is learnt from (agents/learning/rewards.py); the learner's own choice when left out."""
    budget_price: float = 0.0
    """Price of a cent spent, in cents."""
    highest_budget_price: float | None = None
    """With it everybody in training has a price of their own between --budget-price and this one,
    so that one policy serves every budget: see the command price."""
    contact_price: float | None = None
    """What a contact has to earn beyond its costs, cents. When left out: q has a default that goes
    with its reward, lints chooses half-way by simulation, or takes 0 with --log."""
    floor: float | None = None
    """Share of the policy's decisions drawn uniformly; the learner's default when left out."""
    settings: Path | None = None
    """Settings of the learner, a YAML file as tune leaves it (best.yaml)."""
    large: bool = False
    """Write the bundle even if it is too large to be served: a teacher for distil."""
    half_life: float | None = None
    """Bandits: decisions after which one weighs half; nothing is forgotten when left out."""
    weight_limit: float | None = None
    """Bandits with --log: largest weight of a decision by its propensity; 1 for all if left out."""
    days: float = 56.0
    """Length of an episode."""
    runners: int = 0
    """Remote processes that collect experience; 0: this one does."""
    learners: int = 0
    """Remote processes that learn; 0: this one does."""
    address: str | None = None
    """Ray cluster to use; one is started here when left out."""
    checkpoint: Path | None = None
    """Folder of checkpoints, left now and then and at the end, to go on from."""
    checkpoint_seconds: float = 60.0
    """How far checkpoints are apart."""
    resume: Path | None = None
    """Checkpoint, or folder of them, to go on from; --steps and --seconds count from there.
    Checkpoints run code when loaded: only your own."""
    go_on: bool = False
    """Go on from the last of --checkpoint, if there is one, as the same training: --steps counts
    from its beginning. For jobs that are begun anew after their machine was lost."""
    curves: Path | None = None
    """Folder of curves for TensorBoard; OUT.curves, beside the bundle, when left out."""
    evaluate_users: int = 300
    """People of the evaluation at the end, whose figures go into the bundle; 0: none."""
    json: bool = False
    """Print the result as one JSON object."""


def check_training(config: TrainConfig) -> None:
    """Refuse what does not fit together, before anything starts.

    Raises:
        InputError: names the value and the remedy.
    """
    for name in ("seconds", "steps", "checkpoint_seconds"):
        value = getattr(config, name)
        if value is not None and not value > 0:
            raise InputError(f"--{name.replace('_', '-')} {value} has to be above 0")
    for name in ("runners", "learners", "budget_price", "evaluate_users", "seed"):
        if not getattr(config, name) >= 0:
            raise InputError(f"--{name.replace('_', '-')} {getattr(config, name)} is below 0")
    if config.floor is not None and not 0 <= config.floor <= 1:
        raise InputError(f"--floor {config.floor} is not a share, 0 to 1")
    if config.contact_price is not None and not config.contact_price >= 0:
        raise InputError(f"--contact-price {config.contact_price} is below 0")
    for name in FOR_BANDITS:
        value, flag = getattr(config, name), f"--{name.replace('_', '-')}"
        if value is not None and not value > 0:
            raise InputError(f"{flag} {value} has to be above 0")
        if value is not None and not LEARNERS[config.learner].module.endswith(BANDITS):
            raise InputError(f"{flag} is for bandits, not for {config.learner}")
    if config.weight_limit is not None and config.log is None:
        raise InputError("--weight-limit weighs decisions of a log: give one with --log")
    if config.log is not None and not LEARNERS[config.learner].from_log:
        able = ", ".join(name for name, learner in LEARNERS.items() if learner.from_log)
        raise InputError(f"{config.learner} does not learn from a log: train {able} with --log")
    if config.warm_start is not None and (
        config.log is not None or LEARNERS[config.learner].module != "agents.q_learning"
    ):
        raise InputError(f"--warm-start begins q in a world, not {config.learner}")
    if config.log is None and LEARNERS[config.learner].only_from_log:
        raise InputError(f"{config.learner} learns from a log alone: give one with --log")
    if config.log is not None and config.reward not in (None, "sampled"):
        raise InputError(f"--reward {config.reward}: a log only knows what was paid: use sampled")
    highest = config.highest_budget_price
    if highest is not None and not config.budget_price < highest < np.inf:
        raise InputError(
            f"--highest-budget-price {highest} has to be above --budget-price {config.budget_price}"
        )
    check_place(config.out)
    for folder in (config.checkpoint, config.curves):
        check_folder(folder)
    if config.go_on and (config.checkpoint is None or config.resume is not None):
        raise InputError("--go-on goes on from --checkpoint: give that, and no --resume")
    if config.resume is not None:
        find_checkpoint(config.resume)
