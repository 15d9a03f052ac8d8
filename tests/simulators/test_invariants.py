"""What holds in every world, whoever plays, for whomever, for however long."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import pytest
from gymnasium.vector import VectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from envs.clock import DAY, NEVER
from envs.decisions import EventKind, Events, Step
from envs.rewards import RewardParts
from envs.rules import Rules, reserve_cents
from simulators.draws import Purpose
from simulators.make import offer_vector_env
from simulators.presets import Preset, find_preset, preset_names
from simulators.stress.named import stressed
from simulators.world import SyntheticWorld

STRESSES = (
    (),
    ("drift:0.2", "price_shock:0.5:2", "seasonal_shock:4:1:9"),
    ("failed_channel:email:0:3", "missing_signals:0.5"),
)
"""Delayed feedback is left out: it moves money in time (see ``test_stress``)."""
KINDS = ("silence", "uniform", "eager", "faithful")


@dataclass(frozen=True, slots=True)
class Setting:
    """Which world is played, and how."""

    seed: int
    preset: Preset
    stress: tuple[str, ...]
    kind: str
    users: int
    steps: int

    def world(self, rows: int | None = None) -> SyntheticWorld:
        inside = SyntheticWorld(self.users if rows is None else rows, self.seed, self.preset)
        return stressed(inside, self.stress)

    def env(self, **arguments: float) -> VectorEnv:
        return offer_vector_env(self.users, self.preset, stress=self.stress, **arguments)


def restless(name: str) -> Preset:
    """The preset with what is rare in it made frequent: opt-outs, departures, late purchases."""
    preset = find_preset(name)
    return replace(
        preset,
        archetypes=tuple(replace(kind, temper=0.3) for kind in preset.archetypes),
        needs_factor=4.0,
        click_to_buy=0.9,
        returned=0.5,
        later_share=0.7,
        return_per_week=1.0,
        leaving_per_day=0.1,
    )


MAKERS = (find_preset, restless)
settings_of_worlds = st.builds(
    Setting,
    seed=st.integers(0, 2**32),
    preset=st.sampled_from([make(name) for make in MAKERS for name in preset_names()]),
    stress=st.sampled_from(STRESSES),
    kind=st.sampled_from(KINDS),
    users=st.integers(1, 16),
    steps=st.integers(1, 60),
)
few = settings(max_examples=5, deadline=None)


def chosen(kind: str, allowed: NDArray[np.bool_], draw: NDArray[np.float64]) -> NDArray[np.int64]:
    """An allowed action a row: none, any, any but silence, or the last one."""
    if kind == "silence":
        return np.zeros(len(allowed), np.int64)
    if kind == "faithful":
        return allowed.shape[1] - 1 - np.argmax(allowed[:, ::-1], axis=1)
    weights = allowed.astype(np.int64)
    if kind == "eager":
        weights[:, 0] = allowed.sum(axis=1) == 1
    heap = np.cumsum(weights, axis=1)
    return np.argmax(heap > (draw * heap[:, -1])[:, None], axis=1)


class Life:
    """A world being played; keeps what it did last."""

    def __init__(self, world: SyntheticWorld, kind: str) -> None:
        self.world, self._kind = world, kind
        self._rules = Rules(world.catalogue)
        self.actions = np.zeros(len(world.departed), np.int64)

    def step(self, active: NDArray[np.bool_] | None = None) -> Step:
        world = self.world
        refused = self._rules.refusals(world.users, world.moment(), world.budget_left())
        self.actions = chosen(self._kind, refused == 0, world.uniform(Purpose.ACTION))
        return world.step(self.actions, active)


@given(settings_of_worlds)
@few
def test_nothing_is_ever_not_a_number(setting: Setting) -> None:
    life = Life(setting.world(), setting.kind)
    for _ in range(setting.steps):
        step = life.step()
        for values in (step.expected_cents, step.silence_cents, step.elapsed_days):
            assert np.isfinite(values).all()
        for name, values in life.world.latent().items():
            assert np.isfinite(values).all(), name
        assert (step.elapsed_days[~step.departed] > 0).all()


@given(settings_of_worlds)
@few
def test_the_gain_foretold_of_an_action_is_the_one_that_comes(setting: Setting) -> None:
    life, place = Life(setting.world(), setting.kind), np.arange(setting.users)
    for _ in range(setting.steps):
        here, gains = ~life.world.departed, life.world.action_gains()
        assert np.isfinite(gains).all() and not gains[:, 0].any()
        last = np.full(setting.users, gains.shape[1] - 1)
        assert np.array_equal(life.world.gains(place, last), gains[:, -1])
        step = life.step()
        came = step.expected_cents - step.silence_cents
        assert np.allclose(gains[place, life.actions][here], came[here], atol=1e-9)


@given(settings_of_worlds, st.sampled_from((0.0, 0.25, 3.0)))
@few
def test_every_cent_of_reward_is_in_the_parts_that_info_tells(
    setting: Setting, budget_price: float
) -> None:
    env = setting.env(budget_price=budget_price, days=3.0)
    observation, _ = env.reset(seed=setting.seed)
    rng = np.random.default_rng(setting.seed)
    for _ in range(setting.steps):
        mask = observation["action_mask"] == 1
        actions = chosen(setting.kind, mask, rng.random(setting.users))
        observation, reward, _, _, info = env.step(actions)
        assert np.isfinite(observation["observations"]).all()
        spend = info["offer_cost_cents"] + info["contact_cost_cents"]
        net = info["margin_cents"] - spend - info["opt_out_cost_cents"]
        assert np.array_equal(info["net_cents"], net)
        assert np.array_equal(info["spend_cents"], spend)
        assert np.array_equal(reward, net - budget_price * spend)  # quarters of cents are exact
        assert np.array_equal(net, np.rint(net))


@given(settings_of_worlds)
@few
def test_a_refused_action_is_silence_on_the_same_luck(setting: Setting) -> None:
    rude, silent = setting.env(days=2.0), setting.env(days=2.0)
    observation, _ = rude.reset(seed=setting.seed)
    silent.reset(seed=setting.seed)
    for _ in range(setting.steps):
        forbidden = np.argmin(observation["action_mask"], axis=1)  # 0 where all is allowed
        observation, *result, info = rude.step(forbidden)
        expected, *same, told = silent.step(np.zeros(setting.users, np.int64))
        assert np.array_equal(observation["observations"], expected["observations"])
        assert np.array_equal(observation["action_mask"], expected["action_mask"])
        assert all(np.array_equal(mine, theirs) for mine, theirs in zip(result, same, strict=True))
        assert all(np.array_equal(info[name], told[name]) for name in told)


class Books:
    """What was paid, earned and given, by user, [N]."""

    def __init__(self, life: Life) -> None:
        self._life, n = life, len(life.world.departed)
        catalogue = life.world.catalogue
        gifts = [offer.kind == "gift" for offer in catalogue.offers]
        self._gift = np.asarray([*gifts, False])[catalogue.action_offer]  # silence is the last
        self.paid, self.margin, self.taken_off, self.purchases = np.zeros((4, n), np.int64)

    def enter(self, step: Step) -> None:
        parts = step.parts
        sold = parts.margin_cents > 0
        self.purchases += sold
        self.margin += parts.margin_cents
        self.taken_off += np.where(self._gift[self._life.actions], 0, parts.offer_cost_cents)
        for kind, sign in ((EventKind.BOUGHT, 1), (EventKind.REFUNDED, -1)):
            which = step.events.kind == kind
            cents = step.events.amount_cents[which].astype(np.int64)
            np.add.at(self.paid, step.events.row[which], sign * cents)

    def outstanding(self) -> NDArray[np.int64]:
        """Purchases that are settled and not made yet, less what will be brought back."""
        hidden = self._life.world.hidden
        promised = np.where(hidden.promised_at != NEVER, hidden.promised_cents, 0)
        back = np.where(hidden.refund_at != NEVER, hidden.refund_cents, 0)
        return promised.astype(np.int64) - back


@given(settings_of_worlds)
@few
def test_what_was_paid_and_not_paid_back_is_what_was_earned(setting: Setting) -> None:
    life = Life(setting.world(), setting.kind)
    books, margin = Books(life), life.world.catalogue.margin
    for _ in range(2 * setting.steps):
        books.enter(life.step())
    list_price = books.paid + books.outstanding() + books.taken_off
    off = np.abs(list_price * margin - books.margin)
    assert (off <= 0.5 * books.purchases + 1e-6).all()  # each margin is rounded to a cent


@given(settings_of_worlds)
@few
def test_a_channel_that_was_left_is_not_seen_before_a_return(setting: Setting) -> None:
    life = Life(setting.world(), setting.kind)
    left = np.zeros((setting.users, len(life.world.catalogue.channels)), np.bool_)
    for _ in range(setting.steps):
        events = life.step().events
        channel = life.world.catalogue.action_channel.take(life.actions)
        contacted = np.flatnonzero(life.actions > 0)
        assert not left[contacted, channel[contacted]].any()
        seen = np.isin(events.kind, (EventKind.OPENED, EventKind.CLICKED, EventKind.DISMISSED))
        assert not left[events.row[seen], events.channel[seen]].any()
        for kind, value in ((EventKind.OPTED_OUT, True), (EventKind.OPTED_IN, False)):
            which = events.kind == kind
            left[events.row[which], events.channel[which]] = value


@given(settings_of_worlds)
@few
def test_the_service_knows_who_may_be_contacted_through_what(setting: Setting) -> None:
    life = Life(setting.world(), setting.kind)
    channels = np.arange(len(life.world.catalogue.channels), dtype=np.uint16)
    for _ in range(setting.steps):
        life.step()
        held = life.world.traits.consents & ~life.world.hidden.withdrawn
        truth = (held[:, None] >> channels & 1).astype(np.bool_)
        assert np.array_equal(life.world.users.consents(), truth)


@given(settings_of_worlds)
@few
def test_no_need_is_met_twice_and_none_comes_of_nothing(setting: Setting) -> None:
    life = Life(setting.world(), setting.kind)
    needs, purchases = np.zeros((2, setting.users), np.int64)
    for _ in range(setting.steps):
        ripe = life.world.hidden.ripe.copy()
        margin = life.step().parts.margin_cents
        hidden = life.world.hidden
        purchases += margin > 0
        needs += ripe & ~hidden.ripe
        assert not hidden.served[ripe & ~hidden.ripe].any()
        assert (purchases <= needs + hidden.served).all()


@given(settings_of_worlds)
@few
def test_what_is_reported_happened_between_two_scenes(setting: Setting) -> None:
    life = Life(setting.world(), setting.kind)
    for _ in range(setting.steps):
        now = life.world.moment().now.copy()
        events = life.step().events
        then, at_arrival = life.world.moment().now[events.row], events.kind == EventKind.DESCRIBED
        assert (events.time >= now[events.row]).all()
        assert (events.time < then)[~at_arrival].all()
        assert (events.time == then)[at_arrival].all()


@given(settings_of_worlds)
@few
def test_the_purse_holds_the_budget_less_what_was_spent(setting: Setting) -> None:
    preset = replace(setting.preset, budget_cents_per_user_week=20.0)
    world = stressed(SyntheticWorld(setting.users, setting.seed, preset), setting.stress)
    life, spent = Life(world, setting.kind), np.zeros(setting.users)
    rules = Rules(world.catalogue)
    for _ in range(setting.steps):
        left = life.world.budget_left()
        due = 20.0 * (world.moment().now - world.start_s) / (7 * DAY)
        assert np.allclose(left, np.maximum(due - spent, 0))
        free = rules.refusals(world.users, world.moment())
        spent += life.step().parts.spend_cents()
        assert (reserve_cents(world.catalogue)[life.actions] <= left).all()
        assert not free[np.arange(setting.users), life.actions].any()
    fresh, started = setting.world(), np.arange(setting.users)
    world.restart(started, started)
    weeks = (fresh.moment().now - world.start_s) / (7 * DAY)
    assert np.allclose(world.budget_left(), 20.0 * weeks)


@given(settings_of_worlds)
@few
def test_fatigue_is_made_by_contacts_alone(setting: Setting) -> None:
    life = Life(setting.world(), setting.kind)
    heaviest = max(nature.weight for nature in setting.preset.channels.values())
    before = life.world.latent()["fatigue"]
    assert not before.any()
    for _ in range(setting.steps):
        life.step()
        after = life.world.latent()["fatigue"]
        assert (after >= 0).all()
        assert (after <= before + heaviest * (life.actions > 0) * (1 + 1e-6)).all()
        before = after


@given(settings_of_worlds)
@few
def test_the_departed_never_act_and_nothing_befalls_them(setting: Setting) -> None:
    life = Life(setting.world(), setting.kind)
    for _ in range(setting.steps):
        gone = life.world.departed.copy()
        now = life.world.moment().now.copy()
        step = life.step()
        assert step.departed[gone].all()
        assert np.array_equal(life.world.moment().now[gone], now[gone])
        assert not step.parts.net_cents()[gone].any() and not step.expected_cents[gone].any()
        assert not step.elapsed_days[gone].any() and not gone[step.events.row].any()


def everything(step: Step, world: SyntheticWorld) -> dict[str, NDArray[np.generic]]:
    """Whatever a step gave, by name, arrays [N]."""
    parts = {field.name: getattr(step.parts, field.name) for field in fields(RewardParts)}
    means = {"expected": step.expected_cents, "silence": step.silence_cents}
    codes = world.signals().codes()
    return parts | means | world.latent() | codes | {"departed": step.departed}


def of_row(events: Events, row: int) -> list[tuple[float, ...]]:
    own = events.take(events.row == row)
    columns = (own.kind, own.time, own.scene, own.channel, own.offer, own.amount_cents)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@given(settings_of_worlds, st.randoms(use_true_random=False))
@few
def test_neither_the_order_of_rows_nor_their_number_matters(
    setting: Setting, random: object
) -> None:
    ids = np.arange(100, 100 + setting.users)
    order = ids.copy()
    random.shuffle(order)  # type: ignore[attr-defined]
    together, apart = setting.world(), setting.world(setting.users + 3)
    place = np.arange(setting.users)
    together.restart(place, ids)
    apart.restart(place + 3, order)
    active = np.arange(setting.users + 3) >= 3
    lives = Life(together, setting.kind), Life(apart, setting.kind)
    where = 3 + np.argsort(order, kind="stable")  # row of each person in the other world
    for _ in range(min(setting.steps, 40)):
        first, second = lives[0].step(), lives[1].step(active)
        theirs = everything(second, apart)
        for name, values in everything(first, together).items():
            assert np.array_equal(values, theirs[name][where], equal_nan=True), name
        for row in range(setting.users):
            assert of_row(first.events, row) == of_row(second.events, int(where[row]))


@given(settings_of_worlds)
@few
def test_those_who_are_left_in_silence_live_as_if_nobody_were_contacted(setting: Setting) -> None:
    busy, quiet = setting.world(), setting.world()
    rules, spared = Rules(busy.catalogue), np.arange(setting.users) % 2 == 0
    for _ in range(setting.steps):
        refused = rules.refusals(busy.users, busy.moment(), busy.budget_left())
        actions = chosen("uniform", refused == 0, busy.uniform(Purpose.ACTION))
        mixed = busy.step(np.where(spared, 0, actions))
        silent = quiet.step(np.zeros(setting.users, np.int64))
        assert np.array_equal(silent.expected_cents, silent.silence_cents)
        here = ~busy.departed & ~quiet.departed  # the path is the same for everybody
        assert np.array_equal(busy.moment().scene[here], quiet.moment().scene[here])
        assert np.array_equal(busy.moment().now[here], quiet.moment().now[here])
        theirs = everything(silent, quiet)
        for name, values in everything(mixed, busy).items():
            assert np.array_equal(values[spared], theirs[name][spared], equal_nan=True), name


def alike(**numbers: float) -> Preset:
    """One kind of people without spread, whose baskets are all the same."""
    preset = find_preset("small")
    kind = replace(
        preset.archetypes[0],
        loyalty=0.8,
        temper=0.02,
        tiring=0.0,
        gift_liking=2.0,
        reach_interrupting=5.0,
        reach_waiting=5.0,
    )
    calm = {"basket_spread": 0.0, "leaving_per_day": 0.0} | numbers
    return replace(preset, archetypes=(kind,), **calm)


STRONG = {
    "sales": alike(needs_factor=8.0, click_to_buy=0.5, place_pull=0.0, returned=0.3),
    "opt-outs": alike(needs_factor=0.001, return_per_week=0.5),
}
"""Worlds in which one term of the conditional mean outweighs the noise of all others."""


@pytest.mark.slow
@pytest.mark.parametrize("effect", STRONG)
def test_strong_effects_are_in_the_conditional_means(effect: str) -> None:
    # sums of martingale differences: beyond five errors once in 1.7e6 runs
    world = SyntheticWorld(10_000, 18, STRONG[effect])
    always = np.full(10_000, world.catalogue.action_index("gift/email"))
    played = [world.step(always) for _ in range(60)]
    surplus = np.sum([step.parts.net_cents() - step.expected_cents for step in played], axis=0)
    assert abs(surplus.mean()) < 5 * surplus.std() / 10_000**0.5


def test_a_contact_that_can_do_nothing_is_worth_what_its_send_costs() -> None:
    preset = find_preset("budget")
    kinds = tuple(replace(kind, temper=0.0) for kind in preset.archetypes)
    life = Life(
        SyntheticWorld(200, 19, replace(preset, archetypes=kinds, contact_effect=0.0)), "eager"
    )
    played = [life.step() for _ in range(30)]
    for step in played:
        lost = step.silence_cents - step.expected_cents
        assert np.allclose(lost, step.parts.contact_cost_cents)
    assert sum(int(step.parts.contact_cost_cents.sum()) for step in played) > 1000


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["silence", "uniform"])
@pytest.mark.parametrize(
    ("preset", "stress"),
    [(name, ()) for name in preset_names()] + [("default", stress) for stress in STRESSES[1:]],
)
def test_conditional_means_add_up_to_what_falls(
    preset: str, kind: str, stress: tuple[str, ...]
) -> None:
    # sums of martingale differences. Beyond five errors once in 1.7e6 runs were they normal; with
    # the hundred purchases of `sparse` about once in 1e5; there are 16 such tests
    users = 20_000 if preset == "sparse" else 2000
    life = Life(stressed(SyntheticWorld(users, 17, preset), stress), kind)
    played = [life.step() for _ in range(120)]
    surplus = np.sum([step.parts.net_cents() - step.expected_cents for step in played], axis=0)
    assert sum(int((step.parts.margin_cents > 0).sum()) for step in played) > 50
    assert abs(surplus.mean()) < 5 * surplus.std() / users**0.5
