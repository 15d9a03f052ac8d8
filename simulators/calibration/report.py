"""The document of the calibration: its tables are written anew, part by part, the rest stays."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from envs.aside import file_aside
from envs.errors import InputError
from simulators.calibration.fitting import Fitted
from simulators.calibration.pictures import draw_group
from simulators.calibration.published import ABSENT, HELD_OUT, MISSED, Moment
from simulators.calibration.sensitivity import Sensitivity
from simulators.value import Estimate


@dataclass(frozen=True, slots=True)
class Row:
    """A moment beside the world's figure."""

    moment: Moment
    world: Estimate

    def within(self) -> bool:
        """Whether the world's figure lies in the published interval."""
        return self.moment.holds(self.world.mean)


def save_moments(document: Path, rows: Sequence[Row]) -> None:
    """Write the table of moments, what is not reproduced, and a picture for each group."""
    held = [row for row in rows if row.moment.expected]
    groups = list(dict.fromkeys(row.moment.group for row in rows))
    parts = []
    for group in groups:
        inside = [row for row in held if row.moment.group == group]
        picture = document.with_name(f"calibration-{group}.png")
        drawn = [(row.moment, row.world) for row in rows if row.moment.group == group]
        draw_group(picture, group.capitalize(), drawn)
        parts.append(f"### {group.capitalize()}\n")
        parts += [f"*{study}*\n" for study in _studies(inside)]
        parts.append(_table(inside))
        parts.append(f"\n![{group}: the world upon the published intervals]({picture.name})\n")
    missed = [row for row in rows if not row.moment.expected]
    _replace(document, "moments", "\n".join(parts))
    reasons = [
        f"* **{row.moment.says}** ({_source(row.moment)}). {row.moment.why}" for row in missed
    ]
    _replace(document, "missed", "\n".join([_table(missed), "", *reasons]))
    _replace(document, "count", _count(rows))


def _count(rows: Sequence[Row]) -> str:
    held = [row for row in rows if row.moment.expected]
    within = sum(row.within() for row in held)
    out = sum(row.moment.role in (HELD_OUT, MISSED) for row in rows)
    out_within = sum(row.within() for row in held if row.moment.role == HELD_OUT)
    sources = len({row.moment.source for row in held})
    return (
        f"**{within} of the {len(held)} moments in the tables below, from {sources} sources, lie "
        f"within the interval of their source. {out} were held out from fitting; {out_within} of "
        f"these are within, and those that are missed stand apart, with "
        f"{sum(row.moment.role == ABSENT for row in rows)} that the world has no means for.**"
    )


def _source(moment: Moment) -> str:
    return moment.source.split(",")[0]


def _studies(rows: Sequence[Row]) -> list[str]:
    """What each source of a group is and how it came by its figures, once."""
    return list(
        dict.fromkeys(
            f"{row.moment.source}: {row.moment.design}; preset `{row.moment.preset}`."
            for row in rows
        )
    )


def _table(rows: Sequence[Row]) -> str:
    lines = [
        "| moment | source | published (interval) | world (interval) | within | |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        moment, world = row.moment, row.world
        cells = (
            moment.says,
            _source(moment),
            f"{moment.value:.4g} ({moment.low:.4g} to {moment.high:.4g})",
            f"{world.mean:.4g} ({world.low:.4g} to {world.high:.4g})",
            "yes" if row.within() else "**no**",
            moment.role,
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def save_fit(document: Path, done: Sequence[Fitted]) -> None:
    """Write the table of fitted numbers, a block a row."""
    lines = [
        "| block | numbers | misfit by start | fitted to |",
        "|---|---|---|---|",
    ]
    for fitted in done:
        pairs = zip(fitted.block.numbers, fitted.values, strict=True)
        numbers = [
            f"`{number.path}` {value:.4g}" + f" ({number.section})" * (number.section != "default")
            for number, value in pairs
        ]
        cells = (
            fitted.block.name,
            ", ".join(numbers),
            ", ".join(f"{cost:.1g}" for cost in fitted.costs),
            ", ".join(f"`{name}`" for name in fitted.block.moments),
        )
        lines.append("| " + " | ".join(cells) + " |")
    _replace(document, "fit", "\n".join(lines))


def save_sensitivity(document: Path, found: Sensitivity) -> None:
    """Write the table of halved and doubled numbers."""
    _replace(document, "sensitivity", found.markdown())


def _replace(document: Path, part: str, text: str) -> None:
    """Write one marked part of the document anew, at once or not at all.

    Raises:
        InputError: the document has no such part.
    """
    if not document.exists():
        raise InputError(f"{document} is not there: start from the root of the repository")
    pattern = rf"(<!-- {part} -->\n).*?(\n<!-- end of {part} -->)"
    before = document.read_text()
    after, times = re.subn(pattern, lambda m: m[1] + text + m[2], before, flags=re.DOTALL)
    if times != 1:
        raise InputError(f"{document} needs one part between <!-- {part} --> and its end")
    with file_aside(document) as aside:
        aside.write_text(after)
