from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from envs.catalogue import load_catalogue, parse_catalogue
from envs.clock import DAY
from envs.errors import InputError
from simulators.behaviour import Behaviour, Chances
from simulators.presets import find_preset
from simulators.world import SyntheticWorld

CATALOGUE = load_catalogue()
PRESET = find_preset("default")
BEHAVIOUR = Behaviour(CATALOGUE, PRESET)
ONE = np.zeros(1, np.int64)


def one_user(**hidden: float) -> SyntheticWorld:
    world = SyntheticWorld(1, seed=2, catalogue=CATALOGUE)
    for name, value in {"ripe": True, **hidden}.items():
        getattr(world.hidden, name)[0] = value
    return world


def chances(
    world: SyntheticWorld,
    action: str,
    scene: str = "mall",
    hour: int = 12,
    of: Behaviour = BEHAVIOUR,
) -> Chances:
    return of.funnel(
        world.traits,
        world.hidden,
        ONE,
        np.full(1, CATALOGUE.scene_index(scene), np.int16),
        np.full(1, hour, np.int32),
        np.full(1, CATALOGUE.action_index(action)),
    )


def test_deeper_discounts_win_more_but_less_and_less() -> None:
    names = ("content", "off5", "off10", "off30")
    depths = np.asarray([0, 0.05, 0.1, 0.3])
    clicks = [float(chances(one_user(), f"{name}/email").click[0]) for name in names]
    slopes = np.diff(clicks) / np.diff(depths)
    assert (slopes > 0).all() and (np.diff(slopes) < 0).all()


def test_who_is_used_to_discounts_is_disappointed_by_less() -> None:
    used, fresh = one_user(reference_discount=0.15), one_user()
    for action in ("content/email", "off10/email", "off30/email"):
        assert chances(used, action).click[0] < chances(fresh, action).click[0]
    loyal = BEHAVIOUR.loyal(used.traits, used.hidden)[0]
    assert loyal < BEHAVIOUR.loyal(fresh.traits, fresh.hidden)[0]


@pytest.mark.parametrize("action", ["content/push", "content/email", "gift/mini_program"])
def test_fatigue_dulls_and_annoys_whatever_the_channel(action: str) -> None:
    weary, fresh = one_user(fatigue=8.0), one_user()
    assert chances(weary, action).see[0] < chances(fresh, action).see[0]
    assert chances(weary, action).opt_out[0] > chances(fresh, action).opt_out[0]
    assert chances(weary, action).refuse[0] > chances(fresh, action).refuse[0]


def test_a_met_need_is_not_sold_again() -> None:
    assert chances(one_user(served=True), "gift/mini_program").sell[0] == 0


def test_a_purchase_that_is_promised_does_not_stand_in_the_way_of_the_next_need() -> None:
    promised, free = one_user(promised_at=1.0), one_user()
    for world in (promised, free):
        assert chances(world, "gift/email").sell[0] > 0


def test_an_open_need_sells_better_than_the_next_one() -> None:
    ripe, unripe = (chances(one_user(ripe=flag), "content/email") for flag in (True, False))
    assert ripe.sell[0] > unripe.sell[0] > 0
    assert ripe.click[0] > unripe.click[0] > 0


def test_an_offer_of_another_category_than_the_needs_is_clicked_less() -> None:
    home, everyday = PRESET.categories.index("home"), PRESET.categories.index("everyday")
    fits, misses = (
        float(chances(one_user(category=kind), "off20/email").click[0]) for kind in (home, everyday)
    )
    assert misses == pytest.approx(PRESET.misfit * fits)
    general = [chances(one_user(category=kind), "off10/email").click[0] for kind in (0, 1)]
    assert general[0] == general[1]


def test_with_no_need_open_an_offer_fits_as_much_as_the_user_buys_of_its_category() -> None:
    idle, open_need = one_user(ripe=False), one_user(category=PRESET.categories.index("home"))
    share = float(idle.traits.category_shares[0, PRESET.categories.index("home")])
    fit = share + (1 - share) * PRESET.misfit
    expected = float(chances(open_need, "off20/email").click[0]) * PRESET.idle_clicks * fit
    assert chances(idle, "off20/email").click[0] == pytest.approx(expected)


def test_attention_follows_the_hours_of_the_day() -> None:
    awake = Behaviour(CATALOGUE, replace(PRESET, attention_by_hour={6: 0.5, 12: 1.0}))
    seen = [
        float(chances(one_user(), "content/push", "mall", hour, awake).see[0])
        for hour in (6, 9, 12)
    ]
    assert seen[1] / seen[2] == pytest.approx(0.75) and seen[0] / seen[2] == pytest.approx(0.5)


def test_a_contact_tires_and_only_a_seen_discount_is_got_used_to() -> None:
    world = SyntheticWorld(2, seed=2)
    actions = np.full(2, CATALOGUE.action_index("off30/push"))
    BEHAVIOUR.tire(world.hidden, np.arange(2), actions, np.asarray([True, False]))
    assert world.hidden.fatigue.tolist() == [PRESET.channels["push"].weight] * 2
    learnt = PRESET.reference_learning * 0.30
    assert world.hidden.reference_discount.tolist() == pytest.approx([learnt, 0.0])


def test_openings_move_forward_for_a_day_after_a_seen_contact() -> None:
    world = one_user()
    moment = world.moment()
    usual = float(BEHAVIOUR.browsing(world.hidden, moment)[0])
    world.hidden.prompted_at[:] = moment.now - DAY + 1
    assert BEHAVIOUR.browsing(world.hidden, moment)[0] == pytest.approx(PRESET.displaced * usual)
    world.hidden.prompted_at[:] = moment.now - DAY
    assert BEHAVIOUR.browsing(world.hidden, moment)[0] == pytest.approx(usual)


def test_a_channel_without_a_nature_is_refused_by_name() -> None:
    text = CATALOGUE.text.replace("name: email", "name: pigeon").replace(
        "channel: email", "channel: pigeon"
    )
    with pytest.raises(InputError, match="pigeon"):
        Behaviour(parse_catalogue(text), PRESET)


def test_categories_that_nobody_needs_are_refused_by_name() -> None:
    text = CATALOGUE.text.replace("[everyday, home]", "[toys, home]")
    with pytest.raises(InputError, match="toys"):
        Behaviour(parse_catalogue(text), PRESET)
