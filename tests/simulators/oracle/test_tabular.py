from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import linprog

from envs.errors import InputError
from simulators.hidden import stage
from simulators.oracle.attained import Silent, Users, play
from simulators.oracle.finite import Following
from simulators.oracle.planning import Planner
from simulators.oracle.tabular import FiniteModel, Solution, finite_model, is_finite
from simulators.population import Traits
from simulators.presets import find_preset
from simulators.world import START, SyntheticWorld

TABULAR = find_preset("tabular")
CATALOGUE = TABULAR.load_catalogue()


@pytest.fixture(scope="module")
def model() -> FiniteModel:
    return finite_model(TABULAR, CATALOGUE, START)


@pytest.fixture(scope="module")
def best(model: FiniteModel) -> Solution:
    return model.best()


def test_every_action_leads_somewhere_within_a_day(model: FiniteModel) -> None:
    for reward, onward in zip(model.rewards, model.onward, strict=True):
        left = np.asarray(onward.sum(axis=1))
        assert (onward.data > 0).all()
        assert (left[np.isfinite(reward)] < 1).all() and (left > model.gamma).all()
    assert float(model.start.sum()) < 1


def test_the_best_values_solve_the_bellman_equation(model: FiniteModel, best: Solution) -> None:
    assert best.residual < 1e-9
    assert np.abs(model.worth(best.values).max(axis=0) - best.values).max() < 1e-9


def test_every_state_has_a_name_of_its_own(model: FiniteModel) -> None:
    names = model.names(CATALOGUE, TABULAR)
    assert len(set(names)) == len(names) == len(model.states)
    world = SyntheticWorld(5, seed=1, preset=TABULAR)
    state, scene = model.state_of(world), world.moment().scene
    assert all(CATALOGUE.scenes[s].name in names[k] for k, s in zip(state, scene, strict=True))


@pytest.mark.slow
def test_linear_programming_finds_the_same_optimum(model: FiniteModel, best: Solution) -> None:
    size = len(model.states)
    rows, limits = [], []
    for reward, onward in zip(model.rewards, model.onward, strict=True):
        allowed = np.flatnonzero(np.isfinite(reward))
        rows.append((onward - sparse.eye_array(size)).tocsr()[allowed])
        limits.append(-reward[allowed])
    found = linprog(
        model.start,
        A_ub=sparse.vstack(rows),
        b_ub=np.concatenate(limits),
        bounds=(None, None),
        method="highs",
    )
    assert found.status == 0
    assert found.fun == pytest.approx(float(model.start @ best.values), rel=1e-7)


def test_a_policy_that_draws_is_worth_the_mean_of_what_it_draws(model: FiniteModel) -> None:
    allowed = np.isfinite(model.rewards.T)
    chances = allowed / allowed.sum(axis=1, keepdims=True)
    values = model.values_under(chances)
    worth = np.where(allowed.T, model.worth(values), 0.0)
    assert np.abs((chances.T * worth).sum(axis=0) - values).max() < 1e-8


def test_looking_ahead_pays(model: FiniteModel, best: Solution) -> None:
    silence = model.values_of(np.zeros(len(model.states), np.int64))
    myopic = model.values_of(model.myopic())
    value = model.value_cents
    assert value(silence) < value(myopic) < value(best.values)
    gap = value(best.values) - value(silence)
    assert value(best.values) - value(myopic) > 0.05 * gap


def test_users_only_ever_stand_in_states_of_the_model(model: FiniteModel) -> None:
    world = SyntheticWorld(200, seed=3, preset=TABULAR)
    actions = np.random.default_rng(0)
    for _ in range(200):
        state = model.state_of(world)
        assert (state >= 0).all()
        assert (model.states.stage[state] == stage(world.hidden)).all()
        chosen = actions.integers(0, len(CATALOGUE.actions), 200)
        world.step(np.where(world.hidden.fatigue < 2, chosen, 0))  # two a day


@pytest.mark.slow
def test_a_simulation_of_the_optimum_attains_its_value(model: FiniteModel, best: Solution) -> None:
    """Paired with silence, which is known exactly; false alarm in 1 of 15,000 (4 sigma)."""
    users, days = Users(np.arange(1000)), 120.0
    player = Following("optimal", model, best.actions)
    attained = play(TABULAR, CATALOGUE, 5, player, users, days).value_cents
    silent = play(TABULAR, CATALOGUE, 5, Silent(), users, days).value_cents
    gain = attained - silent
    silence = model.values_of(np.zeros(len(model.states), np.int64))
    due = model.value_cents(best.values) - model.value_cents(silence)
    assert abs(gain.mean() - due) < 4 * gain.std() / len(gain) ** 0.5 + 0.002 * due


def test_the_planner_on_a_grid_finds_the_same_optimum(model: FiniteModel, best: Solution) -> None:
    plan = Planner(CATALOGUE, TABULAR, START).plan(Traits.centre(TABULAR, 0))
    silence = model.values_of(np.zeros(len(model.states), np.int64))
    assert plan.silence_cents == pytest.approx(model.value_cents(silence), rel=1e-5)
    gap = model.value_cents(best.values) - plan.silence_cents
    assert abs(plan.value_cents - model.value_cents(best.values)) < 2e-3 * gap


def test_a_preset_that_is_not_finite_is_refused_with_the_reason() -> None:
    default = find_preset("default")
    assert not is_finite(default, default.load_catalogue())
    with pytest.raises(InputError, match="more than one kind"):
        finite_model(default, default.load_catalogue(), START)
