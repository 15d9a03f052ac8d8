"""Randomised campaigns that really happened, as contexts, actions, propensities and rewards.

Their files are not part of this repository (docs/logs.md says what they are); a log whose file is
not in the given folder is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.logs.importing import import_campaign

MAPPING: Final = (
    Path(__file__).parent.parent / "simulators" / "logs" / "campaigns" / "hillstrom_mapping.yaml"
)


@dataclass(frozen=True, slots=True)
class RealLog:
    """Decisions with known propensities; every action was always possible."""

    name: str
    observations: NDArray[np.float32]
    """[N, D]"""
    actions: NDArray[np.int64]
    """[N], below ``arms``."""
    propensities: NDArray[np.float64]
    """Of the actions taken, [N]; they depend on the action alone."""
    rewards: NDArray[np.float64]
    """0 or 1, [N]."""
    arms: int
    unit: str

    def best_arm(self) -> float:
        """The mean of the constant action that did best, over the whole log."""
        return max(float(self.rewards[self.actions == arm].mean()) for arm in range(self.arms))


def real_logs(folder: Path) -> list[RealLog]:
    """Those whose files lie in the folder."""
    return [read(folder / name) for name, read in READERS.items() if (folder / name).exists()]


def _hillstrom(path: Path) -> RealLog:
    """The e-mail challenge of 2008: no mail, mens or womens mail; did the customer visit."""
    log = import_campaign(MAPPING, path)
    varying = log.observations.std(axis=0) > 0
    return RealLog(
        "Hillstrom e-mail", log.observations[:, varying], log.actions, log.propensities,
        log.rewards, len(log.catalogue.actions), "visits",
    )  # fmt: skip


def _drink_less(path: Path) -> RealLog:
    """Micro-randomised push: none or one of two messages; was the app opened within the hour.

    ``prob_B`` is the propensity of the message in ``subversion``, of which Z is none.
    """
    table = pd.read_csv(path)
    features = pd.DataFrame(
        {
            "age": table.age / 100,
            "score": table.AUDIT_score / 40,
            "gender": table.gender,
            "day": table.days_since_download / 30,
            "used_to_it": table.habituation,
            "before_evening": table.before_8pm,
            "engaged": table.already_engaged,
            "late_the_day_before": table.after_9pm_day_before,
        }
    )
    work = pd.get_dummies(table.employment_type, prefix="work")
    return RealLog(
        "Drink Less push",
        np.concatenate([features, work], axis=1, dtype=np.float32),
        np.searchsorted(["X", "Y", "Z"], table.subversion.to_numpy(str)).astype(np.int64),
        table.prob_B.to_numpy(float), table.primary_outcome.to_numpy(float), 3, "openings",
    )  # fmt: skip


def _open_bandit(path: Path) -> RealLog:
    """Items recommended uniformly by ZOZO; was the item clicked. An action is a kind of item.

    80 items at a few clicks a thousand leave nothing to replay, so items are put together by
    their last feature: the three largest kinds and all others, whose propensities add up.
    """
    table = pd.read_csv(path)
    kinds = pd.read_csv(path.with_name("item_context.csv.gz")).set_index("item_id").item_feature_3
    largest = list(kinds.value_counts().index[:3])
    kind = np.asarray([largest.index(k) if k in largest else 3 for k in kinds])
    place = dict(zip(kinds.index, kind, strict=True))
    actions = np.asarray([place[item] for item in table.item_id], np.int64)
    known = pd.get_dummies(
        table[[f"user_feature_{i}" for i in range(4)] + ["position"]].astype(str)
    )
    items_alike = np.bincount(kind)[actions]
    return RealLog(
        "Open Bandit", known.to_numpy(np.float32), actions,
        table.propensity_score.to_numpy(float) * items_alike, table.click.to_numpy(float), 4,
        "clicks",
    )  # fmt: skip


READERS: Final[dict[str, Callable[[Path], RealLog]]] = {
    "hillstrom.csv.gz": _hillstrom,
    "drinkless_mrt.csv.gz": _drink_less,
    "open_bandit_sample/random/all/all.csv.gz": _open_bandit,
}
