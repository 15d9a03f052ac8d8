r"""Ten thousand users for a simulated year: the state stays bounded, people leave and come back.

    python -m benchmarks.year

Nothing grows with time and no row a step is kept, so any number of users will do. Exit status 1
when a bound that follows from the world's numbers is broken (see ``benchmarks.bounds``).
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import tyro
from rich import box
from rich.console import Console
from rich.table import Table

from agents.policy import load_policy
from benchmarks.bounds import bounds_of
from benchmarks.diary import QUANTILES, Diary, Year
from benchmarks.year_picture import draw
from envs.errors import InputError
from envs.lineage import lineage
from simulators.presets import find_preset
from simulators.progress import Bar
from simulators.rollout import Player, Progress, stretch
from simulators.world import SyntheticWorld


@dataclass(frozen=True, slots=True)
class YearConfig:
    """Follow users for a year under simple policies, and see that all stays within its bounds."""

    users: int = 10_000
    """How many users, the same for every policy."""
    days: float = 365.0
    """How long; whole weeks of it are noted."""
    policies: tuple[str, ...] = ("silence", "rule_book", "uniform")
    """Baselines (silence, uniform, rule_book, constant:OFFER/CHANNEL) or folders of bundles."""
    preset: str = "default"
    """Of the world."""
    seed: int = 0
    """Of all luck."""
    plots: Path | None = Path("docs")
    """Folder of the picture, year.png."""
    json: bool = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A year and which of its bounds it broke."""

    year: Year
    broken: list[str]
    departed_bounds: tuple[float, float]
    """Between which shares the departed have to be at the end."""
    most_fatigue: float
    """Bound of the user who forgives least."""
    seconds: float


def follow(config: YearConfig, policy: str, progress: Progress | None = None) -> Followed:
    """Play all users under a policy, and note their weeks.

    Raises:
        InputError: no such preset or policy, or less than a week.
    """
    weeks = int(config.days // 7)
    if config.users < 1 or weeks < 1:
        raise InputError(
            f"users {config.users} has to be 1 or more, days {config.days:g} 8 or more"
        )
    started = time.perf_counter()
    preset = find_preset(config.preset)
    world = SyntheticWorld(config.users, config.seed, preset)
    player = Player(world, load_policy(policy, world.catalogue), config.days, 0.0)
    diary, bounds = Diary(world, weeks), bounds_of(world, weeks, policy != "silence")
    for tick in player.ticks(np.arange(config.users), progress):
        diary.note(tick)
    seconds = round(time.perf_counter() - started, 1)
    most = float(bounds.fatigue.max())
    return Followed(diary.year(policy), bounds.broken(diary), bounds.departed, most, seconds)


def main(arguments: list[str] | None = None) -> int:
    """Play, print, draw; the exit status."""
    config = tyro.cli(YearConfig, args=arguments, prog="python -m benchmarks.year")
    found: list[Followed] = []
    try:
        with Bar("living a year", shown=not config.json) as bar:
            for done, policy in enumerate(config.policies):
                share = 1 / len(config.policies)
                found.append(follow(config, policy, stretch(bar.update, done * share, share)))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if config.plots is not None:
        config.plots.mkdir(parents=True, exist_ok=True)
        draw([each.year for each in found], config.plots / "year.png")
    if config.json:
        years = {each.year.policy: asdict(each) for each in found}
        print(json.dumps({"years": years, "lineage": lineage(config.seed)}))
    else:
        Console().print(_table(config, found))
    return int(any(each.broken for each in found))


def _table(config: YearConfig, found: list[Followed]) -> Table:
    rows = Table(
        title=f"{config.users} users of {config.preset}, {config.days:g} days, seed {config.seed}",
        caption="Present: share not gone at the end; its bounds follow from the rates of leaving.\n"
        "Fatigue, discount used to: median at the end, largest of all weeks.",
        box=box.SIMPLE,
    )
    for header in ("", *(each.year.policy for each in found)):
        rows.add_column(header, no_wrap=True)
    columns = [_said(each) for each in found]
    for name in columns[0]:
        rows.add_row(name, *(column[name] for column in columns))
    return rows


def _middle_and_most(quantiles: list[list[float]]) -> str:
    middle, most = quantiles[QUANTILES.index(0.5)], quantiles[QUANTILES.index(1.0)]
    return f"{middle[-1]:.2f}, {max(most):.2f}"


def _said(each: Followed) -> dict[str, str]:
    """What the table says of a policy."""
    year, (fewest, most) = each.year, each.departed_bounds
    bought = year.purchases
    name, largest = max(
        ((name, max(sums)) for name, sums in year.largest_sums.items()), key=lambda pair: pair[1]
    )
    left = [year.withdrawn[name][-1] for name in ("push", "email") if name in year.withdrawn]
    return {
        "present": f"{year.present[-1]:.3f}",
        "  its bounds": f"{1 - most:.3f}, {1 - fewest:.3f}",
        "fatigue": _middle_and_most(year.fatigue),
        "discount used to": _middle_and_most(year.reference_discount),
        "left push, email": ", ".join(f"{share:.3f}" for share in left),
        "contacts a week": f"{np.mean(year.contacts):.2f}",
        "purchases a week": f"{np.mean(bought):.3f}",
        "  first, last 4 weeks": f"{np.mean(bought[:4]):.3f}, {np.mean(bought[-4:]):.3f}",
        "cents a week": f"{np.mean(year.expected_cents):.0f}",
        "largest decayed sum": f"{name} {largest:.0f}",
        "bytes a user": f"{sum(year.bytes_per_user.values()):.0f}",
        "bounds broken": ", ".join(each.broken) or "none",
        "seconds": f"{each.seconds:.0f}",
    }


if __name__ == "__main__":
    sys.exit(main())
