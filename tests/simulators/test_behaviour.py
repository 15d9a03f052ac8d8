from __future__ import annotations

import numpy as np
import pytest

from envs.catalogue import load_catalogue, parse_catalogue
from envs.errors import InputError
from simulators.behaviour import Behaviour, Chances
from simulators.presets import find_preset
from simulators.world import SyntheticWorld

CATALOGUE = load_catalogue()
BEHAVIOUR = Behaviour(CATALOGUE, find_preset("default"))


def one_user(**hidden: float) -> SyntheticWorld:
    world = SyntheticWorld(1, seed=2, catalogue=CATALOGUE)
    for name, value in {"ripe": True, **hidden}.items():
        getattr(world.hidden, name)[0] = value
    return world


def chances(world: SyntheticWorld, action: str, scene: str = "mall") -> Chances:
    return BEHAVIOUR.funnel(
        world.traits,
        world.hidden,
        np.zeros(1, np.int64),
        np.full(1, CATALOGUE.scene_index(scene), np.int16),
        np.full(1, CATALOGUE.action_index(action)),
    )


def test_deeper_discounts_win_more_but_less_and_less() -> None:
    names = ("content", "off5", "off10", "off20", "off30")
    depths = np.asarray([0, 0.05, 0.1, 0.2, 0.3])
    clicks = [float(chances(one_user(), f"{name}/email").click[0]) for name in names]
    slopes = np.diff(clicks) / np.diff(depths)
    assert (slopes > 0).all() and (np.diff(slopes) < 0).all()


def test_who_is_used_to_discounts_is_disappointed_by_less() -> None:
    used, fresh = one_user(reference_discount=0.15), one_user()
    for action in ("content/email", "off10/email", "off30/email"):
        assert chances(used, action).click[0] < chances(fresh, action).click[0]
    loyal = BEHAVIOUR.loyal(used.traits, used.hidden)[0]
    assert loyal < BEHAVIOUR.loyal(fresh.traits, fresh.hidden)[0]


@pytest.mark.parametrize(
    ("group", "tired", "rested"),
    [
        ("fatigue_interrupting", "content/push", "content/email"),
        ("fatigue_waiting", "content/mini_program", "content/sms"),
    ],
)
def test_fatigue_dulls_and_annoys_in_its_own_group(group: str, tired: str, rested: str) -> None:
    weary, fresh = one_user(**{group: 8.0}), one_user()
    assert chances(weary, tired).see[0] < chances(fresh, tired).see[0]
    assert chances(weary, tired).opt_out[0] > chances(fresh, tired).opt_out[0]
    assert chances(weary, rested).see[0] == chances(fresh, rested).see[0]


def test_a_met_need_is_not_sold_again() -> None:
    assert chances(one_user(served=True), "gift/mini_program").sell[0] == 0


def test_nothing_more_is_sold_while_a_purchase_is_promised() -> None:
    assert chances(one_user(promised_at=1.0), "gift/mini_program").sell[0] == 0


def test_an_open_need_sells_better_than_the_next_one() -> None:
    ripe, unripe = (chances(one_user(ripe=flag), "content/email") for flag in (True, False))
    assert ripe.sell[0] > unripe.sell[0] > 0
    assert ripe.click[0] > unripe.click[0] > 0


def test_a_channel_without_a_nature_is_refused_by_name() -> None:
    text = CATALOGUE.text.replace("name: email", "name: pigeon").replace(
        "channel: email", "channel: pigeon"
    )
    with pytest.raises(InputError, match="pigeon"):
        Behaviour(parse_catalogue(text), find_preset("default"))
