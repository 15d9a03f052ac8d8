"""The year as a picture: who is there, how tired they are, what they are used to and buy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # pictures are written, never shown: no display is needed
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks.diary import QUANTILES, Year
from envs.aside import file_aside

COLOURS = ("#8a8f98", "#d1495b", "#0b6e99", "#5a8f29", "#7b4fa3")
SUMS = ("spend", "viewed", "bought", "clicked", "contacted/push")


def draw(years: Sequence[Year], path: Path) -> None:
    """Draw the years of several policies, written aside, then renamed."""
    figure, axes = plt.subplots(2, 4, figsize=(16, 7), layout="constrained")
    panels = axes.ravel()
    for year, colour in zip(years, COLOURS, strict=False):
        weeks = range(1, year.weeks + 1)
        panels[0].plot(weeks, year.present, color=colour, label=year.policy)
        _bands(panels[1], year.fatigue, colour)
        _bands(panels[2], year.reference_discount, colour)
        _channels(panels[3], year, colour)
        panels[4].plot(weeks, year.purchases, color=colour)
        panels[5].plot(weeks, year.contacts, color=colour)
    panels[0].legend(frameon=False)
    titles = (
        "Present, share of all who began",
        "Fatigue: median, middle half, 95 %, most",
        "Discount that users are used to, the same",
        "Left push (line) and email (dashed), share",
        "Purchases a week of those present",
        "Contacts a week of those present",
    )
    for panel, title in zip(panels[:6], titles, strict=True):
        _finish(panel, title)
    _largest(panels[6], years[-1])
    _size(panels[7], years)
    first = years[0]
    figure.supxlabel(f"week; {first.users:,} users, the same luck under every policy", fontsize=9)
    with file_aside(path) as aside:
        figure.savefig(aside, format="png", dpi=100)
    plt.close(figure)


def _bands(axes: Axes, quantiles: list[list[float]], colour: str) -> None:
    of = dict(zip(QUANTILES, quantiles, strict=True))
    weeks = range(1, len(of[0.5]) + 1)
    axes.fill_between(weeks, of[0.25], of[0.75], color=colour, alpha=0.25, linewidth=0)
    axes.plot(weeks, of[0.5], color=colour)
    axes.plot(weeks, of[0.95], color=colour, linewidth=0.8, linestyle="--")
    axes.plot(weeks, of[1.0], color=colour, linewidth=0.8, linestyle=":")


def _channels(axes: Axes, year: Year, colour: str) -> None:
    weeks = range(1, year.weeks + 1)
    for name, style in (("push", "-"), ("email", "--")):
        if name in year.withdrawn:
            axes.plot(weeks, year.withdrawn[name], color=colour, linestyle=style)


def _largest(axes: Axes, year: Year) -> None:
    """The largest of the decayed sums that users of one policy have."""
    for name in SUMS:
        axes.plot(range(1, year.weeks + 1), year.largest_sums[name], label=name)
    axes.set_yscale("log")
    axes.set_ylim(1, 1000)
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper left")
    _finish(axes, f"Largest decayed sums of any user, {year.policy}", from_zero=False)


def _size(axes: Axes, years: Sequence[Year]) -> None:
    """Bytes a user takes: fixed by the catalogue, whatever happens."""
    bottom = [0.0] * len(years)
    for part, colour in (("known", COLOURS[2]), ("hidden", COLOURS[0])):
        heights = [year.bytes_per_user[part] for year in years]
        axes.bar([year.policy for year in years], heights, bottom=bottom, color=colour, label=part)
        bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
    axes.legend(fontsize=8, loc="lower right")
    _finish(axes, "Bytes a user, fixed by the catalogue")


def _finish(axes: Axes, title: str, from_zero: bool = True) -> None:
    axes.set_title(title, fontsize=10)
    if from_zero:
        axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
