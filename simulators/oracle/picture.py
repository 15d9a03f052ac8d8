"""The oracle's picture: how near policies come to the optimum, and what the optimum looks like."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from simulators.hidden import OPEN
from simulators.oracle.plan import Plan, Standing
from simulators.oracle.tabular import DAYS
from simulators.scenes import HOURS

LEVELS: Final = 40
"""Fatigue is drawn in so many steps."""
COLOURS: Final = ("#f2f2f2", "#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377")
"""Silence first, then the channels (Tol's bright scheme, told apart by the colour-blind)."""


def draw_oracle(
    path: Path,
    shares: Mapping[str, Mapping[str, float]],
    plan: Plan,
    catalogue: Catalogue,
    who: str,
) -> None:
    """Write the picture.

    Args:
        path: of the PNG.
        shares: of the gap, by policy: mean, low and high.
        plan: whose best channel is shown.
        catalogue: names the channels.
        who: whom the plan is for.
    """
    figure, (bars, chart) = plt.subplots(2, 1, figsize=(10, 7), height_ratios=(1, 1.2))
    _draw_shares(bars, shares)
    _draw_channels(chart, plan, catalogue, who)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def draw_shares(
    path: Path,
    fell: Mapping[str, Mapping[str, float]],
    expected: Mapping[str, Mapping[str, float]],
    title: str,
) -> None:
    """Write the shares of the gap that policies close, the highest first.

    Args:
        path: of the PNG.
        fell: as they fell, by policy: mean, low and high.
        expected: the same of conditional means.
        title: says of whom.
    """
    names = sorted(expected, key=lambda name: expected[name]["mean"])
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.42 * len(names)))
    places = np.arange(len(names))
    for shares, away, colour, label in (
        (fell, 0.19, COLOURS[2], "as it fell"),
        (expected, -0.19, COLOURS[1], "conditional mean"),
    ):
        means, errors = _means(shares, names)
        axes.barh(places + away, means, 0.36, xerr=errors, color=colour, label=label)
    axes.set_yticks(places, [name.replace("_", " ") for name in names])
    axes.axvline(0, color="black", linewidth=0.8)
    axes.axvline(100, color="black", linewidth=0.8, linestyle=":")
    axes.set_xlabel("share of the oracle's gain over silence, % (95 % interval)")
    axes.set_title(title)
    axes.legend(loc="best", frameon=False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _means(
    shares: Mapping[str, Mapping[str, float]], names: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Per cent, and how far their intervals reach to both sides."""
    means = np.asarray([100 * shares[name]["mean"] for name in names])
    ends = [[100 * shares[name][end] for name in names] for end in ("low", "high")]
    errors: NDArray[np.float64] = np.abs(np.asarray(ends) - means)
    return means, errors


def _draw_shares(axes: Axes, shares: Mapping[str, Mapping[str, float]]) -> None:
    names = sorted(shares, key=lambda name: shares[name]["mean"])
    means, errors = _means(shares, names)
    axes.barh([name.replace("_", " ") for name in names], means, xerr=errors, color=COLOURS[1])
    axes.axvline(100, color="black", linewidth=0.8)
    axes.set_xlabel("share of the optimum's gain over silence under all rules, % (95 % interval)")


def _draw_channels(axes: Axes, plan: Plan, catalogue: Catalogue, who: str) -> None:
    channel = _best_channels(plan, catalogue)
    names = ["silence", *(channel.name for channel in catalogue.channels)]
    colours = ListedColormap([COLOURS[i % len(COLOURS)] for i in range(len(names))])
    steps = BoundaryNorm(np.arange(len(names) + 1) - 0.5, len(names))
    top = float(plan.grid.fatigue[-2])  # the last node takes in all beyond it
    image = axes.imshow(
        channel.T, colours, steps, aspect="auto", origin="lower", extent=(0, HOURS, 0, top)
    )
    axes.set_xticks(np.arange(7) * 24, DAYS)
    axes.set_ylabel("fatigue")
    axes.set_title(f"best channel by hour of the week: {who}, need open, likeliest scene")
    bar = axes.figure.colorbar(image, ax=axes, ticks=np.arange(len(names)))
    bar.ax.set_yticklabels(names)


def _best_channels(plan: Plan, catalogue: Catalogue) -> NDArray[np.float64]:
    """Channel + 1 of the best action, 0 for silence, NaN where nobody is; [HOURS, LEVELS]."""
    week, visits = plan.week, plan.week.visits()
    best = np.full((HOURS, LEVELS), np.nan)
    fatigue = np.linspace(0, plan.grid.fatigue[-2], LEVELS).astype(np.float32)
    for hour in range(HOURS):
        pairs = np.arange(week.first[hour], week.first[hour + 1])
        if not len(pairs):
            continue
        scene = week.scene[pairs[visits[pairs].argmax()]]
        zeros = np.zeros(LEVELS, np.int8)
        at = Standing(
            np.full(LEVELS, hour, np.int32),
            np.full(LEVELS, scene, np.int16),
            zeros + np.int8(OPEN),
            zeros,
            fatigue,
            np.zeros(LEVELS, np.float32),
            zeros,
        )
        best[hour] = catalogue.action_channel[plan.actions(at)] + 1
    return best
