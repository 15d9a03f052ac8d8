from itertools import pairwise

import numpy as np
import pytest
import torch

from agents.policy import QNetworkPolicy
from agents.shipping.distilling import (
    Situations,
    at_price,
    collect,
    distil,
    likeness,
    parameters,
    parameters_of,
    widest,
)
from envs.encoding import Encoding
from simulators.make import world_factory

WIDTH, ACTIONS = 6, 4


def network(
    *hidden: int, seed: int = 0, width: int = WIDTH, actions: int = ACTIONS
) -> QNetworkPolicy:
    rng = np.random.default_rng(seed)
    widths = (width, *hidden, actions)
    layers = tuple(
        (rng.normal(size=(a, b)) / np.sqrt(a), rng.normal(size=b)) for a, b in pairwise(widths)
    )
    return QNetworkPolicy(layers, 0.02)


def situations(n: int, seed: int) -> Situations:
    rng = np.random.default_rng(seed)
    mask = rng.random((n, ACTIONS)) < 0.7
    mask[:, 0] = True
    return Situations(rng.normal(size=(n, WIDTH)).astype(np.float32), mask)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.slow
def test_a_student_decides_as_its_teacher_where_it_has_not_been() -> None:
    teacher = network(32, 32)
    student, steps = distil(teacher, situations(20_000, 1), (16, 16), seed=0, steps=1500)
    assert steps == 1500
    fresh = situations(4000, 2)
    untaught = likeness(teacher, network(16, 16, seed=9), fresh)
    taught = likeness(teacher, student, fresh)
    assert taught.agreement > 0.9 > untaught.agreement
    assert taught.regret < 0.1 * untaught.regret


@pytest.mark.slow
def test_a_student_keeps_the_teachers_floor_and_unit() -> None:
    teacher = network(32, 32)
    large = QNetworkPolicy((*teacher.layers[:-1], tuple(1000 * p for p in teacher.layers[-1])))
    student, _ = distil(large, situations(5000, 1), (8,), seed=0, steps=400)
    spread = [policy.values(situations(500, 2).observations).std(axis=1).mean()
              for policy in (large, student)]  # fmt: skip
    assert student.floor == large.floor
    assert spread[1] == pytest.approx(spread[0], rel=0.2)


def test_a_student_repeats_with_its_seed_and_not_with_another() -> None:
    teacher, met = network(16), situations(2000, 1)
    first, again, other = (
        distil(teacher, met, (8,), seed=seed, steps=20)[0].weights() for seed in (3, 3, 4)
    )
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
    assert any((first[name] != other[name]).any() for name in first)


def test_a_student_is_kept_bit_for_bit_by_a_bundle() -> None:
    student, _ = distil(network(16), situations(500, 1), (8, 8), seed=0, steps=5)
    loaded = QNetworkPolicy.from_weights(student.weights(), student.settings(), "loaded")
    met = situations(200, 2)
    np.testing.assert_array_equal(
        loaded.probabilities(met.observations, met.mask),
        student.probabilities(met.observations, met.mask),
    )


def test_the_clock_ends_learning_too() -> None:
    _, steps = distil(network(4), situations(100, 1), (2,), seed=0, seconds=0.05)
    assert steps >= 1


@pytest.mark.parametrize("hidden", [(512, 512), (128, 128), (64,), (9,)])
def test_the_widest_student_is_just_a_fifth_of_its_teacher(hidden: tuple[int, ...]) -> None:
    teacher = network(*hidden, width=73, actions=31)
    width, same = widest(teacher)
    assert width == same
    fits, too_wide = ((73, w, w, 31) for w in (width, width + 1))
    assert parameters_of(fits) <= 0.2 * parameters(teacher) < parameters_of(too_wide)


def test_parameters_are_counted_as_a_bundle_holds_them() -> None:
    policy = network(7, 5)
    assert parameters(policy) == sum(array.size for array in policy.weights().values())
    assert parameters_of((WIDTH, 7, 5, ACTIONS)) == parameters(policy)


def test_of_two_policies_alike_nothing_is_lacking() -> None:
    policy = network(8)
    alike = likeness(policy, policy, situations(300, 1))
    assert (alike.agreement, alike.regret) == (1.0, 0.0)


def test_situations_are_those_that_the_policy_was_asked_about() -> None:
    worlds = world_factory()
    encoding = Encoding(worlds.catalogue)
    teacher = network(4, width=encoding.width, actions=len(worlds.catalogue.actions))
    met = collect(teacher, worlds, seed=0, users=30, days=2.0, budget_prices=(0.0, 0.5))
    prices = met.observations[:, encoding.names.index("budget_price")]
    assert set(np.unique(prices).tolist()) == {0.0, 0.5}
    assert met.mask[:, 0].all()
    assert len(met) > 2 * 30 * 2
    again = collect(teacher, worlds, seed=0, users=30, days=2.0, budget_prices=(0.0, 0.5))
    np.testing.assert_array_equal(met.observations, again.observations)


def test_a_price_that_a_policy_takes_for_0_is_as_if_it_were_told() -> None:
    policy, met, column = network(8), situations(300, 1), 2
    told, silent = met.observations.copy(), met.observations.copy()
    told[:, column], silent[:, column] = 0.75, 0.0
    np.testing.assert_allclose(
        at_price(policy, column, 0.75).values(silent), policy.values(told), rtol=1e-12
    )
