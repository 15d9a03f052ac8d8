from __future__ import annotations

import numpy as np

from envs.catalogue import load_catalogue, parse_catalogue
from envs.rules import Rules
from envs.users import UserState
from simulators.oracle.known_rules import KnownRules
from simulators.world import SyntheticWorld

CATALOGUE = load_catalogue()


def test_the_day_s_cap_is_known_and_rolling_windows_are_left_out() -> None:
    known = KnownRules(CATALOGUE)
    assert known.contacts_a_day == 2
    assert "cap:two_a_day" not in known.left_out
    assert {"cap:push_a_scene", "not_interested", "budget"} <= set(known.left_out)


def test_a_cap_of_one_channel_is_no_cap_of_the_day() -> None:
    text = CATALOGUE.text.replace("limit: 2, days: 1", "limit: 2, days: 1, channel: push")
    known = KnownRules(parse_catalogue(text))
    assert known.contacts_a_day is None
    assert "cap:two_a_day" in known.left_out


def test_the_table_is_what_the_rules_say_of_users_who_consent() -> None:
    known, rules = KnownRules(CATALOGUE), Rules(CATALOGUE)
    world = SyntheticWorld(400, seed=2)
    for _ in range(30):
        world.step(np.zeros(400, np.int64))
        moment = world.moment()
        users = UserState.empty(CATALOGUE, 400)
        users.opted_in_at[:] = moment.now[:, None]
        hour = moment.local() // 3600 % 24
        allowed = rules.refusals(users, moment) == 0
        assert np.array_equal(allowed, known.table[hour, moment.scene])
