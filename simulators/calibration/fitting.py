"""Fit numbers of the world to published moments, block by block, by least squares.

A block is a few numbers and as many moments or more that depend on them; later blocks stand on
earlier ones. Residuals are in units of half the moment's interval, numbers are searched on a
logarithmic scale between bounds, from several starts, on the same users with the same luck
(common random numbers), so that two trials differ by the numbers alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, least_squares
from scipy.stats import qmc

from simulators.calibration.experiments import figures
from simulators.calibration.published import published
from simulators.calibration.sources import HOURS
from simulators.presets import Archetype, ChannelNature, Preset, SceneNature, find_preset
from simulators.scenes import around_the_clock

Floats = NDArray[np.float64]
Part = TypeVar("Part", Preset, Archetype, ChannelNature, SceneNature)
RHYTHM: Final = "_by_hour"
NOON: Final = 14
"""The hour at which rhythms are 1: what they are relative to."""
STEP: Final = 0.04
"""Relative step of the finite differences: wide enough that draws average out."""
SEARCH: Final[dict[str, Any]] = {"ftol": 1e-2, "xtol": 1e-3, "max_nfev": 12}
"""When a search ends: little is won, little moves, or so many trials were made."""
CLOSE: Final = 0.1
"""It ends as well when no moment is farther off than this, in half intervals."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number of the world that is fitted."""

    section: str
    """The preset that it is written for, and for those based on it."""
    path: str
    """Field of the preset, or dotted: channels.push.seen, needs_by_hour.10."""
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Block:
    """Numbers that are fitted together."""

    name: str
    numbers: tuple[Number, ...]
    moments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fitted:
    """What came of a block."""

    block: Block
    values: tuple[float, ...]
    costs: tuple[float, ...]
    """Half the sum of squared residuals by start; the lowest was taken."""
    spread: float
    """Largest relative distance among the numbers of the starts that came within 1 of the best."""


def _hours(section: str, table: str, hours: tuple[int, ...]) -> tuple[Number, ...]:
    return tuple(Number(section, f"{table}.{hour}", 0.05, 8.0) for hour in hours)


BLOCKS: Final = (
    Block(
        "attention", _hours("default", "attention_by_hour", (7, 22)), ("taken_at_7", "taken_at_22")
    ),
    Block(
        "looking",
        (
            *_hours("default", "browsing_by_hour", HOURS[:-1]),
            Number("default", "scenes.night.browsing", 0.002, 0.9),
        ),
        tuple(f"views_at_{hour}" for hour in HOURS),
    ),
    Block(
        "needs",
        (
            *_hours("default", "needs_by_hour", HOURS[:-1]),
            Number("default", "scenes.night.intent", 0.005, 3.0),
        ),
        tuple(f"purchases_at_{hour}" for hour in HOURS),
    ),
    Block(
        "push",
        (
            Number("default", "channels.push.seen", 0.01, 0.9),
            Number("default", "browsing_factor", 0.02, 3.0),
            Number("default", "displaced", 0.3, 1.0),
        ),
        ("opened_within_an_hour", "opened_within_a_day_without", "opened_within_a_day"),
    ),
    Block(
        "depth",
        (
            Number("default", "deal_factor", 0.05, 3.0),
            Number("default", "discount_scale", 0.01, 0.5),
        ),
        ("match_3_to_1", "price_elasticity"),
    ),
    Block(
        "lags",
        (
            Number("default", "later_share", 0.02, 0.95),
            Number("default", "later_days", 0.5, 25.0),
        ),
        ("redeemed_the_same_day", "later_within_7_days"),
    ),
    Block(
        "baskets",
        (
            Number("default", "basket_factor", 0.1, 10.0),
            Number("default", "basket_spread", 0.1, 2.0),
        ),
        ("mean_basket", "median_basket"),
    ),
    Block(
        "mail",
        (
            Number("sparse", "needs_factor", 1e-4, 1.0),
            Number("sparse", "browsing_factor", 1e-4, 1.0),
            Number("sparse", "basket_factor", 0.5, 20.0),
            Number("sparse", "basket_spread", 0.1, 2.0),
            Number("sparse", "taste_spread", 0.1, 10.0),
            Number("default", "channels.email.clicked", 0.02, 0.9),
            Number("default", "misfit", 0.005, 1.0),
            Number("default", "click_to_buy", 0.005, 0.9),
        ),
        (
            "visits_without_mail",
            "visits_by_general_mail",
            "visits_by_mail_that_fits",
            "visits_by_mail_that_does_not_fit",
            "purchases_without_mail",
            "purchases_by_general_mail",
            "spend_of_a_buyer",
            "log_spend_of_buyers",
        ),
    ),
    Block("shop", (Number("default", "place_pull", 0.05, 2.0),), ("redeemed_at_the_shop",)),
    Block(
        "grocery",
        (
            Number("grocery", "needs_factor", 0.2, 20.0),
            *_hours("grocery", "needs_by_hour", HOURS),
        ),
        ("baskets_a_year", *(f"baskets_at_{hour}" for hour in HOURS)),
    ),
)
PRESETS: Final = ("default", "sparse", "grocery")
"""Those that have numbers of their own or moments measured in them."""


def read_number(preset: Preset, path: str) -> float:
    """The number at a path; of an hour that a rhythm does not name, what it is between others."""
    name, *inner = path.split(".")
    value: Any = getattr(preset, name)
    if name.endswith(RHYTHM):
        return float(around_the_clock(value)[int(inner[0])])
    for part in inner:
        value = value[part] if isinstance(value, Mapping) else getattr(value, part)
    return float(value)


def with_number(preset: Preset, path: str, value: float) -> Preset:
    """The preset with another number at a path."""
    name, *inner = path.split(".")
    if name.endswith(RHYTHM):
        return changed(preset, name, {**getattr(preset, name), int(inner[0]): value})
    if not inner:
        return changed(preset, name, value)
    rows = dict(getattr(preset, name))
    rows[inner[0]] = changed(rows[inner[0]], inner[1], value)
    return changed(preset, name, rows)


def changed(part: Part, name: str, value: Any) -> Part:
    """A preset, or a row of its tables, with one field replaced by name."""
    fields: dict[str, Any] = {name: value}
    return replace(part, **fields)


def with_hours(preset: Preset, blocks: tuple[Block, ...]) -> Preset:
    """The preset with the hours of its rhythms that the blocks fit, and NOON, which stays 1.

    A rhythm that is fitted for the preset itself has those hours, others have the default's.
    """
    hours: dict[str, dict[str, list[int]]] = {}
    for number in (number for block in blocks for number in block.numbers):
        name, *inner = number.path.split(".")
        if name.endswith(RHYTHM):
            hours.setdefault(name, {}).setdefault(number.section, [NOON]).append(int(inner[0]))
    for name, by_section in hours.items():
        factors = around_the_clock(getattr(preset, name))
        factors /= factors[NOON]
        fitted = sorted(by_section.get(preset.name, by_section.get("default", [NOON])))
        preset = changed(preset, name, {hour: float(factors[hour]) for hour in fitted})
    return preset


def fit(
    seed: int,
    starts: int,
    share: float,
    blocks: tuple[Block, ...] = BLOCKS,
    progress: Callable[[float], None] | None = None,
) -> tuple[list[Fitted], dict[str, Preset]]:
    """Fit all blocks in turn.

    Args:
        seed: of the users that are fitted on.
        starts: of each block; the first is what the world has now.
        share: of the users that the table is made with.
        blocks: in their order.
        progress: told the share done.

    Returns:
        What came of each block, and the presets with the fitted numbers.
    """
    presets = {name: with_hours(find_preset(name), blocks) for name in PRESETS}
    done: dict[str, Fitted] = {}
    # the second round, from where the first ended, lets early blocks know of later ones
    rounds = [(block, many) for many in (starts, 1) for block in blocks]
    for number, (block, many) in enumerate(rounds):
        if progress is not None:
            progress(number / len(rounds))
        found = _fit_block(block, presets, seed, many, share)
        presets = _with(presets, block, np.asarray(found.values))
        before = done.get(block.name)
        done[block.name] = found if before is None else replace(before, values=found.values)
    return list(done.values()), presets


def _fit_block(
    block: Block, presets: Mapping[str, Preset], seed: int, starts: int, share: float
) -> Fitted:
    low = np.log([number.low for number in block.numbers])
    high = np.log([number.high for number in block.numbers])

    def residuals(logarithms: Floats) -> Floats:
        return misses(
            figures(block.moments, _with(presets, block, np.exp(logarithms)), seed, share)
        )

    def slopes(logarithms: Floats) -> Floats:
        """Differences over STEP, away from the nearer bound; float64 [moments, numbers]."""
        here = residuals(logarithms)
        steps = np.where(logarithms + STEP > high, -STEP, STEP)
        beside = [residuals(logarithms + step) for step in np.diag(steps)]
        return np.column_stack(
            [(there - here) / step for there, step in zip(beside, steps, strict=True)]
        )

    found = [
        least_squares(residuals, start, slopes, (low, high), callback=_stop_when_close, **SEARCH)
        for start in _starts(block, presets, starts, low, high, seed)
    ]
    best = min(found, key=lambda result: float(result.cost))
    near = [result.x - best.x for result in found if result.cost < best.cost + 1.0]
    return Fitted(
        block,
        tuple(float(f"{value:.4g}") for value in np.exp(best.x)),
        tuple(float(result.cost) for result in found),
        float(np.expm1(np.abs(near).max())),
    )


def _stop_when_close(intermediate_result: OptimizeResult) -> None:
    if np.abs(intermediate_result.fun).max() < CLOSE:
        raise StopIteration


def misses(found: Mapping[str, float]) -> Floats:
    """How far figures are from the published ones, in half intervals, float64 [moments]."""
    rows = [(found[name], published(name)) for name in found]
    return np.asarray([2 * (value - m.value) / (m.high - m.low) for value, m in rows])


def _starts(
    block: Block,
    presets: Mapping[str, Preset],
    starts: int,
    low: Floats,
    high: Floats,
    seed: int,
) -> list[Floats]:
    """Where the search begins: what the world has, then points spread over the middle half."""
    now = np.log([read_number(presets[n.section], n.path) for n in block.numbers])
    drawn = qmc.LatinHypercube(len(low), rng=seed).random(starts - 1) if starts > 1 else []
    inside = low + 1e-3 * (high - low), high - 1e-3 * (high - low)
    spread = [low + (0.25 + 0.5 * point) * (high - low) for point in drawn]
    return [np.clip(point, *inside) for point in (now, *spread)]


def _with(presets: Mapping[str, Preset], block: Block, values: Floats) -> dict[str, Preset]:
    """The presets with other numbers; those based on a preset follow it unless they differ."""
    fitted = dict(presets)
    for number, value in zip(block.numbers, values, strict=True):
        was = read_number(presets[number.section], number.path)
        for name, preset in fitted.items():
            follows = number.section == "default" and read_number(preset, number.path) == was
            if name == number.section or follows:
                fitted[name] = with_number(preset, number.path, float(value))
    return fitted
