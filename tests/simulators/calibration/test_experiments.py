"""Replays of published studies: each moment has one, and chances stand for what is drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from envs.clock import DAY
from envs.decisions import EventKind
from simulators.calibration.experiments import EXPERIMENTS, experiment_of, figures, measure
from simulators.calibration.fitting import PRESETS, with_number
from simulators.calibration.jackknife import jackknife
from simulators.calibration.mail_trial import DAYS, SENT_AFTER_HOURS, mail_trial
from simulators.calibration.published import moments
from simulators.calibration.push_trial import push_trial
from simulators.calibration.trials import Trial, local_hours_passed, nobody, walk
from simulators.presets import find_preset


def test_each_moment_is_measured_by_one_experiment() -> None:
    measured = [name for experiment in EXPERIMENTS for name in experiment.formulas]
    assert sorted(measured) == sorted(moment.name for moment in moments())


@pytest.mark.slow
def test_the_same_seed_gives_the_same_figures() -> None:
    presets = {"default": find_preset("default")}
    names = ["match_3_to_1", "success_of_contact_7"]
    first = figures(names, presets, seed=3, share=0.03)
    assert first == figures(names, presets, seed=3, share=0.03)
    assert first != figures(names, presets, seed=4, share=0.03)


def test_figures_are_the_middle_of_what_is_measured_with_intervals() -> None:
    presets = {"default": find_preset("default")}
    names = ["price_elasticity", "redeemed_the_same_day"]
    found = measure(names, presets, seed=3, share=0.05)
    assert figures(names, presets, seed=3, share=0.05) == {
        name: estimate.mean for name, estimate in found.items()
    }
    assert all(estimate.low < estimate.mean < estimate.high for estimate in found.values())


def test_a_push_that_nobody_sees_opens_nothing() -> None:
    # the arms are drawn, so they differ by chance: five standard errors, one false alarm in a
    # million seeds, and the seed is fixed
    blind = with_number(find_preset("default"), "channels.push.seen", 0.0)
    sums = push_trial(Trial(blind, 600, seed=5))
    found = jackknife(
        sums, experiment_of("opened_within_an_hour").formulas["opened_within_an_hour"]
    )
    assert abs(found.mean) < 5 * (found.high - found.mean) / 2.09


def test_contacts_that_do_not_tire_succeed_as_often_the_seventh_time() -> None:
    rested = replace(find_preset("default"), tiring_factor=0.0)
    found = figures(["success_of_contact_7"], {"default": rested}, seed=6, share=0.1)
    tired = figures(["success_of_contact_7"], {"default": find_preset("default")}, 6, 0.1)
    # needs that open meanwhile move it a little
    assert found["success_of_contact_7"] == pytest.approx(1.0, abs=0.05)
    assert tired["success_of_contact_7"] < found["success_of_contact_7"] - 0.1


@pytest.mark.slow
def test_what_a_mail_adds_by_chances_is_what_comes_of_sending_it() -> None:
    # Half the users get the mail, as drawn; the further visits by chances have to lie within four
    # standard errors of the difference that is observed: one false alarm in 16,000 seeds.
    preset = replace(find_preset("default"), browsing_factor=0.01)
    users, sums = 12_000, mail_trial(Trial(preset, 4_000, seed=7))
    expected = jackknife(
        sums, experiment_of("visits_by_general_mail").formulas["visits_by_general_mail"]
    )
    trial = Trial(preset, users, seed=8)
    world = trial.world()
    mail = world.catalogue.action_index("general/email")
    chosen = np.arange(users) % 2 == 0
    sent_at, visited = np.full(users, np.inf), np.zeros(users, np.bool_)
    for moment, active in walk(world, DAYS + 3):
        due = active & np.isinf(sent_at) & (local_hours_passed(world, moment) >= SENT_AFTER_HOURS)
        sent_at[due] = moment.now[due]
        actions = np.where(due & chosen, mail, nobody(world))
        events = world.step(actions, active).events
        rows = events.row[np.isin(events.kind, (EventKind.VIEWED, EventKind.CLICKED))]
        times = events.time[np.isin(events.kind, (EventKind.VIEWED, EventKind.CLICKED))]
        visited[rows[(times >= sent_at[rows]) & (times < sent_at[rows] + DAYS * DAY)]] = True
    shares = visited[chosen].mean(), visited[~chosen].mean()
    error = (sum(share * (1 - share) for share in shares) / (users / 2)) ** 0.5
    assert abs(shares[0] - shares[1] - expected.mean) < 4 * error


@pytest.mark.slow
def test_the_world_lies_within_the_published_intervals() -> None:
    # on other people than those of the fit and of docs/calibration.md
    presets = {name: find_preset(name) for name in PRESETS}
    names = [moment.name for moment in moments() if moment.expected]
    found = measure(names, presets, seed=77, share=0.5)
    outside = {
        moment.name: found[moment.name].mean
        for moment in moments()
        if moment.expected and not moment.holds(found[moment.name].mean)
    }
    assert not outside
