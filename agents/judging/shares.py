"""What share of the gap between silence and the optimum policies close, with intervals.

Two columns: as it fell, and as the mean given the hidden state, which is the same on average with
far less luck in it. All differences are paired: the same users, the same luck.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from envs.errors import InputError
from simulators.oracle.course import ORACLE, SILENCE, Course, Ran
from simulators.oracle.panel import Figure, Panel
from simulators.oracle.verdict import Played
from simulators.value import CONFIDENCE

Floats = NDArray[np.float64]
Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Shares:
    """What came of everybody on a course."""

    panel: Panel
    """Whose copies have been played once for each seed."""
    fell: Played
    """Net value as it fell."""
    expected: Played
    """Its mean given the hidden state."""
    ran: Mapping[str, Ran]
    exact: bool
    """Whether the optimum is, so that what falls short of it is known without luck."""

    @classmethod
    def of(cls, course: Course, ran: Mapping[str, Ran]) -> Self:
        """Compare all who ran a course.

        Raises:
            InputError: there is no gap to close.
        """
        panel = course.setting.panel
        panel = replace(panel, copies=panel.copies * len(course.seeds))
        fell, expected = (
            Played(panel, course.optimum, course.silence, values)
            for values in (
                {name: one.net_cents for name, one in ran.items()},
                {name: one.value_cents for name, one in ran.items()},
            )
        )
        for played in (fell, expected):
            if panel.figure(played.gain(ORACLE)).mean == 0:
                raise InputError(
                    f"in preset {course.setting.preset.name!r} with catalogue "
                    f"{course.setting.catalogue.name!r} the optimum gains nothing over silence: "
                    "there is no gap to close; take another preset or more users"
                )
        return cls(panel, fell, expected, ran, course.shortfall is not None)

    def gap(self) -> Row:
        """What the oracle gains over silence, in both columns."""
        return {
            "as_it_fell": asdict(self.panel.figure(self.fell.gain(ORACLE))),
            "expected": asdict(self.panel.figure(self.expected.gain(ORACLE))),
        }

    def best(self, rivals: Sequence[str]) -> str:
        """The rival that is worth most on average."""
        figure = self.panel.figure
        return max(rivals, key=lambda name: figure(self.expected.values[name]).mean)

    def row(self, name: str, constant: str, best: str) -> Row:
        """All figures of a policy.

        Args:
            name: of the policy.
            constant: name of the best constant.
            best: name of the best rival.
        """
        figure, ran = self.panel.figure, self.ran[name]
        fell, expected = self.fell, self.expected
        figures = {
            "value_per_user_week_cents": figure(ran.net_cents),
            "gap_closed": fell.share(name, of=ORACLE),
            "expected_value_per_user_week_cents": self._expected_value(name),
            "expected_gap_closed": expected.share(name, of=ORACLE),
            "gain_over_silence": figure(fell.gain(name)),
            "expected_gain_over_silence": figure(expected.gain(name)),
            "gain_over_best_constant": figure(ran.net_cents - fell.values[constant]),
            "expected_gain_over_best_constant": figure(ran.value_cents - expected.values[constant]),
        }
        of_best = figure(expected.gain(best)).low > 0
        share = expected.share(name, of=best) if of_best else None
        return {
            **{title: asdict(one) for title, one in figures.items()},
            "expected_share_of_best_rival": None if share is None else asdict(share),
            "spend_per_user_week_cents": figure(ran.spend_cents).mean,
            "contacts_per_user_week": figure(ran.contacts).mean,
        }

    def _expected_value(self, name: str) -> Figure:
        """Of an exact optimum the shortfall is known best, elsewhere the gain over silence."""
        if self.exact and name != SILENCE:
            return self.panel.figure(self.expected.values[name])
        return self.expected.value(name)

    def over_seeds(self, members: Sequence[str], constant: str) -> Row:
        """Means over policies that differ in their training seed only.

        Args:
            members: names of the policies.
            constant: name of the best constant.
        """
        spends = [self.panel.figure(self.ran[name].spend_cents).mean for name in members]
        return {
            "training_seeds": len(members),
            "members": list(members),
            "gap_closed": _over_seeds(self._share(self.fell), self.fell, members),
            "expected_gap_closed": _over_seeds(self._share(self.expected), self.expected, members),
            "expected_gain_over_best_constant": _over_seeds(
                lambda values: self.panel.figure(values - self.expected.values[constant]),
                self.expected,
                members,
            ),
            "spend_per_user_week_cents": float(np.mean(spends)),
        }

    def _share(self, played: Played) -> Callable[[Floats], Figure]:
        def share(values: Floats) -> Figure:
            several = replace(played, values={**played.values, "members": values})
            return several.share("members", of=ORACLE)

        return share


def _over_seeds(judged: Callable[[Floats], Figure], played: Played, members: Sequence[str]) -> Row:
    """The mean of a figure over training seeds, its 95 % interval, and how much seeds differ.

    Seeds are a sample of those that might have been (Student's t); the luck of the users, whom all
    members share, is added to that.

    Args:
        judged: the figure of values by row, linear in them.
        played: has the values.
        members: names of the policies, 2 at least.
    """
    values = [played.values[name] for name in members]
    spread = float(np.std([judged(one).mean for one in values], ddof=1))
    quantile = float(student.ppf((1 + CONFIDENCE) / 2, len(members) - 1))
    luck = judged(np.mean(values, axis=0))
    half = float(np.hypot(quantile * spread / len(members) ** 0.5, luck.high - luck.mean))
    return {
        "mean": luck.mean,
        "low": luck.mean - half,
        "high": luck.mean + half,
        "sd_between_training_seeds": spread,
    }
