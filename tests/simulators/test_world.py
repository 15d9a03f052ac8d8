from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from envs.clock import NEVER
from envs.decisions import EventKind, Step
from envs.errors import InputError
from envs.rules import Rules
from envs.users import UserState
from simulators.draws import Purpose
from simulators.presets import PRESETS, Preset
from simulators.world import SyntheticWorld

ALWAYS_LOYAL = replace(
    PRESETS["default"],
    archetypes=tuple(replace(kind, loyalty=1.0) for kind in PRESETS["default"].archetypes),
    loyalty_loss=0.0,
    leaving_per_day=0.0,
)
"""People who meet every need here anyway: contacts can only move purchases, and give discounts."""
NOBODY_LEAVES = replace(PRESETS["default"], leaving_per_day=0.0)


def random_allowed(world: SyntheticWorld, rules: Rules) -> NDArray[np.int64]:
    allowed = rules.refusals(world.users, world.moment()) == 0
    weights = np.cumsum(allowed, axis=1)
    draw = world.uniform(Purpose.ACTION) * weights[:, -1]
    return np.argmax(weights > draw[:, None], axis=1)


def live(world: SyntheticWorld, steps: int, silent: bool = False) -> list[Step]:
    rules = Rules(world.catalogue)
    silence = np.zeros(len(world.departed), np.int64)
    played = []
    for _ in range(steps):
        played.append(world.step(silence if silent else random_allowed(world, rules)))
    return played


def sales(played: list[Step]) -> NDArray[np.int64]:
    return np.sum([step.parts.margin_cents > 0 for step in played], axis=0)


def test_the_parts_of_every_step_add_up() -> None:
    world = SyntheticWorld(300, seed=1)
    for step in live(world, 60):
        parts = step.parts
        costs = parts.offer_cost_cents + parts.contact_cost_cents + parts.opt_out_cost_cents
        assert np.array_equal(parts.net_cents(), parts.margin_cents - costs)
        for name in ("margin_cents", "offer_cost_cents", "contact_cost_cents"):
            assert (getattr(parts, name) >= 0).all()
        assert np.isfinite(step.expected_cents).all() and np.isfinite(step.silence_cents).all()
        assert (step.elapsed_days[~step.departed] > 0).all()


def test_what_was_paid_is_what_was_earned() -> None:
    world = SyntheticWorld(400, seed=5)
    played = live(world, 300)
    margin = sum(int(step.parts.margin_cents.sum()) for step in played)
    given = sum(int(step.parts.offer_cost_cents.sum()) for step in played)
    gifts = world.catalogue.offers[world.catalogue.offer_index("gift")].cost_cents
    paid, with_gift = 0, 0
    for step in played:
        bought = step.events.kind == EventKind.BOUGHT
        paid += int(step.events.amount_cents[bought].sum())
        offers = step.events.offer[bought]
        with_gift += int((offers == world.catalogue.offer_index("gift")).sum())
    still = world.hidden.promised_at != NEVER
    paid += int(world.hidden.promised_cents[still].sum())
    actions = world.hidden.promised_action[still]
    gift = world.catalogue.action_offer[actions] == world.catalogue.offer_index("gift")
    with_gift += int(gift.sum())
    list_price = paid + given - gifts * with_gift
    purchases = int(sales(played).sum())
    assert abs(list_price * world.catalogue.margin - margin) <= purchases  # a cent of rounding each


def test_the_same_seed_lives_the_same_life_and_another_does_not() -> None:
    def net(seed: int) -> list[int]:
        played = live(SyntheticWorld(200, seed=seed), 80)
        return [int(step.parts.net_cents().sum()) for step in played]

    assert net(4) == net(4)
    assert net(4) != net(5)


def test_scenes_and_times_do_not_depend_on_the_actions() -> None:
    quiet, busy = SyntheticWorld(200, seed=6), SyntheticWorld(200, seed=6)
    for before, after in zip(live(quiet, 60, silent=True), live(busy, 60), strict=True):
        stayed = ~before.departed & ~after.departed
        assert np.array_equal(before.elapsed_days[stayed], after.elapsed_days[stayed])
    stayed = ~quiet.departed & ~busy.departed
    assert np.array_equal(quiet.moment().scene[stayed], busy.moment().scene[stayed])
    assert np.array_equal(quiet.moment().now[stayed], busy.moment().now[stayed])
    assert np.array_equal(quiet.hidden.ripe[stayed], busy.hidden.ripe[stayed])


def test_contacts_make_no_demand_out_of_nothing() -> None:
    quiet = SyntheticWorld(500, seed=7, preset=ALWAYS_LOYAL)
    busy = SyntheticWorld(500, seed=7, preset=ALWAYS_LOYAL)
    without, contacted = sales(live(quiet, 600, silent=True)), sales(live(busy, 600))
    further = contacted - without
    assert without.sum() > 2000
    assert set(np.unique(further)) <= {0, 1}  # at most the next need, met early
    assert (further == 1).any()


def test_contacts_to_those_who_buy_anyway_lose_money() -> None:
    # nine weeks of 500 users, paired: the loss is tens of standard errors from 0
    quiet = SyntheticWorld(500, seed=8, preset=ALWAYS_LOYAL)
    busy = SyntheticWorld(500, seed=8, preset=ALWAYS_LOYAL)
    without = np.sum([s.parts.net_cents() for s in live(quiet, 600, silent=True)], axis=0)
    contacted = np.sum([s.parts.net_cents() for s in live(busy, 600)], axis=0)
    assert (contacted - without).mean() < 0


def test_contacts_that_sell_nothing_leave_purchases_as_they_are() -> None:
    preset = replace(NOBODY_LEAVES, contact_effect=0.0, loyalty_loss=0.0)
    quiet, busy = (SyntheticWorld(300, seed=9, preset=preset) for _ in range(2))
    without, contacted = sales(live(quiet, 200, silent=True)), sales(live(busy, 200))
    assert np.array_equal(without, contacted)


def test_an_opt_out_leaves_unprompted_purchases_as_they_are() -> None:
    # the loss is charged at the opt-out, so it must not be lived through as well
    quiet, gone = (SyntheticWorld(300, seed=10, preset=NOBODY_LEAVES) for _ in range(2))
    gone.hidden.withdrawn[:] = (1 << len(gone.catalogue.channels)) - 1
    without = live(quiet, 150, silent=True)
    withdrawn = live(gone, 150, silent=True)
    assert np.array_equal(sales(without), sales(withdrawn))


def test_a_channel_that_was_left_is_never_used_again_before_a_return() -> None:
    world = SyntheticWorld(600, seed=11, preset=hot_tempered())
    rules = Rules(world.catalogue)
    left = np.zeros((600, len(world.catalogue.channels)), np.bool_)
    for _ in range(150):
        actions = random_allowed(world, rules)
        contacted = np.flatnonzero(actions > 0)
        channel = world.catalogue.action_channel[actions[contacted]]
        assert not left[contacted, channel].any()
        events = world.step(actions).events
        for kind, value in ((EventKind.OPTED_OUT, True), (EventKind.OPTED_IN, False)):
            of_kind = events.kind == kind
            left[events.row[of_kind], events.channel[of_kind]] = value
    assert left.sum() > 50


def hot_tempered() -> Preset:
    kinds = tuple(replace(kind, temper=0.1) for kind in PRESETS["default"].archetypes)
    return replace(PRESETS["default"], archetypes=kinds, return_per_week=0.2)


def test_conditional_means_are_the_means_of_what_falls() -> None:
    # each difference is a sum of martingale differences: beyond 5 errors once in 1.7e6 runs
    played = live(SyntheticWorld(3000, seed=12), 120)
    surplus = np.sum([s.parts.net_cents() - s.expected_cents for s in played], axis=0)
    assert abs(surplus.mean()) < 5 * surplus.std() / 3000**0.5
    quiet = live(SyntheticWorld(3000, seed=13), 120, silent=True)
    surplus = np.sum([s.parts.net_cents() - s.silence_cents for s in quiet], axis=0)
    assert abs(surplus.mean()) < 5 * surplus.std() / 3000**0.5
    assert all(np.array_equal(s.expected_cents, s.silence_cents) for s in quiet)


def test_action_gains_are_the_expectations_of_the_next_step() -> None:
    world = SyntheticWorld(200, seed=14)
    live(world, 40)
    gains = world.action_gains()
    actions = random_allowed(world, Rules(world.catalogue))
    rows = np.flatnonzero(~world.departed)
    step = world.step(actions)
    told = (step.expected_cents - step.silence_cents)[rows]
    assert np.allclose(gains[rows, actions[rows]], told, atol=1e-9)
    assert not gains[:, 0].any()


def test_rows_that_are_not_active_stand_still() -> None:
    world, rules = SyntheticWorld(100, seed=15), None
    live(world, 30)
    rules = Rules(world.catalogue)
    active = np.arange(100) % 3 > 0
    before = snapshot(world)
    step = world.step(random_allowed(world, rules), active)
    after = snapshot(world)
    for name, values in before.items():
        assert np.array_equal(values[~active], after[name][~active], equal_nan=True), name
    assert not step.parts.net_cents()[~active].any() and not step.elapsed_days[~active].any()
    assert active[step.events.row].all()


def snapshot(world: SyntheticWorld) -> dict[str, NDArray[np.generic]]:
    users = {
        field.name: getattr(world.users, field.name).copy()
        for field in fields(UserState)
        if field.name != "layout"
    }
    moment = world.moment()
    return world.latent() | users | {"scene": moment.scene.copy(), "now": moment.now.copy()}


def test_the_departed_stay_away_until_their_row_is_given_to_another() -> None:
    world = SyntheticWorld(200, seed=16, preset=replace(PRESETS["default"], leaving_per_day=0.2))
    live(world, 60)
    gone = world.departed.copy()
    assert gone.any() and not gone.all()
    now = world.moment().now.copy()
    step = live(world, 1)[0]
    assert step.departed[gone].all() and np.array_equal(world.moment().now[gone], now[gone])
    assert not gone[step.events.row].any()
    rows = np.flatnonzero(gone)
    world.restart(rows, rows + 200)
    assert not world.departed[rows].any()


def test_reported_events_lie_between_the_decision_and_the_next() -> None:
    world = SyntheticWorld(300, seed=17)
    rules = Rules(world.catalogue)
    for _ in range(60):
        before = world.moment()
        events = world.step(random_allowed(world, rules)).events
        assert (events.time >= before.now[events.row]).all()
        assert (events.time < world.moment().now[events.row]).all()


def test_what_is_introduced_is_what_the_service_knows_at_first() -> None:
    world = SyntheticWorld(50, seed=18)
    told = world.introduction()
    assert (told.kind == EventKind.DESCRIBED).sum() == 50
    assert (told.time < world.moment().now[told.row]).all()
    assert told.key.all() and len(np.unique(told.key)) == len(told)
    assert not np.isnan(world.users.attributes).any()


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York", "Europe/Berlin"])
def test_days_follow_the_users_own_clock_through_its_changes(zone: str) -> None:
    preset = replace(PRESETS["small"], time_zone=zone)
    world = SyntheticWorld(100, seed=19, preset=preset, start="2025-03-24T00:00:00Z")
    for _ in range(150):
        before = world.moment()
        elapsed = world.step(np.zeros(100, np.int64)).elapsed_days
        here = ~world.departed
        assert (elapsed[here] * 24 >= 0.25).all() and (elapsed[here] * 24 <= 17).all()
        assert (world.moment().now[here] > before.now[here]).all()
        assert (world.moment().local()[here] % 3600 < 45 * 60).all()


def test_an_unknown_preset_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="atlantis"):
        SyntheticWorld(1, preset="atlantis")
