"""The command that says what share of the gap to the optimum policies close."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import tyro
from rich.console import Console

from agents import baselines
from agents.baselines import make_baseline
from agents.judging import players
from agents.judging.entries import Entry, entries, groups
from agents.judging.players import Deciding
from agents.judging.shares import Shares
from agents.judging.standings import standings
from envs.catalogue import Catalogue
from envs.encoding import Encoding
from envs.errors import InputError
from envs.lineage import lineage
from simulators.oracle.contest import PLANNERS, Contest, Field
from simulators.oracle.course import ORACLE, SILENCE, Course
from simulators.oracle.criterion import GAMMA
from simulators.oracle.grid import Nodes
from simulators.oracle.judging import Setting
from simulators.oracle.kept import Kept
from simulators.oracle.panel import Panel
from simulators.oracle.tabular import is_finite
from simulators.oracle.yardstick import Workers
from simulators.presets import Preset, catalogue_for, find_preset
from simulators.progress import Bar
from simulators.rollout import preset_hash

Result = dict[str, Any]

CONSTANT: Final = "best_constant"
ENTERED: Final = ("uniform", "rule_book")
"""Baselines that take part in every contest, where the catalogue has what they speak of."""
RIVALS: Final = ("uniform", CONSTANT, "rule_book", "myopic", "myopic_priced")
"""Whom a learner should beat; the last two know what nobody can know."""
CRITERION: Final = (
    "cents a user-week of net value: the constant flow with the same discounted value, "
    f"{GAMMA} a day, from the world's start; all rules bind everybody"
)


@dataclass(frozen=True, slots=True)
class EvaluateConfig:
    """Say what share of the gap between silence and the optimum policies close.

    All meet the same users and the same luck, beside rivals that learn nothing and an oracle that
    knows the users' hidden state and plans for each. The optimum is that of a sample of
    individuals; users are copies of them, each with luck of its own.
    """

    policies: tyro.conf.Positional[tuple[str, ...]] = field(default=())
    """Folders of bundles, or baselines such as constant:gift/mini_program; NAME=POLICY names one,
    and the same NAME again and again stands for one learner with several training seeds."""
    preset: str = "default"
    """Of the world: tabular, small, default, sparse, grocery or budget."""
    users: int = 1000
    """People, the same for every policy; rounded up to whole copies of the individuals."""
    seeds: int = 1
    """How many times all people are played, with other luck each time."""
    seed: int = 0
    """The first of those seeds, and that of the sample of individuals."""
    each: int = 2
    """Individuals of every archetype whose optimum is planned; a finite preset has one."""
    days: float = 200.0
    """How long to follow people; what comes later has lost its weight."""
    planners: bool = False
    """Whether two planners that only know the history take part: no_information and filtered."""
    budget_price: float = 0.0
    """What policies are told that a cent spent costs, in cents."""
    catalogue: Path | None = None
    """A catalogue file; the preset's own when left out."""
    workers: int = 2
    """Ray tasks at a time; 0: no Ray, or all cores of the cluster at --address."""
    address: str | None = None
    """Ray cluster to use; one is started here when left out."""
    kept: Path = Path("runs/oracle")
    """Folder of what does not change from one evaluation to the next: optimum and rivals."""
    plot: Path | None = None
    """Where to draw the shares (PNG); not drawn when left out."""
    json: bool = False
    """Print one JSON object instead of a table."""


def run_evaluate(config: EvaluateConfig) -> None:
    """The command: judge everybody, print or draw shares of the gap."""
    result = evaluated(config, shown=not config.json)
    if config.plot is not None:
        _draw(config.plot, result)
    if config.json:
        print(json.dumps(result))
    else:
        Console().print(standings(result))


def evaluated(config: EvaluateConfig, shown: bool = False) -> Result:
    """Lay the course out, let everybody run, and judge; ``shown`` with bars.

    Raises:
        InputError: a setting or a policy is wrong.
    """
    _check(config)
    started = time.perf_counter()
    preset, catalogue = find_preset(config.preset), catalogue_for(config.preset, config.catalogue)
    entered, left_out = _entered(catalogue)
    named = entries(config.policies, catalogue, (SILENCE, ORACLE, *RIVALS, *PLANNERS))
    contest = _contest(config, preset, catalogue, entered)
    with Bar("planning the optimum", shown) as bar:
        field = contest.prepared(bar.update)
    with Bar("playing", shown) as bar:
        playing = [Deciding(e.name, e.policy, config.budget_price) for e in named]
        ran = contest.run(field, playing, bar.update)
    return {
        "preset": preset.name,
        "users": len(field.course) // config.seeds,
        "seeds": list(contest.seeds),
        "individuals": len(contest.setting.panel),
        "days": config.days,
        "budget_price": config.budget_price,
        "criterion": CRITERION,
        **_findings(field, Shares.of(field.course, ran), named),
        "left_out": left_out,
        "preset_hash": preset_hash(preset),
        "catalogue_hash": catalogue.hash,
        "encoding_hash": Encoding(catalogue).hash,
        "seconds": round(time.perf_counter() - started, 1),
        "lineage": lineage(config.seed),
    }


def _check(config: EvaluateConfig) -> None:
    """Refuse what cannot be judged.

    Raises:
        InputError: names the value and the remedy.
    """
    for name, least in (("seeds", 1), ("each", 1), ("days", 1), ("workers", 0), ("seed", 0)):
        if not getattr(config, name) >= least:
            raise InputError(f"--{name} {getattr(config, name)} has to be {least} or more")
    if not 0 <= config.budget_price < np.inf:
        raise InputError(f"--budget-price {config.budget_price} has to be 0 or more")


def _contest(
    config: EvaluateConfig, preset: Preset, catalogue: Catalogue, entered: list[Deciding]
) -> Contest:
    """The world, the panel and the luck.

    Raises:
        InputError: too few users.
    """
    each = 1 if is_finite(preset, catalogue) else config.each
    panel = Panel.drawn(preset, catalogue, config.seed, each, copies=2)
    if config.users < 2 * len(panel):
        raise InputError(
            f"--users {config.users} are too few: {len(panel)} individuals need 2 copies each; "
            f"give --users {2 * len(panel)} or more"
        )
    panel = Panel(panel.persons, panel.shares, -(-config.users // len(panel)))
    return Contest(
        Setting(preset, catalogue, config.seed, config.days, panel, Nodes()),
        tuple(range(config.seed, config.seed + config.seeds)),
        Kept(config.kept, [Path(module.__file__ or "") for module in (baselines, players)]),
        Workers(config.workers, config.address),
        config.planners,
        entered,
    )


def _entered(catalogue: Catalogue) -> tuple[list[Deciding], dict[str, str]]:
    """Baselines that take part, and why others cannot."""
    taking_part, left_out = [], {}
    for name in ENTERED:
        try:
            taking_part.append(Deciding(name, make_baseline(name, catalogue)))
        except InputError as error:
            left_out[name] = str(error)
    return taking_part, left_out


def _findings(field: Field, shares: Shares, named: list[Entry]) -> Result:
    """What was found out, by name."""
    rivals = [name for name in (*RIVALS, *PLANNERS) if name in shares.ran]
    best = shares.best(rivals)
    everybody = [SILENCE, *rivals, ORACLE, *(entry.name for entry in named)]
    origins = {entry.name: entry.origin() for entry in named}
    return {
        "gap": shares.gap(),
        "best_constant": field.tuned[CONSTANT]["action"],
        "best_rival": best,
        "rivals": [SILENCE, *rivals, ORACLE],
        "tuned": field.tuned,
        "exact": _exact(field.course),
        "policies": {
            name: shares.row(name, CONSTANT, best) | origins.get(name, {}) for name in everybody
        },
        "over_training_seeds": {
            group: shares.over_seeds(members, CONSTANT) for group, members in groups(named).items()
        },
    }


def _exact(course: Course) -> dict[str, float] | None:
    """Values that are known without a simulation, where the optimum is among them."""
    if course.shortfall is None:
        return None
    known = {SILENCE: course.silence, ORACLE: course.optimum}
    return {name: float(course.setting.panel.shares @ values) for name, values in known.items()}


def _draw(path: Path, result: Result) -> None:
    from simulators.oracle.picture import draw_shares  # matplotlib only where it is asked for

    rows = {name: row for name, row in result["policies"].items() if name != SILENCE}
    fell, expected = (
        {name: row[column] for name, row in rows.items()}
        for column in ("gap_closed", "expected_gap_closed")
    )
    draw_shares(path, fell, expected, f"{result['preset']}, {result['users']} users")
