"""The command that holds the world to published moments, fits its numbers, and asks what if."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from envs.errors import InputError
from envs.lineage import lineage
from simulators.calibration.experiments import measure
from simulators.calibration.fitted_file import FILE, fitted_numbers, write_fitted
from simulators.calibration.fitting import PRESETS, fit
from simulators.calibration.published import ABSENT, HELD_OUT, MISSED, moments
from simulators.calibration.report import Row, save_fit, save_moments, save_sensitivity
from simulators.calibration.sensitivity import sensitivity
from simulators.calibration.sources import recomputed
from simulators.presets import find_preset
from simulators.progress import Bar
from simulators.replay import LoadPolicy
from simulators.value import Estimate

DOCUMENT: Final = Path("docs") / "calibration.md"
FIT_SEED: Final = 1_000_003
"""Added to the seed of the fit, so that the table is measured on other people."""


@dataclass(frozen=True, slots=True)
class CalibrateConfig:
    """Hold the world to published moments: what real people did against what its people do.

    The studies are replayed with forced actions and no caps. With --fit the numbers that are
    fitted are found anew first; with --sensitivity every assumed number is halved and doubled.
    """

    fit: bool = False
    """Fit the numbers anew and write simulators/stories/fitted.yaml."""
    sensitivity: bool = False
    """Instead of the moments: how the ranking of policies moves with each assumed number."""
    save: bool = False
    """Write the tables to docs/calibration.md, and a picture for each group of moments."""
    data: Path | None = None
    """A folder of public files: compute the published values anew from those that are there."""
    seed: int = 1
    """Of the people on whom the moments are measured; a fit uses others."""
    share: float = 1.0
    """Of the usual number of users; fewer are faster and less exact."""
    starts: int = 3
    """From how many points each search begins."""
    json: bool = False
    """Print one JSON object."""


def run_calibrate(config: CalibrateConfig, load_policy: LoadPolicy) -> None:
    """The command.

    Raises:
        InputError: share or starts make no sense, or the data folder does not exist.
    """
    if not 0 < config.share <= 10 or config.starts < 1:
        raise InputError(
            f"share {config.share} has to be above 0 and at most 10, starts {config.starts} 1 or "
            f"more"
        )
    if config.data is not None and not config.data.is_dir():
        raise InputError(f"data {config.data} is no folder")
    if config.sensitivity:
        _ask_what_if(config, load_policy)
        return
    if config.fit:
        _fit(config)
    _hold(config)


def _fit(config: CalibrateConfig) -> None:
    started = time.perf_counter()
    with Bar("fitting", shown=not config.json) as bar:
        seed = config.seed + FIT_SEED
        done, presets = fit(seed, config.starts, config.share / 2, progress=bar.update)
    write_fitted(fitted_numbers(done, presets))
    find_preset.cache_clear()
    seconds = time.perf_counter() - started
    Console(stderr=True).print(f"fitted in {seconds:.0f} s: {FILE}", highlight=False)
    if config.save:
        save_fit(DOCUMENT, done)


def _hold(config: CalibrateConfig) -> None:
    started = time.perf_counter()
    presets = {name: find_preset(name) for name in PRESETS}
    names = [moment.name for moment in moments()]
    with Bar("replaying the studies", shown=not config.json) as bar:
        found = measure(names, presets, config.seed, config.share, bar.update)
    rows = [Row(moment, found[moment.name]) for moment in moments()]
    anew = {} if config.data is None else recomputed(config.data)
    if config.save:
        save_moments(DOCUMENT, rows)
    seconds = time.perf_counter() - started
    if config.json:
        print(json.dumps(_summary(rows, anew, seconds, config)))
        return
    _print(rows, anew, seconds)


def _summary(
    rows: Sequence[Row], anew: dict[str, Estimate], seconds: float, config: CalibrateConfig
) -> dict[str, object]:
    held = [row for row in rows if row.moment.expected]
    return {
        "moments": [_as_json(row, anew.get(row.moment.name)) for row in rows],
        "held_to": len(held),
        "within": sum(row.within() for row in held),
        "held_out": sum(row.moment.role == HELD_OUT for row in held),
        "held_out_within": sum(row.within() for row in held if row.moment.role == HELD_OUT),
        "held_out_and_missed": sum(row.moment.role == MISSED for row in rows),
        "not_reproduced": sum(row.moment.role == ABSENT for row in rows),
        "sources": len({row.moment.source for row in held}),
        "seconds": round(seconds, 1),
        "lineage": lineage(config.seed),
    }


def _as_json(row: Row, anew: Estimate | None) -> dict[str, object]:
    moment, world = row.moment, row.world
    result: dict[str, object] = {
        "moment": moment.name,
        "says": moment.says,
        "source": moment.source,
        "group": moment.group,
        "preset": moment.preset,
        "role": moment.role,
        "unit": moment.unit,
        "published": {"value": moment.value, "low": moment.low, "high": moment.high},
        "world": {"value": world.mean, "low": world.low, "high": world.high},
        "within": row.within(),
    }
    if moment.why:
        result["why"] = moment.why
    if anew is not None:
        result["computed_anew"] = asdict(anew)
    return result


def _print(rows: Sequence[Row], anew: dict[str, Estimate], seconds: float) -> None:
    table = Table("moment", "published", "interval", "world", "interval", "", "role")
    for row in rows:
        moment, world = row.moment, row.world
        table.add_row(
            moment.name,
            f"{moment.value:.4g}",
            f"{moment.low:.4g} to {moment.high:.4g}",
            f"{world.mean:.4g}",
            f"{world.low:.4g} to {world.high:.4g}",
            "within" if row.within() else "OUTSIDE",
            moment.role,
        )
    console = Console()
    console.print(table)
    for name, estimate in anew.items():
        text = (
            f"{name} from the file: {estimate.mean:.5g} ({estimate.low:.5g} to {estimate.high:.5g})"
        )
        console.print(text, highlight=False)
    held = [row for row in rows if row.moment.expected]
    within = sum(row.within() for row in held)
    console.print(
        f"{within} of {len(held)} within, {len(rows) - len(held)} held out and missed or not "
        f"reproduced, in {seconds:.0f} s",
        highlight=False,
    )


def _ask_what_if(config: CalibrateConfig, load_policy: LoadPolicy) -> None:
    with Bar("halving and doubling", shown=not config.json) as bar:
        found = sensitivity(load_policy, config.seed, config.share, bar.update)
    if config.save:
        save_sensitivity(DOCUMENT, found)
    if config.json:
        print(json.dumps(asdict(found) | {"lineage": lineage(config.seed)}))
        return
    Console().print(found.table())
