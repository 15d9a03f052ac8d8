"""Policies that learn nothing: what every learner has to beat. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import SILENCE, Catalogue
from envs.encoding import Encoding
from envs.errors import InputError

Observations = NDArray[np.float32]
Mask = NDArray[np.bool_]
Rows = NDArray[np.float64]

NAMES = ("silence", "uniform", "rule_book")
CONSTANT = "constant:"


@dataclass(frozen=True, slots=True)
class Uniform:
    """Any allowed action, each as likely."""

    kind: ClassVar[str] = "uniform"
    name: str = "uniform"

    def probabilities(self, observations: Observations, mask: Mask) -> Rows:
        """1 / allowed for each allowed action, float64 [N, A]."""
        mask = np.asarray(mask, dtype=bool)
        rows: Rows = mask / mask.sum(axis=1, keepdims=True)
        return rows

    def describe(self) -> str:
        """One line for people."""
        return "any allowed action"


@dataclass(frozen=True, slots=True)
class Constant:
    """One action whenever it is allowed, else silence."""

    kind: ClassVar[str] = "constant"
    action: int
    """Index of the action; 0 is silence itself."""
    name: str

    def probabilities(self, observations: Observations, mask: Mask) -> Rows:
        """1 for the action, or for silence where the action is masked, float64 [N, A]."""
        mask = np.asarray(mask, dtype=bool)
        return _certain(np.where(mask[:, self.action], self.action, 0), mask.shape[1])

    def describe(self) -> str:
        """One line for people."""
        return f"{self.name.removeprefix(CONSTANT)} whenever it is allowed"


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the rule book: in these scenes, this offer, by the first open channel."""

    offer: str
    channels: tuple[str, ...]
    """In the order of preference."""
    scenes: tuple[str, ...] = ()
    """Anywhere when left out."""
    carted_within_days: float | None = None
    """Only for who put something into the basket since then."""
    lapsed_days: float | None = None
    """Only for who has not bought for so long."""


REST_AFTER_CONTACT_DAYS = 1.0
REST_AFTER_PURCHASE_DAYS = 2.0
RULES = (
    Rule("off5", ("in_app", "push", "email"), carted_within_days=1.0),
    Rule("off20", ("email",), ("home_evening",), lapsed_days=30.0),
    Rule("off5", ("mini_program", "in_app", "push"), ("supermarket", "mall")),
    Rule("off10", ("in_app", "email"), ("travel_planning",)),
    Rule("content", ("mini_program", "in_app"), ("lunch", "dining")),
    Rule("content", ("push",), ("commute",)),
    Rule("content", ("email", "in_app"), ("home_evening",)),
)


class RuleBook:
    """What a marketer would write: at most one contact a day, none right after a purchase.

    The first rule that fits and has an open channel decides: 5 % for a basket left behind, 20 % to
    win back who has not bought for a month, 5 % in a shop, 10 % while planning a trip, news at
    lunch, on the way and in the evening; otherwise silence. Rules that name an offer, a scene or a
    channel that the catalogue does not have are left out.
    """

    kind: ClassVar[str] = "rule_book"

    def __init__(self, catalogue: Catalogue, rules: tuple[Rule, ...] = RULES) -> None:
        self.name = "rule_book"
        self._catalogue = catalogue
        self._column = {name: i for i, name in enumerate(Encoding(catalogue).names)}
        self._contacts = [
            i for name, i in self._column.items() if name.startswith("recency:contacted/")
        ]
        self._rules = [(rule, actions) for rule in rules if (actions := self._actions(rule))]
        if not self._rules:
            raise InputError(
                f"the rule book speaks of offers, channels and scenes that catalogue "
                f"{catalogue.name!r} does not have: use silence, uniform or constant:OFFER/CHANNEL"
            )

    def probabilities(self, observations: Observations, mask: Mask) -> Rows:
        """1 for the action of the first rule that fits, float64 [N, A]."""
        mask = np.asarray(mask, dtype=bool)
        chosen = np.zeros(len(mask), dtype=np.int64)
        undecided = ~self._resting(observations)
        for rule, actions in self._rules:
            fits = undecided & self._fits(rule, observations)
            for action in actions:
                take = fits & mask[:, action]
                chosen[take] = action
                fits &= ~take
                undecided &= ~take
        return _certain(chosen, mask.shape[1])

    def describe(self) -> str:
        """One line for people."""
        return f"a marketer's rule book, {len(self._rules)} rules"

    def _actions(self, rule: Rule) -> tuple[int, ...]:
        """The actions of a rule, best channel first; none where its scenes do not exist."""
        scenes = {scene.name for scene in self._catalogue.scenes}
        if rule.scenes and not scenes & set(rule.scenes):
            return ()
        index = {action.name: action.index for action in self._catalogue.actions}
        wanted = (f"{rule.offer}/{channel}" for channel in rule.channels)
        return tuple(index[name] for name in wanted if name in index)

    def _resting(self, observations: Observations) -> Mask:
        contacted = observations[:, self._contacts].max(axis=1, initial=0.0)
        bought = observations[:, self._column["recency:bought"]]
        resting: Mask = contacted > _recency(REST_AFTER_CONTACT_DAYS)
        resting |= bought > _recency(REST_AFTER_PURCHASE_DAYS)
        return resting

    def _fits(self, rule: Rule, observations: Observations) -> Mask:
        fits = np.ones(len(observations), dtype=bool)
        if rule.scenes:
            names = [f"scene={scene}" for scene in rule.scenes]
            columns = [self._column[name] for name in names if name in self._column]
            fits &= observations[:, columns].max(axis=1) > 0.5
        if rule.carted_within_days is not None:
            carted = observations[:, self._column["recency:carted"]]
            fits &= carted > _recency(rule.carted_within_days)
            fits &= carted > observations[:, self._column["recency:bought"]]
        if rule.lapsed_days is not None:
            fits &= observations[:, self._column["recency:bought"]] < _recency(rule.lapsed_days)
        return fits


def _recency(days: float) -> float:
    """How the encoding writes something that was `days` ago."""
    return 1.0 / (1.0 + days)


def _certain(actions: NDArray[np.int64], width: int) -> Rows:
    rows = np.zeros((len(actions), width))
    rows[np.arange(len(actions)), actions] = 1.0
    return rows


Baseline = Uniform | Constant | RuleBook


def is_baseline(name: str) -> bool:
    """Whether a name is that of a baseline rather than of a folder."""
    return name in NAMES or name.startswith(CONSTANT)


def make_baseline(name: str, catalogue: Catalogue) -> Baseline:
    """The baseline of a name: silence, uniform, rule_book or ``constant:OFFER/CHANNEL``.

    Raises:
        InputError: no such baseline, or no such action in this catalogue.
    """
    if name == SILENCE:
        return Constant(0, SILENCE)
    if name == "uniform":
        return Uniform()
    if name == "rule_book":
        return RuleBook(catalogue)
    action = name.removeprefix(CONSTANT)
    if action == name:
        raise InputError(f"no baseline {name!r}: known are {', '.join(NAMES)}, {CONSTANT}ACTION")
    try:
        return Constant(catalogue.action_index(action), name)
    except KeyError:
        raise InputError(
            f"no action {action!r} in catalogue {catalogue.name!r}: give one of "
            f"{', '.join(known.name for known in catalogue.actions)}"
        ) from None


def constants(catalogue: Catalogue) -> tuple[Constant, ...]:
    """One constant policy for each action that is not silence."""
    return tuple(Constant(a.index, CONSTANT + a.name) for a in catalogue.actions[1:])
