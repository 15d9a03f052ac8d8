from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from numpy.typing import NDArray

import simulators  # noqa: F401 (registers the environment)
from envs.clock import DAY
from envs.decisions import EventKind, Events, Step
from envs.errors import InputError
from envs.rules import Rules
from simulators.draws import Purpose
from simulators.presets import Preset, find_preset
from simulators.rollout import rollout
from simulators.signals import MISSING
from simulators.stress.altered import Drift, PriceShock, SeasonalShock
from simulators.stress.delays import DelayedFeedback
from simulators.stress.failures import FailedChannel, MissingSignals
from simulators.stress.named import STRESSES, stressed, usages
from simulators.world import SyntheticWorld

HARMLESS = (
    "drift:0",
    "seasonal_shock:1:0:99",
    "price_shock:0:0",
    "failed_channel:push:3:3",
    "missing_signals:0",
    "delayed_feedback:0",
)
HARMFUL = (
    "drift:0.2",
    "seasonal_shock:3:2:9",
    "price_shock:0.5:3",
    "failed_channel:email:1:9",
    "missing_signals:0.5",
    "delayed_feedback:30",
)


class Chooses:
    """Chances that depend on all that is observed, so that whatever a stress touches shows."""

    name = "chooses"

    def probabilities(
        self, observations: NDArray[np.float32], mask: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        weights = mask * (1.5 + np.sin(observations.sum(axis=1)))[:, None] ** np.arange(
            mask.shape[1]
        )
        chances: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
        return chances


@cache
def trace_hash(specs: tuple[str, ...], rows: int = 12) -> str:
    world = stressed(SyntheticWorld(rows, 3, "small"), specs)
    return rollout(world, Chooses(), np.arange(12), 10).info.content_hash


def live(world: SyntheticWorld, steps: int, action: int | None = None) -> list[Step]:
    """Random allowed actions, or always the same one, allowed or not."""
    rules, n = Rules(world.catalogue), len(world.departed)
    played = []
    for _ in range(steps):
        allowed = np.cumsum(rules.refusals(world.users, world.moment()) == 0, axis=1)
        draw = world.uniform(Purpose.ACTION) * allowed[:, -1]
        actions = np.argmax(allowed > draw[:, None], axis=1)
        played.append(world.step(actions if action is None else np.full(n, action)))
    return played


def total(played: list[Step], name: str) -> NDArray[np.int64]:
    return np.sum([getattr(step.parts, name) for step in played], axis=0)


@pytest.mark.slow
def test_a_stress_of_no_strength_changes_no_bit() -> None:
    assert trace_hash(HARMLESS) == trace_hash(HARMLESS[::-1]) == trace_hash(())


@pytest.mark.parametrize("spec", HARMFUL)
def test_a_stress_of_some_strength_changes_something(spec: str) -> None:
    assert trace_hash((spec,)) != trace_hash(())


@pytest.mark.slow
@pytest.mark.parametrize("specs", [HARMFUL, HARMFUL[::-1]], ids=["in order", "reversed"])
def test_stresses_compose_and_do_not_depend_on_the_batch(specs: tuple[str, ...]) -> None:
    assert trace_hash(specs) == trace_hash(specs, rows=5)


@pytest.mark.slow
@pytest.mark.parametrize("spec", HARMFUL)
def test_scenes_and_times_are_those_of_the_calm_world(spec: str) -> None:
    calm, rough = SyntheticWorld(60, 5), stressed(SyntheticWorld(60, 5), [spec])
    for before, after in zip(live(calm, 100), live(rough, 100), strict=True):
        stayed = ~before.departed & ~after.departed
        assert np.array_equal(before.elapsed_days[stayed], after.elapsed_days[stayed])
    stayed = ~calm.departed & ~rough.departed
    assert np.array_equal(calm.moment().scene[stayed], rough.moment().scene[stayed])
    assert np.array_equal(calm.moment().now[stayed], rough.moment().now[stayed])


@pytest.mark.slow
def test_traits_drift_apart_as_the_square_root_of_the_weeks() -> None:
    # variances of 1500 normal numbers: beyond five errors about once in 1e6 runs
    world = Drift(SyntheticWorld(1500, 2), 0.1)
    born = world.traits
    live(world, 250, action=0)
    weeks = (world.moment().now - world.start_s) // (7 * DAY)
    here = weeks == 3
    assert here.sum() > 1000
    now = world.altered(born, world.moment())
    for name in ("needs_per_week", "tiring", "reach_waiting"):
        steps = np.log(getattr(now, name) / getattr(born, name))[here]
        own = 3 * 0.1**2 / 2  # the other half of the variance is shared, so the same for all
        assert abs(steps.var() / own - 1) < 5 * np.sqrt(2 / here.sum())
        assert abs(steps.mean()) < 5 * np.sqrt(own)
    assert ((now.loyalty > 0) & (now.loyalty < 1)).all()
    assert ((now.forgiving >= 0) & (now.forgiving < 1)).all()
    assert np.array_equal(world.traits.needs_per_week, born.needs_per_week)


def test_new_people_have_not_drifted() -> None:
    world = Drift(SyntheticWorld(20, 2), 0.1)
    live(world, 120, action=0)
    rows = np.arange(10)
    world.restart(rows, rows + 20)
    now = world.altered(world.traits, world.moment())
    changed = now.needs_per_week != world.traits.needs_per_week
    assert not changed[:10].any() and changed[10:].all()


@pytest.mark.slow
def test_a_season_of_more_need_brings_more_purchases_and_only_then() -> None:
    calm = SyntheticWorld(800, 6)
    season = SeasonalShock(SyntheticWorld(800, 6), 3, 5, 15)
    margins = []
    for _ in range(150):
        days = (calm.moment().now - calm.start_s) / DAY
        silence = np.zeros(800, np.int64)
        usual, more = calm.step(silence), season.step(silence)
        before = (days < 5) & ~usual.departed
        assert np.array_equal(usual.parts.margin_cents[before], more.parts.margin_cents[before])
        assert np.array_equal(usual.silence_cents[before], more.silence_cents[before])
        margins.append(more.parts.margin_cents - usual.parts.margin_cents)
    further = np.sum(margins, axis=0)
    # with no effect the mean would fall beyond five errors once in 1.7e6 runs
    assert further.mean() > 5 * further.std() / 800**0.5


def test_a_season_multiplies_the_needs_of_its_days_alone() -> None:
    world = SeasonalShock(SyntheticWorld(50, 6), 0.25, 2, 4)
    for _ in range(60):
        moment = world.moment()
        days = (moment.now - world.start_s) / DAY
        factor = world.altered(world.traits, moment).needs_per_week / world.traits.needs_per_week
        assert np.array_equal(factor, np.where((days >= 2) & (days < 4), 0.25, 1))
        live(world, 1)


@pytest.mark.slow
def test_a_rival_takes_unprompted_purchases_and_adds_none() -> None:
    calm, cheap = SyntheticWorld(500, 7), PriceShock(SyntheticWorld(500, 7), 0.6, 4)
    lost = 0
    for _ in range(150):
        later = (calm.moment().now - calm.start_s) / DAY >= 4
        silence = np.zeros(500, np.int64)
        usual, fewer = calm.step(silence), cheap.step(silence)
        left = np.where(later, 1 - 0.6, 1)
        assert np.allclose(fewer.silence_cents, usual.silence_cents * left, rtol=1e-5)
        kept = fewer.parts.margin_cents
        assert ((kept == 0) | (kept == usual.parts.margin_cents)).all()
        assert np.array_equal(kept[~later], usual.parts.margin_cents[~later])
        lost += int((kept < usual.parts.margin_cents).sum())
    assert lost > 50


def sms(world: SyntheticWorld) -> int:
    return world.catalogue.action_index("content/sms")


def test_contacts_through_a_failed_channel_are_silence_that_costs() -> None:
    silent, failing = SyntheticWorld(200, 8), FailedChannel(SyntheticWorld(200, 8), "sms", 0, 99)
    action = sms(failing)
    cents = int(failing.send_cents[action])
    assert cents > 0
    for _ in range(40):
        here = ~failing.departed
        sent, none = live(failing, 1, action)[0], live(silent, 1, 0)[0]
        assert np.array_equal(sent.parts.contact_cost_cents, np.where(here, cents, 0))
        assert np.array_equal(sent.parts.margin_cents, none.parts.margin_cents)
        assert np.array_equal(sent.expected_cents, none.expected_cents - np.where(here, cents, 0))
        assert np.array_equal(sent.silence_cents, none.silence_cents)
        assert not np.isin(sent.events.kind, (EventKind.OPENED, EventKind.CLICKED)).any()
    for name, values in silent.latent().items():
        assert np.array_equal(values, failing.latent()[name], equal_nan=True), name


def test_contacts_through_a_failed_channel_count_against_the_caps() -> None:
    world = FailedChannel(SyntheticWorld(50, 8), "sms", 0, 99)
    rules, action = Rules(world.catalogue), sms(world)
    live(world, 1, action)
    reasons = {
        rule
        for bits in rules.refusals(world.users, world.moment())
        for rule in rules.explain(bits[action])
    }
    assert any("sms_a_week" in reason for reason in reasons)


def test_a_channel_fails_between_its_days_only_and_no_other_fails() -> None:
    calm, failing = SyntheticWorld(300, 9), FailedChannel(SyntheticWorld(300, 9), "push", 2, 4)
    action, other = (calm.catalogue.action_index(f"gift/{name}") for name in ("push", "email"))
    opened = np.zeros(2)
    for _ in range(60):
        days = (failing.moment().now - failing.start_s) / DAY
        fails = (days >= 2) & (days < 4)
        gains = failing.action_gains()
        assert (gains[fails, action] == -failing.send_cents[action]).all()
        assert (gains[~fails, action] != -failing.send_cents[action]).all()
        assert (gains[:, other] != -failing.send_cents[other]).any()
        events = live(failing, 1, action)[0].events
        rows = events.row[events.kind == EventKind.OPENED]
        opened += fails[rows].sum(), (~fails[rows]).sum()
    assert opened[0] == 0 and opened[1] > 100


def test_money_wasted_on_a_failed_channel_is_gone_from_the_purse() -> None:
    preset = replace(find_preset("default"), budget_cents_per_user_week=360.0)
    world = FailedChannel(SyntheticWorld(20, 8, preset), "sms", 0, 99)
    live(world, 15, sms(world))
    weeks = (world.moment().now - world.start_s) / (7 * DAY)
    spent, here = 15 * world.send_cents[sms(world)], ~world.departed
    assert (360 * weeks < spent).any() and (360 * weeks > spent).any()
    assert np.allclose(world.budget_left()[here], np.maximum(360 * weeks - spent, 0)[here])


def test_attributes_are_blank_as_often_as_told_each_by_itself() -> None:
    # shares of 4000 draws: beyond five errors about once in 1e6 runs
    world = MissingSignals(SyntheticWorld(4000, 10), 0.3)
    blank = np.isnan(world.users.attributes)
    error = np.sqrt(0.3 * 0.7 / 4000)
    assert (abs(blank.mean(axis=0) - 0.3) < 5 * error).all()
    both = blank[:, 0] & blank[:, 1]
    assert abs(both.mean() - 0.09) < 5 * np.sqrt(0.09 * 0.91 / 4000)
    told = world.introduction()
    described = told.kind == EventKind.DESCRIBED
    assert told.attributes is not None
    assert np.array_equal(
        told.attributes[described], world.users.attributes[told.row[described]], equal_nan=True
    )


def test_signals_are_blank_as_often_as_told() -> None:
    # shares of 4000 draws: beyond five errors about once in 1e6 runs
    inside = SyntheticWorld(4000, 10)
    full, holed = inside.signals(), MissingSignals(inside, 0.3).signals()
    for name, codes in holed.codes().items():
        had = full.codes()[name] != MISSING
        blank = (codes == MISSING) & had
        assert abs(blank.sum() / had.sum() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / had.sum())
        assert np.array_equal(codes[~blank], full.codes()[name][~blank])


def delayed(
    n: int, hours: float, preset: str | Preset = "default"
) -> tuple[SyntheticWorld, DelayedFeedback]:
    return SyntheticWorld(n, 11, preset), DelayedFeedback(SyntheticWorld(n, 11, preset), hours)


def as_rows(parts: list[Events]) -> list[tuple[float, ...]]:
    events = Events.concatenate(parts)
    columns = (events.row, events.kind, events.time, events.channel, events.amount_cents)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def test_delayed_feedback_tells_late_and_loses_nothing() -> None:
    prompt, late = delayed(200, 20)
    action = prompt.catalogue.action_index("gift/email")
    truth, told = [], []
    for _ in range(120):
        truth.append(prompt.step(np.full(200, action)))
        told.append(late.step(np.full(200, action)))
        events, now = told[-1].events, late.moment().now
        held = (events.time + 20 * 3600 >= now[events.row]) & ~late.departed[events.row]
        assert np.isin(events.kind[held], (EventKind.OPTED_OUT, EventKind.OPTED_IN)).all()
        assert np.array_equal(told[-1].expected_cents, truth[-1].expected_cents)
    rest = late.untold()
    for name in ("margin_cents", "offer_cost_cents", "contact_cost_cents", "opt_out_cost_cents"):
        assert np.array_equal(total(told, name) + getattr(rest, name), total(truth, name))
    assert total(told, "margin_cents").sum() > 0 and rest.margin_cents.any()
    happened, heard = as_rows([s.events for s in truth]), as_rows([s.events for s in told])
    assert set(heard) < set(happened)
    due = late.moment().now - 20 * 3600
    assert {row for row in happened if row[2] < due[row[0]]} <= set(heard)


def test_whoever_leaves_for_good_leaves_nothing_untold() -> None:
    restless = replace(find_preset("small"), leaving_per_day=0.02)
    prompt, late = delayed(200, 2000, restless)
    truth, told = live(prompt, 80, 0), live(late, 80, 0)
    gone = late.departed
    assert gone.sum() > 3
    for name in ("margin_cents", "offer_cost_cents"):
        assert np.array_equal(total(told, name)[gone], total(truth, name)[gone])
        assert not total(told, name)[~gone].any()
    assert total(truth, "margin_cents")[gone].any()


def test_the_service_knows_at_once_whom_it_contacted_and_who_opted_out() -> None:
    prompt, late = delayed(300, 500)
    action = prompt.catalogue.action_index("gift/sms")
    for _ in range(40):
        prompt.step(np.full(300, action))
        late.step(np.full(300, action))
    assert np.array_equal(prompt.users.cap_times, late.users.cap_times)
    assert np.array_equal(prompt.users.opted_out_at, late.users.opted_out_at)
    assert not np.array_equal(prompt.users.sums, late.users.sums)


def test_of_those_who_were_in_a_row_before_nothing_is_heard() -> None:
    _, late = delayed(30, 60)
    live(late, 50)
    rows = np.arange(30)
    late.restart(rows, rows + 100)
    fresh = SyntheticWorld(30, 11)
    fresh.restart(rows, rows + 100)
    assert np.array_equal(late.users.sums, fresh.users.sums)
    assert np.array_equal(late.users.attributes, fresh.users.attributes, equal_nan=True)
    assert not late.untold().margin_cents.any()
    assert (live(late, 1)[0].events.time >= late.start_s).all()


def test_the_environment_runs_on_a_stressed_world() -> None:
    env = gymnasium.make_vec(
        "simulators:SceneLift-v0",
        num_envs=6,
        vectorization_mode="vector_entry_point",
        days=3.0,
        stress=HARMFUL,
    )
    env.action_space.seed(0)
    env.reset(seed=1)
    for _ in range(60):
        observation, reward, *_ = env.step(env.action_space.sample())
        assert env.observation_space.contains(observation) and np.isfinite(reward).all()


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("storm:3", "drift:SPREAD"),
        ("drift", "drift:SPREAD"),
        ("drift:much", "drift:SPREAD"),
        ("drift:-1", "spread -1"),
        ("drift:nan", "spread nan"),
        ("failed_channel:fax:1:2", "fax"),
        ("failed_channel:push:1", "failed_channel:CHANNEL:FROM_DAY:TO_DAY"),
        ("missing_signals:2", "chance 2"),
        ("delayed_feedback:-3", "hours -3"),
        ("seasonal_shock:-1:0:1", "factor -1"),
        ("price_shock:1.5:0", "loss 1.5"),
    ],
)
def test_a_wrong_stress_is_refused_by_what_is_wrong(spec: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        stressed(SyntheticWorld(1), [spec])


def test_every_stress_is_tried_here() -> None:
    for specs in (HARMLESS, HARMFUL):
        assert sorted(spec.split(":")[0] for spec in specs) == sorted(STRESSES)


def test_every_stress_is_documented_as_it_is_written() -> None:
    story = (Path(__file__).parents[3] / "docs" / "world.md").read_text(encoding="utf-8")
    assert all(f"`{usage}`" in story for usage in usages())
