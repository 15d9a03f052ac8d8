"""Which trial measures which published moment, by which formula."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from simulators.calibration.jackknife import Formula, Sums, jackknife
from simulators.calibration.mail_trial import mail_trial
from simulators.calibration.offer_trial import depth_trial, lag_trial
from simulators.calibration.published import published
from simulators.calibration.push_trial import daily_contacts, push_trial
from simulators.calibration.quiet_weeks import quiet_weeks
from simulators.calibration.sources import BASKETS, HOURS_OF_AN_APP, decline, fresh, odds, quantile
from simulators.calibration.trials import Trial
from simulators.presets import Preset
from simulators.value import Estimate

LEAST_USERS: Final = 200


@dataclass(frozen=True, slots=True)
class Experiment:
    """A replay of a study, how many users it takes, and the figures made of its sums."""

    replay: Callable[[Trial], Sums]
    users: int
    formulas: Mapping[str, Formula] = field(default_factory=dict)


def per(name: str, cell: int, over: str = "n") -> Formula:
    """A sum in one cell over another sum there."""
    return lambda s: float(s[name][cell] / s[over][cell])


def gained(name: str, cell: int, over: str = "n") -> Formula:
    """The same less that of cell 0."""
    return lambda s: per(name, cell, over)(s) - per(name, 0, over)(s)


def relative(name: str, cell: int, over: str = "n") -> Formula:
    """The same over that of cell 0."""
    return lambda s: per(name, cell, over)(s) / per(name, 0, over)(s)


def _part(start: str, formula: Formula) -> Formula:
    """A formula of ``sources`` on the sums whose names start so."""
    return lambda s: formula({"open": s[f"{start}_open"], "n": s[f"{start}_n"]})


def _elasticity(s: Sums) -> float:
    return math.log(relative("sale", 1)(s)) / math.log(1 - 0.05)


def _log_spend(s: Sums) -> float:
    buyers = s["buyers"].sum()
    mean = s["log"].sum() / buyers
    return float(max(s["log2"].sum() / buyers - mean**2, 0.0) ** 0.5)


def _later(days: int) -> Formula:
    """Share of the redemptions after the first day that come within so many days."""
    return lambda s: float(s["lag"][1 : days + 1].sum() / s["lag"][1:].sum())


def _odds(hour: int) -> Formula:
    formula = odds(hour)
    return lambda s: formula({"taken": s["taken"], "n": s["asked"]})


QUIET: Final[Mapping[str, Formula]] = {
    **HOURS_OF_AN_APP,
    **BASKETS,
    "median_basket": quantile(0.5),
    "small_basket": quantile(0.25),
    "large_basket": quantile(0.75),
    "redeemed_at_the_shop": relative("sale", 1, "sent"),
    **{f"taken_at_{hour}": _odds(hour) for hour in (7, 10, 18, 22)},
}
EXPERIMENTS: Final = (
    Experiment(quiet_weeks, 6000, QUIET),
    Experiment(
        mail_trial,
        12000,
        {
            "visits_without_mail": per("visits", 0),
            "visits_by_general_mail": gained("visits", 1),
            "visits_by_mail_that_fits": gained("visits_fit", 2, "fit"),
            "visits_by_mail_that_does_not_fit": gained("visits_unfit", 2, "unfit"),
            "purchases_without_mail": per("purchases", 0),
            "purchases_by_general_mail": gained("purchases", 1),
            "purchases_by_category_mail": gained("purchases", 2),
            "spend_of_a_buyer": lambda s: float(s["spend"].sum() / s["buyers"].sum()),
            "spend_of_a_buyer_by_mail": relative("spend", 1, "buyers"),
            "log_spend_of_buyers": _log_spend,
        },
    ),
    Experiment(
        push_trial,
        6000,
        {
            "opened_within_an_hour_without": per("open", 0),
            "opened_within_an_hour": gained("open", 1),
            "opened_within_a_day_without": per("day", 0),
            "opened_within_a_day": gained("day", 1),
            "opened_after_the_hour": gained("later", 1),
            "opened_after_a_message_the_day_before": _part("tired", fresh),
            "opened_in_the_last_days": _part("late", decline),
        },
    ),
    Experiment(
        daily_contacts,
        6000,
        {f"success_of_contact_{n}": relative("sale", n - 1) for n in (2, 3, 5, 7)},
    ),
    Experiment(
        depth_trial,
        12000,
        {
            "price_elasticity": _elasticity,
            **{f"match_{depth}_to_1": relative("sale", depth + 1) for depth in (1, 2, 3)},
        },
    ),
    Experiment(
        lag_trial,
        20000,
        {
            "redeemed_the_same_day": lambda s: float(s["lag"][0] / s["lag"].sum()),
            **{f"later_within_{days}_days": _later(days) for days in (3, 7, 15)},
        },
    ),
)


def experiment_of(moment: str) -> Experiment:
    """The experiment that measures a moment."""
    return next(experiment for experiment in EXPERIMENTS if moment in experiment.formulas)


def measure(
    names: Iterable[str],
    presets: Mapping[str, Preset],
    seed: int,
    share: float = 1.0,
    progress: Callable[[float], None] | None = None,
) -> dict[str, Estimate]:
    """The world's figures for some moments, with their intervals.

    Args:
        names: of the moments.
        presets: by the names that the moments ask for.
        seed: of all luck.
        share: of the usual number of users.
        progress: told the share done.
    """
    found: dict[str, Estimate] = {}
    replays = list(_replays(names))
    for done, (experiment, preset, together) in enumerate(replays):
        sums = _sums(experiment, presets[preset], seed, share)
        found |= {name: jackknife(sums, experiment.formulas[name]) for name in together}
        if progress is not None:
            progress((done + 1) / len(replays))
    return found


def figures(
    names: Iterable[str], presets: Mapping[str, Preset], seed: int, share: float = 1.0
) -> dict[str, float]:
    """The same without intervals, which take most of the time of a short trial."""
    found: dict[str, float] = {}
    for experiment, preset, together in _replays(names):
        sums = _sums(experiment, presets[preset], seed, share)
        totals = {name: values.sum(axis=0) for name, values in sums.items()}
        found |= {name: experiment.formulas[name](totals) for name in together}
    return found


def _replays(names: Iterable[str]) -> Iterator[tuple[Experiment, str, list[str]]]:
    """Each experiment and preset that is needed, once, with the moments it measures."""
    wanted: dict[tuple[int, str], list[str]] = {}
    for name in names:
        place = EXPERIMENTS.index(experiment_of(name)), published(name).preset
        wanted.setdefault(place, []).append(name)
    for (number, preset), together in wanted.items():
        yield EXPERIMENTS[number], preset, together


def _sums(experiment: Experiment, preset: Preset, seed: int, share: float) -> Sums:
    users = max(int(experiment.users * share), LEAST_USERS)
    return experiment.replay(Trial(preset, users, seed))
