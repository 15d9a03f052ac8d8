"""Policies against each other on the same users and the same luck."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from agents.baselines import Constant, constants, make_baseline
from agents.policy import LinearGaussianPolicy, NeuralLinearPolicy, Policy
from envs.catalogue import Catalogue
from simulators.rollout import BATCH, rollout
from simulators.value import Estimate, per_user_week
from simulators.world import SyntheticWorld

Cents = Literal["expected_cents", "net_cents"]
Weekly = NDArray[np.float64]
"""Cents a week, one value a user, float64 [U]."""
OTHER_PEOPLE = 1_000_000
"""First number of the people on whom the best constant is chosen."""
OTHER_LUCK: Final = 1_000_000
"""Added to the seed of trainings and searches: they meet other people than those judged."""


@dataclass(frozen=True, slots=True)
class Field:
    """Where policies meet: which world, how many people, how long."""

    catalogue: Catalogue
    preset: str = "default"
    users: int = 1000
    days: float = 28.0
    seeds: tuple[int, ...] = (0,)
    """Of the world's luck; each plays all users once more."""
    first_user: int = 0
    cents: Cents = "expected_cents"
    """``net_cents`` as it fell, or its conditional mean: the same on average, less noise."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one policy made of every user, paired by position."""

    value: Weekly
    spend: Weekly


def play(field: Field, policy: Policy, told: Callable[[float], None] | None = None) -> Outcome:
    """Let a policy decide for everybody in the field; ``told`` hears the share done."""
    users = np.arange(field.first_user, field.first_user + field.users)
    values, spends = [], []
    for done, seed in enumerate(field.seeds):
        world = SyntheticWorld(min(BATCH, field.users), seed, field.preset, field.catalogue)
        trace = rollout(world, policy, users, field.days)
        values.append(per_user_week(trace, field.cents))
        spends.append(
            per_user_week(trace, "offer_cost_cents") + per_user_week(trace, "contact_cost_cents")
        )
        if told is not None:
            told((done + 1) / len(field.seeds))
    return Outcome(np.concatenate(values), np.concatenate(spends))


def best_constant(field: Field, candidates: Iterable[Constant] | None = None) -> Constant:
    """The action that makes the most whenever it is allowed, chosen on other people."""
    others = Field(
        field.catalogue, field.preset, min(field.users, 500), field.days, field.seeds[:1],
        field.first_user + OTHER_PEOPLE,
    )  # fmt: skip
    known = constants(field.catalogue) if candidates is None else tuple(candidates)
    values = [play(others, constant).value.mean() for constant in known]
    return known[int(np.argmax(values))]


PRICES = (0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 20.0, 30.0, 45.0)
"""Cents that a contact may have to earn beyond its own costs."""


def best_contact_price(field: Field, policy: LinearGaussianPolicy | NeuralLinearPolicy) -> float:
    """The price of a contact under which a policy that looks one step ahead makes the most."""
    values = [play(field, policy.priced(price)).value.mean() for price in PRICES]
    return PRICES[int(np.argmax(values))]


def rivals(field: Field) -> dict[str, Policy]:
    """Whom every learner has to beat."""
    catalogue = field.catalogue
    return {
        "silence": make_baseline("silence", catalogue),
        "uniform": make_baseline("uniform", catalogue),
        "best_constant": best_constant(field),
        "rule_book": make_baseline("rule_book", catalogue),
    }


def interval(values: Weekly) -> dict[str, float]:
    """Mean over users with its 95 % interval."""
    estimate = Estimate.of(values)
    return {name: asdict(estimate)[name] for name in ("mean", "low", "high")}


def summary(outcomes: dict[str, Outcome]) -> dict[str, dict[str, object]]:
    """Value, paired gain over silence and spend of each policy, cents a user and week."""
    silence = outcomes["silence"].value
    return {
        name: {
            "value_per_user_week_cents": interval(outcome.value),
            "gain_over_silence": interval(outcome.value - silence),
            "spend_per_user_week_cents": float(outcome.spend.mean()),
        }
        for name, outcome in outcomes.items()
    }
