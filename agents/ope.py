"""Judge a policy by a log of other decisions: what it would have earned, or why nobody can say.

The answer stands beside the constant arms of the same log and beside its difference from each: a
difference of two policies on the same decisions is known far better than either value.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

from agents.baselines import make_baseline
from agents.logs.estimators import (
    ESTIMATORS,
    Estimate,
    Floats,
    Limits,
    WeightCheck,
    check_weights,
    importance_weights,
    interval,
    matching_weights,
    refusal,
)
from agents.policy import load_policy
from envs.catalogue import SILENCE
from envs.errors import InputError
from envs.lineage import lineage
from simulators.logs.logged import Log, LogError, read_log
from simulators.logs.served import read_served


@dataclass(frozen=True, slots=True)
class OpeConfig:
    """Estimate from a log what a policy earns a decision, beside every constant arm."""

    log: Path
    """Log to judge with (Parquet file or folder); not the one the policy was trained on."""
    policy: str | None = None
    """A bundle's folder, or silence, uniform, rule_book, constant:OFFER/CHANNEL."""
    decisions: Path | None = None
    """Instead of --policy: decisions served for this log's users (simulators traffic --log)."""
    confidence: float = 0.95
    """Probability with which an interval covers the true value."""
    min_effective: Annotated[float, tyro.conf.arg(metavar="DECISIONS")] = 100.0
    """Refuse to answer below this effective sample size."""
    max_unsupported: Annotated[float, tyro.conf.arg(metavar="SHARE")] = 0.01
    """Refuse to answer when more of the policy's choices are actions that the log never took."""
    json: bool = False
    """Print the result as one JSON object."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a log says about one policy: either estimates or the reason why there are none."""

    policy: str
    weights: WeightCheck
    refused: str | None
    ips: Estimate | None = None
    snips: Estimate | None = None
    gain: Estimate | None = None
    """The judged policy's value minus this arm's (SNIPS); only beside an arm."""
    observed: int | None = None
    """Decisions of the log that took this arm; only of an arm."""
    observed_mean: float | None = None
    """Their mean reward."""


def run_ope(config: OpeConfig) -> None:
    """Judge the policy or the served decisions, print the table, and fail when refused."""
    if (config.policy is None) == (config.decisions is None):
        raise InputError("give either --policy or --decisions")
    if not 0 < config.confidence < 1:
        raise InputError(f"--confidence {config.confidence} is not between 0 and 1")
    if not config.min_effective >= 2:
        raise InputError(f"--min-effective {config.min_effective}: no interval from fewer than 2")
    limits = Limits(config.min_effective, config.max_unsupported)
    log, name, weights, shares, notes = _asked(config)
    judged = judge(name, log, weights, shares, limits, config.confidence)
    arms = judge_arms(log, weights, judged, limits, config.confidence)
    _report(config, notes, log, judged, arms)
    if judged.refused is not None:
        raise InputError(f"refused: {judged.refused}")


def _asked(config: OpeConfig) -> tuple[Log, str, Floats, Floats, list[str]]:
    """The decisions to judge by, the policy's name, weights, choices, and what to know of them."""
    whole = read_log(config.log)
    log = whole.learnable()
    notes = []
    if len(log) < len(whole):
        left_out = len(whole) - len(log)
        notes.append(f"{left_out:,} decisions left out: degraded, or their reward is not known")
    if config.decisions is None:
        policy = load_policy(str(config.policy), log.catalogue)
        probabilities = policy.probabilities(log.observations, log.mask)
        weights = importance_weights(probabilities, log.actions, log.propensities)
        return log, policy.name, weights, probabilities.mean(axis=0), notes
    served = read_served(config.decisions)
    rows, answers, actions = served.matched(log)
    if len(rows) < len(log):
        notes.append(f"{len(log) - len(rows):,} decisions of the log were not served: left out")
    own = ~served.degraded[answers]
    if not own.all():
        notes.append(f"{int((~own).sum()):,} served decisions were degraded: left out")
        rows, answers, actions = rows[own], answers[own], actions[own]
    log = log.take(rows)
    name = f"served: {', '.join(sorted(set(served.policies[answers])))}"
    shares = np.bincount(actions, minlength=len(log.catalogue.actions)) / max(len(actions), 1)
    return log, name, matching_weights(actions, log.actions, log.propensities), shares, notes


def judge(
    name: str, log: Log, weights: Floats, shares: Floats, limits: Limits, confidence: float = 0.95
) -> Judgement:
    """Estimate one policy's value from its weights, or refuse.

    Args:
        name: what the result calls the policy.
        log: N decisions with known rewards.
        weights: of the policy on these decisions, [N].
        shares: how often the policy chooses each action, [A], adds up to 1.
        limits: from where on to refuse.
        confidence: of the intervals.
    """
    if len(log) < 2:
        raise LogError("the log holds fewer than two decisions with a known reward")
    supported = np.isin(np.arange(len(shares)), log.actions)
    check = check_weights(weights, float(shares[~supported].sum()))
    reason = refusal(check, limits)
    if reason is not None:
        return Judgement(name, check, reason)
    users = _user_numbers(log)
    estimates = {
        kind: interval(*estimate(weights, log.rewards), users, check.effective, confidence)
        for kind, estimate in ESTIMATORS.items()
    }
    return Judgement(name, check, None, ips=estimates["ips"], snips=estimates["snips"])


def judge_arms(
    log: Log, weights: Floats, judged: Judgement, limits: Limits, confidence: float = 0.95
) -> list[Judgement]:
    """Judge each constant arm that the log took, and the judged policy's gain over it.

    A constant arm takes its action wherever the rules allow it and is silent elsewhere.
    """
    arms = []
    for index in np.unique(log.actions):
        action = log.catalogue.actions[index].name
        arm = make_baseline(SILENCE if index == 0 else f"constant:{action}", log.catalogue)
        probabilities = arm.probabilities(log.observations, log.mask)
        of_arm = importance_weights(probabilities, log.actions, log.propensities)
        shares = probabilities.mean(axis=0)
        result = judge(action, log, of_arm, shares, limits, confidence)
        rewards = log.rewards[log.actions == index]
        gain = None
        if judged.refused is None and result.refused is None:
            gain = _gain(log, weights, of_arm, confidence)
        arms.append(
            Judgement(
                action,
                result.weights,
                result.refused,
                ips=result.ips,
                snips=result.snips,
                gain=gain,
                observed=len(rewards),
                observed_mean=float(rewards.mean()),
            )
        )
    return arms


def _gain(log: Log, weights: Floats, of_arm: Floats, confidence: float) -> Estimate:
    """The paired difference of two self-normalised values: influences subtract."""
    value, influence = ESTIMATORS["snips"](weights, log.rewards)
    other, other_influence = ESTIMATORS["snips"](of_arm, log.rewards)
    effective = min(check_weights(w, 0.0).effective for w in (weights, of_arm))
    users = _user_numbers(log)
    return interval(value - other, influence - other_influence, users, effective, confidence)


def _user_numbers(log: Log) -> NDArray[np.int64]:
    return np.unique(log.user_ids.astype(str), return_inverse=True)[1]


def _report(
    config: OpeConfig, notes: list[str], log: Log, judged: Judgement, arms: list[Judgement]
) -> None:
    if config.json:
        result = {
            "log": str(config.log),
            "reward_unit": log.reward_unit,
            "decisions": len(log),
            "users": len(np.unique(log.user_ids.astype(str))),
            "confidence": config.confidence,
            "notes": notes,
            "policy": asdict(judged),
            "arms": [asdict(arm) for arm in arms],
            "lineage": lineage(0),
        }
        print(json.dumps(result))
        return
    console = Console()
    console.width = max(console.width, 120)
    answered = [arm for arm in arms if arm.refused is None]
    console.print(_table(config, log, judged, answered))
    if len(answered) < len(arms):
        refused = len(arms) - len(answered)
        notes = [f"{refused} of {len(arms)} constant arms refused; --json tells why", *notes]
    for note in notes:
        console.print(note)


def _table(config: OpeConfig, log: Log, judged: Judgement, arms: list[Judgement]) -> Table:
    level = f"± {config.confidence:.0%} interval"
    table = Table(
        box=box.SIMPLE, title=f"{log.reward_unit} a decision ({level}), {len(log):,} decisions"
    )
    table.add_column("policy", overflow="fold", min_width=20)
    for heading in ("IPS", "SNIPS", "effective", "mean w", "arm's mean", "policy - arm"):
        table.add_column(heading, justify="right")
    for row in (judged, *arms):
        table.add_row(
            row.policy if row.refused is None else f"{row.policy} (refused)",
            _shown(row.ips),
            _shown(row.snips),
            f"{row.weights.effective:,.0f}",
            f"{row.weights.mean:.3f}",
            "" if row.observed_mean is None else f"{row.observed_mean:.4f}",
            _shown(row.gain),
        )
    return table


def _shown(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    return f"{estimate.value:.4f} ±{(estimate.high - estimate.low) / 2:.4f}"
