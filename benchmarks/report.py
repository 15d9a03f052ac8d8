"""The comparison as a person and a program read it: a table, a picture, a summary file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # pictures are written, never shown: no display is needed
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from rich.table import Table

from benchmarks.comparison import Comparison
from envs.aside import file_aside
from simulators.value import Estimate

AGENT, RIVAL = "#0b6e99", "#8a8f98"


@dataclass(frozen=True, slots=True)
class Http:
    """What the service did for the simulated users."""

    requests: int
    errors: int
    p50_ms: float
    p99_ms: float


def table(
    comparison: Comparison, fallen: Comparison, titles: dict[str, str], agent: str, notes: str
) -> Table:
    """Net value and paired differences of each policy, one row each, the agent first.

    Args:
        comparison: by conditional means.
        fallen: the same users by what fell by chance.
        titles: what the table calls each policy.
        agent: the policy that is compared with the others.
        notes: what has to be known to read the table.
    """
    rows = Table(
        title="Net value, cents per user-week, with 95 % intervals\n"
        f"{comparison.users} users x {comparison.days:g} days, the same luck for all",
        caption=notes,
    )
    rows.add_column("policy")
    for heading in ("value", "agent minus it", "the same, as it fell"):
        rows.add_column(heading, justify="right")
    for name, value in comparison.values.items():
        row = [titles[name], shown(value)]
        if name != agent:
            row += [shown(comparison.differences[name]), shown(fallen.differences[name])]
        rows.add_row(*row, style="bold" if name == agent else None)
    return rows


def shown(estimate: Estimate, times: float = 1.0, digits: int = 0) -> str:
    """An estimate as a person reads it: mean [low, high]."""
    numbers = (estimate.mean, estimate.low, estimate.high)
    mean, low, high = (f"{times * number:,.{digits}f}" for number in numbers)
    return f"{mean} [{low}, {high}]"


def draw(comparison: Comparison, titles: dict[str, str], agent: str, path: Path) -> None:
    """A picture of the values and of the paired differences, written aside, then renamed."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
    _intervals(left, comparison.values, titles, agent)
    left.set_title("Net value, cents per user-week")
    _intervals(right, comparison.differences, titles, agent)
    right.axvline(0, color="black", linewidth=0.8)
    right.set_title("Agent minus the rival, paired")
    figure.supxlabel(
        f"{comparison.users} users x {comparison.days:g} days; 95 % intervals", fontsize=9
    )
    with file_aside(path) as aside:
        figure.savefig(aside, format="png", dpi=120)
    plt.close(figure)


def _intervals(
    axes: Axes, estimates: dict[str, Estimate], titles: dict[str, str], agent: str
) -> None:
    for height, (name, each) in enumerate(reversed(estimates.items())):
        colour = AGENT if name == agent else RIVAL
        axes.plot([each.low, each.high], [height, height], color=colour, linewidth=3)
        axes.plot(each.mean, height, "o", color=colour)
        axes.annotate(
            f"{each.mean:,.0f}", (each.mean, height), (0, 7), textcoords="offset points",
            ha="center", fontsize=8,
        )  # fmt: skip
    axes.set_yticks(range(len(estimates)), [titles[name] for name in reversed(estimates)])
    axes.set_ylim(-0.5, len(estimates) - 0.3)
    axes.spines[["top", "right"]].set_visible(False)


def write_summary(
    path: Path,
    lineage: dict[str, str | int],
    http: Http,
    comparison: Comparison,
    fallen: Comparison,
) -> None:
    """Everything the demo found, as JSON, written aside, then renamed.

    Args:
        path: where to.
        lineage: of the run.
        http: what the service did.
        comparison: by conditional means, the figures to compare policies by.
        fallen: the same users by what fell by chance.
    """
    summary = {
        **lineage,
        "http": asdict(http),
        "users": comparison.users,
        "days": comparison.days,
        "value_per_user_week_cents": _plain(comparison.values),
        **{f"agent_minus_{name}": each for name, each in _plain(comparison.differences).items()},
        # A fraction of the rule book's value, which is the denominator.
        "lift_over_rule_book": _plain(comparison.lifts)["rule_book"],
        "lift_denominator_cents": comparison.values["rule_book"].mean,
        "fallen": {
            "value_per_user_week_cents": _plain(fallen.values),
            **{f"agent_minus_{name}": each for name, each in _plain(fallen.differences).items()},
        },
    }
    with file_aside(path) as aside:
        aside.write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n")


def _plain(estimates: dict[str, Estimate]) -> dict[str, dict[str, float]]:
    return {
        name: {"mean": each.mean, "low": each.low, "high": each.high}
        for name, each in estimates.items()
    }
