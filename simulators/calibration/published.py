"""Published moments: what real people did, that the world is held to (``published.yaml``)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import yaml

from envs.errors import InputError

FILE: Final = Path(__file__).with_name("published.yaml")
FITTED, HELD_OUT = "fitted", "held out"
MISSED, ABSENT = "held out and missed", "not reproduced"
"""Roles of moments that the world does not meet, each for a reason that is told."""
NO_INTERVAL: Final = 0.15
"""Relative tolerance where a source gives no interval."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One published figure and the interval that the world's figure has to fall into."""

    name: str
    says: str
    """What is measured, for people."""
    source: str
    design: str
    """How the source came by it."""
    group: str
    """Whose picture it is drawn in."""
    preset: str
    """The preset that it is measured in."""
    value: float
    low: float
    high: float
    unit: str
    """Empty for shares and ratios."""
    role: str
    """FITTED; HELD_OUT: not used in fitting; MISSED: the same, and not met; ABSENT: the world has
    no means for it."""
    why: str
    """Of a moment that is not reproduced: the reason."""

    @property
    def expected(self) -> bool:
        """Whether the world is to meet it."""
        return self.role in (FITTED, HELD_OUT)

    def holds(self, value: float) -> bool:
        """Whether a value lies within the interval."""
        return self.low <= value <= self.high


@lru_cache(maxsize=1)
def moments() -> tuple[Moment, ...]:
    """All published moments, in the order of the file.

    Raises:
        InputError: a moment named twice, with another role, or missed without a reason.
    """
    found: dict[str, Moment] = {}
    for study in yaml.safe_load(FILE.read_text()):
        for name, row in study["moments"].items():
            if name in found:
                raise InputError(f"{FILE.name}: moment {name!r} is there twice")
            found[name] = _moment(name, study, row)
    return tuple(found.values())


def _moment(name: str, study: dict[str, str], row: dict[str, object]) -> Moment:
    value, role, why = float(str(row["is"])), str(row["role"]), str(row.get("why", ""))
    if role not in (FITTED, HELD_OUT, MISSED, ABSENT) or (role in (MISSED, ABSENT)) != bool(why):
        raise InputError(
            f"{FILE.name}: {name}: role {role!r} has to be {FITTED!r}, {HELD_OUT!r}, or {MISSED!r} "
            f"or {ABSENT!r} with a reason (why)"
        )
    interval = row.get("interval")
    low, high = interval if isinstance(interval, list) else _around(value)
    return Moment(
        name=name,
        says=str(row["says"]),
        source=study["source"],
        design=study["design"],
        group=study["group"],
        preset=study["preset"],
        value=value,
        low=low,
        high=high,
        unit=str(row.get("unit", "")),
        role=role,
        why=why,
    )


def _around(value: float) -> tuple[float, float]:
    half = abs(value) * NO_INTERVAL
    return value - half, value + half


def published(name: str) -> Moment:
    """The moment of that name.

    Raises:
        InputError: there is none.
    """
    for moment in moments():
        if moment.name == name:
            return moment
    raise InputError(f"no published moment {name!r}: see {FILE.name}")
