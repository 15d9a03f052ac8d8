from dataclasses import replace

import numpy as np
import pytest

from agents.baselines import Uniform
from agents.judging.players import Deciding
from simulators.oracle.attained import Attained, Users, play
from simulators.oracle.criterion import GAMMA, flow
from simulators.presets import Preset, find_preset
from simulators.rollout import rollout
from simulators.trace import Trace
from simulators.world import START, SyntheticWorld

PEOPLE, DAYS, SEED = np.arange(30), 6, 5
THRIFTY = replace(find_preset("budget"), budget_cents_per_user_week=4.0)


def played(preset: Preset) -> Attained:
    player = Deciding("uniform", Uniform())
    catalogue = preset.load_catalogue()
    return play(preset, catalogue, SEED, player, Users(PEOPLE), DAYS, all_rules=True)


def rolled(preset: Preset) -> Trace:
    world = SyntheticWorld(len(PEOPLE), SEED, preset)
    return rollout(world, Uniform(), PEOPLE, DAYS)


def discounted(trace: Trace, *columns: str) -> np.ndarray:
    """The flow of the sum of columns, by user."""
    table = {name: trace.table.column(name).to_numpy() for name in ("user", "time", *columns)}
    since = table["time"] - np.datetime64(START.removesuffix("Z"))
    weight = GAMMA ** (since / np.timedelta64(1, "D"))
    cents = weight * sum(table[name] for name in columns)
    return np.asarray([flow(cents[table["user"] == user].sum(), DAYS) for user in PEOPLE])


@pytest.mark.parametrize("preset", [find_preset("default"), THRIFTY], ids=["default", "thrifty"])
def test_a_policy_meets_what_it_meets_in_a_rollout(preset: Preset) -> None:
    attained, trace = played(preset), rolled(preset)
    spent = ("offer_cost_cents", "contact_cost_cents")
    assert attained.contacts.sum() > 0
    assert np.allclose(attained.net_cents, discounted(trace, "net_cents"))
    assert np.allclose(attained.value_cents, discounted(trace, "expected_cents"))
    assert np.allclose(attained.spend_cents, discounted(trace, *spent))


def test_an_empty_purse_binds_a_policy() -> None:
    free = played(replace(THRIFTY, budget_cents_per_user_week=None))
    bound = played(THRIFTY)
    assert bound.contacts.sum() < free.contacts.sum()
    assert bound.refused["budget"] == 0
