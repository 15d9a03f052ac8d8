from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from envs.clock import NEVER
from envs.decisions import EventKind, Step
from envs.rules import Rules
from envs.users import UserState
from simulators.draws import Purpose
from simulators.presets import Preset, find_preset
from simulators.world import SyntheticWorld

pytestmark = pytest.mark.slow

DEFAULT = find_preset("default")
ALWAYS_LOYAL = replace(
    DEFAULT,
    archetypes=tuple(replace(kind, loyalty=1.0) for kind in DEFAULT.archetypes),
    loyalty_loss=0.0,
    leaving_per_day=0.0,
    returned=0.0,
)
"""People who meet every need here anyway: contacts can only move purchases, and give discounts."""
NOBODY_LEAVES = replace(DEFAULT, leaving_per_day=0.0, returned=0.0)


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
    world = SyntheticWorld(400, seed=5, preset=replace(DEFAULT, returned=0.0))
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


def paid_in(played: list[Step], kind: EventKind) -> int:
    return sum(int(s.events.amount_cents[s.events.kind == kind].sum()) for s in played)


def test_what_is_returned_earns_nothing_and_is_paid_back() -> None:
    world = SyntheticWorld(400, seed=5, preset=replace(DEFAULT, returned=1.0))
    played = live(world, 200)
    for step in played:
        assert not step.parts.margin_cents.any() and not step.parts.offer_cost_cents.any()
    bought, refunded = paid_in(played, EventKind.BOUGHT), paid_in(played, EventKind.REFUNDED)
    still = int(world.hidden.promised_cents[world.hidden.promised_at != NEVER].sum())
    assert refunded > bought / 4 > 0
    assert bought + still - refunded == world.hidden.refund_cents.sum()


def test_a_share_of_the_purchases_is_returned_after_them() -> None:
    preset = replace(DEFAULT, returned=0.3, leaving_per_day=0.0)
    world = SyntheticWorld(600, seed=20, preset=preset)
    played = live(world, 400, silent=True)
    bought = np.concatenate([s.events.row[s.events.kind == EventKind.BOUGHT] for s in played])
    earned = sum(int((s.parts.margin_cents > 0).sum()) for s in played)
    # beyond 5 errors of the binomial law once in 1.7e6 runs
    assert abs(1 - earned / len(bought) - 0.3) < 5 * (0.21 / len(bought)) ** 0.5
    last = np.full(600, -1)
    for step in played:
        for kind in (EventKind.BOUGHT, EventKind.REFUNDED):
            events = step.events.take(step.events.kind == kind)
            if kind == EventKind.REFUNDED:
                assert (last[events.row] >= 0).all() and (events.amount_cents > 0).all()
                assert (events.time >= last[events.row]).all()
            else:
                first = last[events.row] < 0
                last[events.row[first]] = events.time[first]


def test_a_second_promise_brings_the_first_forward() -> None:
    # every click sells, days later, and needs follow each other fast
    kinds = tuple(replace(kind, needs_per_week=20.0) for kind in DEFAULT.archetypes)
    eager = replace(
        NOBODY_LEAVES, archetypes=kinds, later_share=1.0, later_days=30.0, click_to_buy=1.0
    )
    world = SyntheticWorld(300, seed=21, preset=eager)
    rules, forward = Rules(world.catalogue), 0
    for _ in range(240):
        before, promised = world.moment(), world.hidden.promised_at.copy()
        paid = world.hidden.promised_cents.copy()
        step = world.step(random_allowed(world, rules))
        events = step.events.take((step.events.kind == EventKind.BOUGHT) & (step.events.offer >= 0))
        early = events.take(events.time < promised[events.row])
        assert (early.time == before.now[early.row]).all()
        assert (early.amount_cents == paid[early.row]).all()
        assert (world.hidden.promised_at[early.row] != NEVER).all()
        forward += len(early)
    assert forward > 5


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


@pytest.fixture(scope="module")
def loyal_lives() -> tuple[list[Step], list[Step]]:
    """Nine weeks of 500 users who buy anyway: left alone, and contacted."""
    quiet, busy = (SyntheticWorld(500, seed=7, preset=ALWAYS_LOYAL) for _ in range(2))
    return live(quiet, 600, silent=True), live(busy, 600)


@pytest.mark.slow
def test_contacts_make_no_demand_out_of_nothing(
    loyal_lives: tuple[list[Step], list[Step]],
) -> None:
    without, contacted = (sales(played) for played in loyal_lives)
    further = contacted - without
    assert without.sum() > 2000
    assert set(np.unique(further)) <= {0, 1}  # at most the next need, met early
    assert (further == 1).any()


@pytest.mark.slow
def test_contacts_to_those_who_buy_anyway_lose_money(
    loyal_lives: tuple[list[Step], list[Step]],
) -> None:
    # paired: the loss is tens of standard errors from 0
    without, contacted = (
        np.sum([step.parts.net_cents() for step in played], axis=0) for played in loyal_lives
    )
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


def test_who_opts_out_loses_the_whole_group_and_each_channel_is_charged() -> None:
    world = SyntheticWorld(600, seed=11, preset=hot_tempered())
    catalogue, rules, seen = world.catalogue, Rules(world.catalogue), 0
    groups = np.asarray([world.preset.channels[c.name].group for c in catalogue.channels])
    costs = np.asarray([channel.opt_out_cost_cents for channel in catalogue.channels])
    for _ in range(60):
        held = world.users.consents().copy()
        actions = random_allowed(world, rules)
        step = world.step(actions)
        gone = step.events.take(step.events.kind == EventKind.OPTED_OUT)
        lost = np.zeros_like(held)
        lost[gone.row, gone.channel] = True
        rows = np.flatnonzero(lost.any(axis=1))
        group = groups[catalogue.action_channel[actions[rows]]]
        assert np.array_equal(lost[rows], held[rows] & (groups == group[:, None]))
        charged = step.parts.opt_out_cost_cents
        assert np.array_equal(charged[rows], lost[rows] @ costs)
        assert not np.delete(charged, rows).any()
        seen += len(rows)
    assert seen > 50


def test_a_purse_fills_with_the_weeks_and_pays_for_what_is_sent() -> None:
    preset = find_preset("budget")
    world = SyntheticWorld(100, seed=22, preset=preset)
    rules, spent = Rules(world.catalogue), np.zeros(100)
    for _ in range(200):
        left = world.budget_left()
        weeks = (world.moment().now - world.start_s) / (7 * 86_400)
        filled = preset.budget_cents_per_user_week * weeks
        assert np.allclose(left, np.maximum(filled - spent, 0))
        allowed = rules.refusals(world.users, world.moment(), left) == 0
        draw = world.uniform(Purpose.ACTION) * allowed.sum(axis=1)
        actions = np.argmax(np.cumsum(allowed, axis=1) > draw[:, None], axis=1)
        spent += world.step(actions).parts.spend_cents()
    refused = rules.refusals(world.users, world.moment(), left) != 0
    assert refused.any() and spent.sum() > 0
    assert SyntheticWorld(1).budget_left() == np.inf


def test_people_can_be_given_other_traits_and_keep_their_luck() -> None:
    world = SyntheticWorld(50, seed=23)
    one = world.traits.take(np.full(50, 7))
    moment = world.moment()
    world.restart(np.arange(50), np.arange(50), one)
    assert (world.traits.needs_per_week == one.needs_per_week[0]).all()
    same = world.traits.routine == SyntheticWorld(50, seed=23).traits.routine
    assert np.array_equal(world.moment().now[same], moment.now[same])
    assert len(np.unique(world.moment().now)) > 10


def test_all_that_an_app_reports_happens() -> None:
    world = SyntheticWorld(2000, seed=24, preset=hot_tempered())
    counts = np.zeros(len(EventKind), np.int64)
    for step in live(world, 150):
        counts += np.bincount(step.events.kind, minlength=len(EventKind))
    told = {EventKind(kind).name for kind in np.flatnonzero(counts)}
    implied = {"CONTACTED", "SCENE_ENTERED", "DWELT", "DESCRIBED"}
    assert told == {kind.name for kind in EventKind} - implied


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
    kinds = tuple(replace(kind, temper=0.1) for kind in DEFAULT.archetypes)
    return replace(DEFAULT, archetypes=kinds, return_per_week=0.2)


@pytest.mark.slow
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
    world = SyntheticWorld(200, seed=16, preset=replace(DEFAULT, leaving_per_day=0.2))
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
    preset = replace(find_preset("small"), time_zone=zone)
    world = SyntheticWorld(100, seed=19, preset=preset, start="2025-03-24T00:00:00Z")
    for _ in range(150):
        before = world.moment()
        elapsed = world.step(np.zeros(100, np.int64)).elapsed_days
        here = ~world.departed
        assert (elapsed[here] * 24 >= 0.25).all() and (elapsed[here] * 24 <= 17).all()
        assert (world.moment().now[here] > before.now[here]).all()
        assert (world.moment().local()[here] % 3600 < 45 * 60).all()
