from __future__ import annotations

import numpy as np
import pytest

from simulators.oracle.attained import Attained, Player, Silent, Users, play
from simulators.oracle.criterion import GAMMA
from simulators.oracle.grid import Nodes
from simulators.oracle.plan import Plan
from simulators.oracle.planning import Planner
from simulators.oracle.rivals import Constant
from simulators.oracle.steadying import Steadying
from simulators.population import Traits
from simulators.presets import find_preset
from simulators.world import START

SMALL = find_preset("small")
CATALOGUE = SMALL.load_catalogue()
COPIES = 400
NOBODY = np.zeros(COPIES, np.int64)


@pytest.fixture(scope="module")
def plan() -> Plan:
    planner = Planner(CATALOGUE, SMALL, START, nodes=Nodes(6, 2))
    return planner.plan(Traits.centre(SMALL, 0))


def played(plan: Plan, player: Player, steady: bool) -> Attained:
    users = Users(np.arange(COPIES), plan.traits.take(NOBODY))
    steadying = Steadying([plan.potential], NOBODY, GAMMA) if steady else None
    return play(SMALL, CATALOGUE, 3, player, users, 60.0, steadying=steadying)


@pytest.mark.slow
@pytest.mark.parametrize("contact", [False, True])
def test_luck_is_taken_out_and_the_mean_stays(plan: Plan, contact: bool) -> None:
    """What is taken out has mean 0: within 4 standard errors, false alarm in 1 of 15,000."""
    best = int(np.argmax(CATALOGUE.action_channel == CATALOGUE.channel_index("in_app")))
    player = Constant("always", best) if contact else Silent()
    plain, steady = (played(plan, player, steady) for steady in (False, True))
    luck = plain.value_cents - steady.value_cents
    assert abs(luck.mean()) < 4 * luck.std() / COPIES**0.5
    assert steady.value_cents.std() < 0.7 * plain.value_cents.std()
    assert np.array_equal(plain.contacts, steady.contacts)
