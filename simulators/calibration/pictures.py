"""Pictures of the calibration: one a group of moments, all on the scale of their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from envs.aside import file_aside
from simulators.calibration.published import ABSENT, FITTED, HELD_OUT, MISSED, Moment
from simulators.value import Estimate

COLOURS: Final = {FITTED: "#1f6f8b", HELD_OUT: "#c05621", MISSED: "#7b2d26", ABSENT: "#8a8a8a"}
WIDEST: Final = 4.0
"""Half intervals to either side that a picture shows; what lies farther is drawn at its edge."""


def draw_group(path: Path, title: str, rows: Sequence[tuple[Moment, Estimate]]) -> None:
    """One line a moment: its interval as a band, the world's figure and interval upon it.

    The picture is written at once or not at all.
    """
    figure = Figure(figsize=(9.0, 0.9 + 0.42 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.axvspan(-1, 1, color="#e6eef2", zorder=0)
    axes.axvline(0, color="#9fb3bd", linewidth=0.8, zorder=1)
    for place, (moment, world) in enumerate(rows):
        _draw_row(axes, len(rows) - 1 - place, moment, world)
    axes.set_yticks(range(len(rows)), [moment.says for moment, _ in reversed(rows)], fontsize=8)
    axes.set_xlim(-WIDEST - 0.3, WIDEST + 0.3)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel("half widths of the published interval from its middle", fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_title(title, fontsize=10, loc="left")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    for role in dict.fromkeys(moment.role for moment, _ in rows):
        axes.plot([], [], "o", color=COLOURS[role], label=role, markersize=4)
    figure.legend(fontsize=7, loc="outside upper right", ncols=len(COLOURS), frameon=False)
    with file_aside(path) as aside:
        figure.savefig(aside, format="png", dpi=110, metadata={"Software": None})


def _draw_row(axes: Axes, height: float, moment: Moment, world: Estimate) -> None:
    middle, half = (moment.low + moment.high) / 2, (moment.high - moment.low) / 2

    def shown(value: float) -> float:
        return min(max((value - middle) / half, -WIDEST), WIDEST)

    colour = COLOURS[moment.role]
    axes.plot([shown(moment.value)], [height], "|", color="#53707d", markersize=10)
    axes.plot([shown(world.low), shown(world.high)], [height, height], color=colour, linewidth=1.2)
    axes.plot([shown(world.mean)], [height], "o", color=colour, markersize=4)
