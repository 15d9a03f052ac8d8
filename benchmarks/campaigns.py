"""Policies learnt from half of a real campaign, judged on the other half, beside its arms.

``python -m benchmarks.campaigns --data FOLDER``. The campaigns' files are not part of this
repository (docs/logs.md says what they are and where they come from); one that is not in the
folder is left out with that reason.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
import tyro
from rich import box
from rich.console import Console
from rich.table import Table

from agents.learners import LEARNERS
from agents.logs.estimators import Estimate
from benchmarks.targeting import (
    REACHES,
    Brings,
    Judged,
    Worth,
    constant,
    gain,
    joined,
    judged_rows,
    regression,
    targeted,
    worth,
)
from envs.errors import InputError
from envs.lineage import lineage
from simulators.cluster import quiet_ray
from simulators.logs.importing import import_campaign, split_users
from simulators.logs.logged import Log
from simulators.progress import Bar

MAPPINGS: Final = Path("simulators/logs/campaigns")
LearnerName = Literal["lints", "cql"]
LEARNT_BY: Final[tuple[LearnerName, ...]] = ("lints", "cql")
ROUNDS: Final = 30
"""How often conservative Q-learning goes through its half."""
MINIBATCH: Final = 256


@dataclass(frozen=True, slots=True)
class Measure:
    """What a campaign is judged by."""

    campaign: str
    """Name of its mapping."""
    csv: str
    outcome: str
    worth: float
    """Of one unit of the outcome."""
    cost: float
    """Of a contact. Assumed: the files have none."""
    unit: str
    says: str


MEASURES: Final = (
    Measure(
        "hillstrom", "hillstrom.csv.gz", "visit", 1.0, 0.05, "visits",
        "visits within two weeks; a mail costs .05 visits",
    ),
    Measure(
        "hillstrom", "hillstrom.csv.gz", "spend", 40.0, 10.0, "cents",
        "margin of 40 % on what was spent within two weeks; a mail costs 10 cents",
    ),
    Measure(
        "drink_less", "drinkless_mrt.csv.gz", "opened", 1.0, 0.05, "openings",
        "the app opened within the hour; a push costs .05 openings",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CampaignsConfig:
    """Learn from half of the users of real campaigns, judge on the others."""

    data: Path
    """Folder with hillstrom.csv.gz and drinkless_mrt.csv.gz, or one of them; read in place."""
    splits: Annotated[int, tyro.conf.arg(metavar="SEEDS")] = 3
    """How many times the users are split anew; each half is judged by what the other taught."""
    outcomes: tuple[Literal["visit", "spend", "opened"], ...] = ("visit", "spend", "opened")
    """What is judged: visits and spending of hillstrom, openings of drink_less."""
    seed: int = 0
    """The first of the seeds of splits and learners."""
    alpha: float = 0.1
    """Of conservative Q-learning."""
    json: bool = False
    """Print one JSON object instead of tables."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one campaign says by one measure: means over the splits."""

    measure: Measure
    decisions: int
    users: int
    policies: dict[str, Worth]
    gains: dict[str, dict[str, Estimate]]
    """Of each learnt policy over each arm that contacts as many, doubly robust."""


def main() -> None:
    """Learn, judge and print."""
    config = tyro.cli(CampaignsConfig, prog="python -m benchmarks.campaigns")
    try:
        _check(config)
        results = list(_results(config))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    if config.json:
        found = [asdict(result) for result in results]
        print(json.dumps({"campaigns": found, "splits": config.splits} | lineage(config.seed)))
        return
    for result in results:
        Console(width=140).print(_table(result))


def _check(config: CampaignsConfig) -> None:
    if config.splits < 1:
        raise InputError(f"--splits {config.splits} has to be 1 or more")
    if not any((config.data / measure.csv).is_file() for measure in MEASURES):
        names = ", ".join(dict.fromkeys(measure.csv for measure in MEASURES))
        raise InputError(f"{config.data} holds none of {names}: see docs/logs.md")


def _results(config: CampaignsConfig) -> Iterator[Result]:
    """The campaigns whose files are there, one after the other."""
    with quiet_ray(None):
        for measure in (each for each in MEASURES if each.outcome in config.outcomes):
            path = config.data / measure.csv
            if not path.is_file():
                print(f"{measure.campaign} left out: no {path}", file=sys.stderr)
                continue
            log = net(import_campaign(MAPPINGS / f"{measure.campaign}_mapping.yaml", path), measure)
            with Bar(f"{measure.campaign}, {measure.unit}", shown=not config.json) as bar:
                yield judge(log, measure, config, bar)


def net(log: Log, measure: Measure) -> Log:
    """The log with the measure as its reward: what came, less what the contact cost."""
    paid = measure.worth * log.outcomes[measure.outcome] - measure.cost * (log.actions > 0)
    return replace(log, rewards=paid, reward_unit=measure.unit)


def judge(log: Log, measure: Measure, config: CampaignsConfig, bar: Bar) -> Result:
    """Learn and judge, once a split, and average over the splits."""
    worths: list[dict[str, Worth]] = []
    gains: list[dict[str, dict[str, Estimate]]] = []
    for number in range(config.splits):
        seed = config.seed + number
        first = split_users(log.user_ids, 0.5, seed)
        halves = [log.take(first), log.take(~first)]
        found = [
            _policies(known, judged, seed, config.alpha) for known, judged in (halves, halves[::-1])
        ]
        policies = {name: joined([half[name] for half in found]) for name in found[0]}
        both = Log.joined([halves[1], halves[0]])
        users = np.unique(both.user_ids.astype(str), return_inverse=True)[1]
        worths.append({name: worth(p, both.rewards, users) for name, p in policies.items()})
        gains.append(_gains(policies, both, users))
        bar.update((number + 1) / config.splits)
    return Result(measure, len(log), len(np.unique(log.user_ids.astype(str))),
                  _mean_worths(worths), _mean_gains(gains))  # fmt: skip


def _policies(known: Log, judged: Log, seed: int, alpha: float) -> dict[str, Judged]:
    """Every policy, learnt from one half and held against the other; by name."""
    model = regression(known)
    names = [action.name for action in known.catalogue.actions]
    rows = {f"{names[0]}, everybody": constant(0, "everybody", judged)}
    for action in range(1, len(names)):
        for reach in ("everybody", "half"):
            rows[f"{names[action]}, {reach}"] = constant(action, reach, judged)
    for learner in LEARNT_BY:
        brings = learnt(learner, known, seed, alpha)
        for reach in REACHES:
            rows[f"{learner}, {reach}"] = targeted(brings, reach, known, judged)
    return {name: judged_rows(row, judged, model) for name, row in rows.items()}


def learnt(learner: LearnerName, log: Log, seed: int, alpha: float) -> Brings:
    """What a learner makes of a log in which every decision stands alone."""
    settings = LEARNERS[learner].make().from_log(log.observations.shape[1], log.mask.shape[1])
    settings = settings.debugging(seed=seed, log_level="ERROR")
    if learner == "lints":
        algorithm = settings.training(noise=float(log.rewards.std())).build_algo()
        algorithm.learn(log.observations, log.actions, log.rewards)
        policy = algorithm.policy()
        algorithm.stop()
        return lambda observations: policy.scores(observations)[0]
    return _conservative(settings.training(alpha=alpha), log)


def _conservative(settings: Any, log: Log) -> Brings:
    """The values of conservative Q-learning, in the unit of the reward."""
    from agents.logs.log_steps import InMemory, LogSteps
    from agents.logs.transitions import FOLLOWED, decisions, transitions

    found = transitions(decisions(log))
    found[FOLLOWED] = np.zeros(len(log), np.bool_)  # what came the next day is no part of it
    settings = settings.training(
        hidden=(32,), lr=1e-3, updates=4, train_batch_size_per_learner=MINIBATCH
    )
    algorithm = settings.build_algo()
    algorithm.read(LogSteps(InMemory(found)))
    while algorithm.sampled_steps() < ROUNDS * len(log):
        algorithm.train()
    policy, scale = algorithm.policy(), algorithm.reward_scale
    algorithm.stop()
    return lambda observations: policy.values(observations) / scale


def _gains(policies: dict[str, Judged], log: Log, users: Any) -> dict[str, dict[str, Estimate]]:
    """What learnt policies add to each arm: at half the contacts to arms at half, else to all."""
    found: dict[str, dict[str, Estimate]] = {}
    for name, policy in policies.items():
        learner, reach = _arm(name), name.rsplit(", ", 1)[1]
        if learner not in LEARNT_BY:
            continue
        against = "half" if reach == "half" else "everybody"
        silence = f"{log.catalogue.actions[0].name}, everybody"
        arms = [
            arm
            for arm in policies
            if not _is_learnt(arm) and (arm == silence or arm.endswith(f", {against}"))
        ]
        found[name] = {arm: gain(policy, policies[arm], log.rewards, users) for arm in arms}
    return found


def _is_learnt(name: str) -> bool:
    return _arm(name) in LEARNT_BY


def _mean(estimates: list[Estimate]) -> Estimate:
    """Over splits of the same users: the width is that of one split, nothing is gained by more."""
    return Estimate(
        *(float(np.mean([getattr(e, end) for e in estimates])) for end in Estimate.__slots__)
    )


def _mean_worths(splits: list[dict[str, Worth]]) -> dict[str, Worth]:
    return {name: _mean_worth([split[name] for split in splits]) for name in splits[0]}


def _mean_worth(found: list[Worth]) -> Worth:
    return Worth(
        _mean([worth.ips for worth in found]),
        _mean([worth.snips for worth in found]),
        _mean([worth.dr for worth in found]),
        float(np.mean([worth.contacted for worth in found])),
    )


def _mean_gains(splits: list[dict[str, dict[str, Estimate]]]) -> dict[str, dict[str, Estimate]]:
    return {
        name: {arm: _mean([split[name][arm] for split in splits]) for arm in arms}
        for name, arms in splits[0].items()
    }


def _table(result: Result) -> Table:
    measure = result.measure
    table = Table(box=box.SIMPLE, title=(
        f"{measure.campaign}: {measure.says}\n{result.decisions:,} decisions of "
        f"{result.users:,} users, net {measure.unit} a decision, 95 % intervals"
    ))  # fmt: skip
    table.add_column("policy", no_wrap=True)
    arms = list(dict.fromkeys(_arm(name) for gains in result.gains.values() for name in gains))
    for heading in ("contacts", "IPS", "SNIPS", "DR", *(f"over {arm}" for arm in arms)):
        table.add_column(heading, justify="right")
    for name, found in result.policies.items():
        shown = [_shown(estimate) for estimate in (found.ips, found.snips, found.dr)]
        over = {_arm(arm): _shown(e) for arm, e in result.gains.get(name, {}).items()}
        shown += [over.get(arm, "") for arm in arms]
        table.add_row(name, f"{found.contacted:.0%}", *shown)
    return table


def _arm(name: str) -> str:
    """The action of an arm, without its reach."""
    return name.rsplit(", ", 1)[0]


def _shown(estimate: Estimate) -> str:
    half = (estimate.high - estimate.low) / 2
    digits = 2 if max(abs(estimate.value), half) >= 1 else 4
    return f"{estimate.value:.{digits}f} ±{half:.{digits}f}"


if __name__ == "__main__":
    main()
