"""The command that says how much a policy could be worth, and how near simpler ones come."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from envs.errors import InputError
from envs.lineage import lineage
from simulators.oracle.attained import Attained
from simulators.oracle.criterion import GAMMA
from simulators.oracle.finite import solve_finite
from simulators.oracle.grid import Nodes
from simulators.oracle.judging import ALL_RULES, Setting
from simulators.oracle.panel import Figure, Panel
from simulators.oracle.tabular import is_finite
from simulators.oracle.yardstick import Judgement, Workers, judge
from simulators.presets import find_preset
from simulators.progress import Bar
from simulators.rollout import preset_hash

Result = dict[str, Any]

RULES: Final = (
    "optimal and attained keep the rules that a plan can hold (scene, hour, margin floor, consent, "
    "contacts of the day), everybody else all"
)
"""Which rules bind whom."""
CRITERION: Final = (
    "cents a user-week of net value: the constant flow with the same discounted value, "
    f"{GAMMA} a day, from the world's start"
)


@dataclass(frozen=True, slots=True)
class OracleConfig:
    """Solve the world for users whose traits are known, and judge simpler policies against that.

    A finite preset (tabular) is solved exactly. For any other the optimum of a sample of
    individuals is planned on a grid and then simulated, beside its honest rivals.
    """

    preset: str = "default"
    """Of the world."""
    seed: int = 0
    """Of the sample of individuals and of all luck."""
    each: int = 2
    """Individuals of every archetype."""
    copies: int = 140
    """Users with an individual's traits, each with luck of its own."""
    days: float = 200.0
    """How long to follow them; what comes later has lost its weight."""
    nodes: int = Nodes().fatigue
    """Of fatigue in the planner's grid."""
    refined: int = 3
    """Individuals that are planned again on a grid with half the distance between nodes."""
    workers: int = 2
    """Ray tasks at a time; 0: no Ray, or all cores of the cluster at --address."""
    address: str | None = None
    """Ray cluster to use; one is started here when left out."""
    plot: Path | None = None
    """Where to draw the result (PNG); not drawn when left out, nor for a finite preset."""
    json: bool = False
    """Print one JSON object instead of a table."""


def run_oracle(config: OracleConfig) -> None:
    """The command: solve, simulate, compare."""
    _check(config)
    preset = find_preset(config.preset)
    catalogue = preset.load_catalogue()
    started = time.perf_counter()
    panel = Panel.drawn(preset, catalogue, config.seed, config.each, config.copies)
    setting = Setting(
        preset, catalogue, config.seed, config.days, panel, Nodes(fatigue=config.nodes)
    )
    with Bar(f"solving {preset.name}", shown=not config.json) as bar:
        if is_finite(preset, catalogue):
            result = solve_finite(setting, bar.update)
        else:
            workers = Workers(config.workers, config.address)
            judgement = judge(setting, config.refined, workers, bar.update)
            result = _findings(setting, judgement)
            if config.plot is not None:
                _draw(config.plot, result, setting, judgement)
    result = {
        "preset": preset.name,
        "preset_hash": preset_hash(preset),
        "catalogue_hash": catalogue.hash,
        "criterion": CRITERION,
        "rules": RULES,
        "days": config.days,
        **result,
        "seconds": round(time.perf_counter() - started, 1),
        "lineage": lineage(config.seed),
    }
    _print(result, config)


def _check(config: OracleConfig) -> None:
    if config.each < 1 or config.copies < 2 or config.days < 1:
        raise InputError(
            f"each {config.each} and days {config.days:g} have to be 1 or more, copies "
            f"{config.copies} 2 or more"
        )
    if config.refined < 1 or config.workers < 0 or config.nodes < 3:
        raise InputError(
            f"refined {config.refined} has to be 1 or more, workers {config.workers} 0 or more, "
            f"nodes {config.nodes} 3 or more"
        )


def _findings(setting: Setting, judgement: Judgement) -> Result:
    """What was found out about a sample of individuals, by name."""
    played, refined = judgement.played, judgement.refined
    names = ("attained", ALL_RULES, *judgement.players)
    coarse = played.planned[judgement.again]
    finer = refined.panel.shares @ (coarse - refined.planned)
    gain = refined.panel.figure(refined.gain("attained")).mean
    return {
        "whose": _whose(setting),
        "value_optimal": played.value_optimal(),
        "value_silence": played.value_silence(),
        **{f"value_{name}": asdict(played.value(name)) for name in names},
        "value_silence_simulated": asdict(setting.panel.figure(played.values["silence"])),
        "share_of_gap": {
            name: asdict(played.share(name, of=ALL_RULES)) for name in judgement.players
        },
        "kept_under_all_rules": asdict(played.share(ALL_RULES, of="attained")),
        "tuned": {name: player.tuned() for name, player in judgement.players.items()},
        "discretisation_error": _sized(played.error()),
        "discretisation_error_doubled": {
            **_sized(refined.error()),
            "individuals": len(refined.panel),
            "planned_moves_by": abs(float(finer)) / gain,
        },
        "refused_by_rules_left_out": _refused(judgement.attained["attained"]),
        "contacts_per_user_week": {
            name: _contacts(setting.panel, parts) for name, parts in judgement.attained.items()
        },
    }


def _draw(path: Path, result: Result, setting: Setting, judgement: Judgement) -> None:
    from simulators.oracle.picture import draw_oracle  # matplotlib only where it is asked for

    kinds = setting.preset.archetypes
    usual = max(range(len(kinds)), key=lambda kind: kinds[kind].weight)
    plan = judgement.plans[usual]
    draw_oracle(path, result["share_of_gap"], plan, setting.catalogue, kinds[usual].name)


def _sized(error: Figure) -> Result:
    """Size of an error, whatever its sign, with the largest size its interval allows."""
    return {
        "mean": abs(error.mean),
        "signed": asdict(error),
        "largest": max(-error.low, error.high),
    }


def _whose(setting: Setting) -> list[Result]:
    """The individuals whose optimum it is."""
    panel, kinds = setting.panel, setting.preset.archetypes
    return [
        {
            "archetype": kinds[int(kind)].name,
            "share": round(float(share), 4),
            "copies": panel.copies,
        }
        for kind, share in zip(panel.persons.archetype, panel.shares, strict=True)
    ]


def _refused(parts: list[Attained]) -> dict[str, float]:
    """Share of the contacts, by rule; the parts weigh by their contacts."""
    weights = np.asarray([part.contacts.sum() for part in parts])
    names = parts[0].refused
    return {
        name: float(weights @ [part.refused[name] for part in parts] / max(weights.sum(), 1e-9))
        for name in names
    }


def _contacts(panel: Panel, parts: list[Attained]) -> float:
    return round(panel.figure(np.concatenate([part.contacts for part in parts])).mean, 3)


def _print(result: Result, config: OracleConfig) -> None:
    if config.json:
        print(json.dumps(result))
        return
    title = f"{result['preset']}: {CRITERION.split(':')[0]}"
    table = Table("", "value", "95 % interval", "share of the gap", title=title)
    for key, value in result.items():
        name = key.removeprefix("value_")
        if name == key:
            continue
        shares = result.get("share_of_gap", {}).get(name)
        share = f"{100 * shares['mean']:.1f} %" if shares else ""
        if isinstance(value, dict):
            interval = f"{value['low']:.2f} to {value['high']:.2f}"
            table.add_row(name, f"{value['mean']:.2f}", interval, share)
        else:
            table.add_row(name, f"{value:.2f}", "", share)
    console = Console()
    console.print(table)
    for key in ("bellman_residual", "states", "discretisation_error", "seconds"):
        if key in result:
            shown = result[key]["mean"] if isinstance(result[key], dict) else result[key]
            console.print(f"{key.replace('_', ' ')} {shown:.3g}", highlight=False)
