"""What an evaluation found, as a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

Estimate = Mapping[str, float]

HEADINGS = ("gap closed", "as it fell", "value", "over constant", "spend")


def standings(result: Mapping[str, Any]) -> Table:
    """The policies by the share of the gap that they close on average, the highest first."""
    table = Table(title=_title(result), caption=_caption(result))
    table.add_column("policy", overflow="fold")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    policies = result["policies"]
    for name in sorted(policies, key=lambda n: -policies[n]["expected_gap_closed"]["mean"]):
        row = policies[name]
        table.add_row(
            _called(name, result["tuned"].get(name, {})),
            _percent(row["expected_gap_closed"], 1),
            _percent(row["gap_closed"]),
            f"{row['expected_value_per_user_week_cents']['mean']:.1f}",
            _cents(row["expected_gain_over_best_constant"]),
            f"{row['spend_per_user_week_cents']:.1f}",
            style="bold" if name not in result["rivals"] else None,
        )
    for name, row in result["over_training_seeds"].items():
        table.add_row(
            f"{name}: mean of {row['training_seeds']} training seeds",
            _percent(row["expected_gap_closed"], 1),
            _percent(row["gap_closed"]),
            "",
            _cents(row["expected_gain_over_best_constant"]),
            f"{row['spend_per_user_week_cents']:.1f}",
            style="bold",
        )
    return table


def _title(result: Mapping[str, Any]) -> str:
    times = len(result["seeds"])
    return (
        f"{result['preset']}: share of the oracle's gain over silence\n"
        f"{result['users']} users ({result['individuals']} individuals and their copies)"
        f"{f', each played {times} times' if times > 1 else ''}, {result['days']:g} days"
    )


def _caption(result: Mapping[str, Any]) -> str:
    gap = result["gap"]
    lines = [
        f"The gap is {_cents(gap['expected'])} cents a user-week, "
        f"{_cents(gap['as_it_fell'])} as it fell.",
        "Where it does not say as it fell, means given the hidden state; intervals 95 %.",
    ]
    if gap["as_it_fell"]["low"] <= 0:
        lines.append(
            "As it fell, the gap may be none: read the means, or take more users or seeds."
        )
    lines += [f"Left out: {name} ({why})" for name, why in result["left_out"].items()]
    return "\n".join(lines)


def _called(name: str, tuned: Mapping[str, object]) -> str:
    """With the action of the best constant, and the price of a unit of fatigue."""
    action, price = tuned.get("action"), tuned.get("cents_a_unit_of_fatigue")
    if action is not None:
        return f"{name}, {action}"
    return name if price is None else f"{name}, {price:g} cents"


def _percent(estimate: Estimate, digits: int = 0) -> str:
    mean, half = 100 * estimate["mean"], 50 * (estimate["high"] - estimate["low"])
    return f"{mean:.{digits}f} ± {half:.{digits}f} %"


def _cents(estimate: Estimate) -> str:
    return f"{estimate['mean']:.1f} ± {(estimate['high'] - estimate['low']) / 2:.1f}"
