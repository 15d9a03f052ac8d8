"""Which settings of a learner are worth a search, and between which values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from agents.learners import LEARNERS, LearnerName
from envs.errors import InputError

CONTACT_PRICE: Final = "contact_price"
"""Set on a bandit while it runs, on other learners in their configuration."""


@dataclass(frozen=True, slots=True)
class Between:
    """Any number in a range; even in its logarithm where factors matter."""

    low: float
    high: float
    logarithmic: bool = False

    def __contains__(self, value: Any) -> bool:
        return bool(self.low <= value <= self.high)


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few values."""

    values: tuple[Any, ...]

    def __contains__(self, value: Any) -> bool:
        return value in self.values


Space = Mapping[str, Between | OneOf]

_BELIEF: Final[Space] = {
    "ridge": Between(0.1, 100.0, logarithmic=True),
    "noise": Between(100.0, 2000.0, logarithmic=True),
    CONTACT_PRICE: Between(0.0, 60.0),
}
_NETWORK: Final[Space] = {
    "lr": Between(1e-4, 2e-3, logarithmic=True),
    "gamma": Between(0.9, 0.995),
    "tau": Between(0.05, 0.8, logarithmic=True),
    "updates": OneOf((16, 32, 64)),
    "hidden": OneOf(((64, 64), (128, 128), (256, 256))),
    "silence_share": Between(0.2, 0.8),
    CONTACT_PRICE: Between(0.0, 40.0),
}
SPACES: Final[Mapping[LearnerName, Space]] = {
    "q": {"steps_ahead": OneOf((1, 4, 8, 16)), **_NETWORK},
    "naiveq": _NETWORK,
    "table": {
        "epsilon": Between(0.02, 0.5, logarithmic=True),
        "silence_share": Between(0.2, 0.8),
        "sweeps": OneOf((10, 20, 50, 100)),
    },
    "lints": {"spread": Between(0.1, 2.0, logarithmic=True), **_BELIEF},
    "linucb": {"alpha": Between(0.1, 3.0, logarithmic=True), **_BELIEF},
    "squarecb": {"sharpness": Between(0.1, 30.0, logarithmic=True), **_BELIEF},
    "neurallinear": {"spread": Between(0.1, 2.0, logarithmic=True), **_BELIEF},
    "epsgreedy": {"floor": Between(0.01, 0.3, logarithmic=True), **_BELIEF},
}
"""Ranges hold the defaults; *assumed* wide enough, so look whether the best value is at an end."""


def space_of(learner: LearnerName) -> Space:
    """The space of a learner.

    Raises:
        InputError: none is declared.
    """
    if learner not in SPACES:
        raise InputError(f"no settings of {learner} are declared for a search: {', '.join(SPACES)}")
    return SPACES[learner]


def defaults_of(learner: LearnerName) -> dict[str, Any]:
    """What the settings of the space are when nobody changes them, as far as that is a value."""
    made = LEARNERS[learner].make()
    known = {name: getattr(made, name, None) for name in space_of(learner)}
    known[CONTACT_PRICE] = getattr(made, "price_of_contact", None)
    return {name: value for name, value in known.items() if value is not None}


def read_settings(path: Path, learner: LearnerName) -> dict[str, Any]:
    """Settings in a file that a search left, or that a person wrote the same way.

    Raises:
        InputError: no such file, not of this learner, or a name that is not in its space.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        raise InputError(f"{path} is no file of settings: give the best.yaml of tune") from None
    if not isinstance(found, dict) or not isinstance(found.get("settings"), dict):
        raise InputError(f"{path} has no 'settings': give the best.yaml of tune")
    if found.get("learner") != learner:
        raise InputError(f"{path} has settings of {found.get('learner')}, not of {learner}")
    unknown = found["settings"].keys() - space_of(learner).keys()
    if unknown:
        raise InputError(f"{path}: {learner} has no setting {', '.join(sorted(map(str, unknown)))}")
    return {n: tuple(v) if isinstance(v, list) else v for n, v in found["settings"].items()}
