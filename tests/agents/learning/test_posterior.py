import numpy as np
import pytest
import torch

from agents.learning.posterior import SUMS, LinearPosterior
from agents.policies.exploration import Greedy, InverseGap, Rule, Thompson, UpperBound

WIDTH, ARMS = 5, 3


def decisions(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    observations = rng.normal(size=(n, WIDTH)).astype(np.float32)
    actions = rng.integers(ARMS, size=n)
    truth = rng.normal(size=(ARMS, WIDTH))
    paid = (truth[actions] * observations).sum(axis=1) * 100 + rng.normal(size=n) * 50
    return observations, actions, np.round(paid)  # whole cents


def learnt(cuts: int, n: int = 1000, **prior: float) -> LinearPosterior:
    posterior = LinearPosterior(WIDTH, ARMS, **prior)
    columns = decisions(n)
    for rows in np.array_split(np.arange(n), cuts):
        posterior.learn(*(column[rows] for column in columns))
    return posterior


def by_hand(weights: np.ndarray, ridge: float) -> list[np.ndarray]:
    observations, actions, paid = decisions(len(weights))
    phi = np.c_[observations.astype(np.float64), np.ones(len(weights))]
    means = []
    for arm in range(ARMS):
        rows = actions == arm
        weighed = phi[rows] * weights[rows, None]
        precision = weighed.T @ phi[rows] + ridge * np.eye(WIDTH + 1)
        means.append(np.linalg.solve(precision, weighed.T @ paid[rows]))
    return means


def test_it_is_batch_least_squares_however_the_decisions_are_cut() -> None:
    for cuts in (1, 7):
        means = learnt(cuts, ridge=2.0).policy(Thompson()).means
        np.testing.assert_allclose(means, by_hand(np.ones(1000), 2.0), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("cuts", [1, 3, 1000])
def test_a_decision_weighs_half_after_the_half_life_and_the_prior_is_not_forgotten(
    cuts: int,
) -> None:
    weights = 0.5 ** (np.arange(999, -1, -1) / 150.0)
    posterior = learnt(cuts, ridge=2.0, half_life=150.0)
    means = posterior.policy(Thompson()).means
    np.testing.assert_allclose(means, by_hand(weights, 2.0), rtol=1e-9, atol=1e-9)
    assert float(posterior.count.sum()) == pytest.approx(weights.sum())


def test_what_is_never_forgotten_is_summed_to_the_same_bits() -> None:
    forever, ages = learnt(4), learnt(4, half_life=1e300)
    for name in SUMS:
        assert torch.equal(getattr(forever, name), getattr(ages, name))


@pytest.mark.slow
def test_long_after_the_last_decision_only_the_prior_is_left() -> None:
    posterior = learnt(1, half_life=10.0)
    fresh = LinearPosterior(WIDTH, ARMS)
    no_sums = posterior.sums_of(torch.zeros((0, WIDTH)), *(torch.zeros(0),) * 4)
    posterior.add(no_sums, 1_000)
    for name in SUMS:
        torch.testing.assert_close(getattr(posterior, name), getattr(fresh, name), atol=1e-12,
                                   rtol=0)  # fmt: skip


def test_a_weight_of_two_is_the_decision_twice() -> None:
    columns = decisions(100)
    twice, weighed = LinearPosterior(WIDTH, ARMS), LinearPosterior(WIDTH, ARMS)
    twice.learn(*(np.repeat(column, 2, axis=0) for column in columns))
    weighed.learn(*columns, np.full(100, 2.0))
    for name in SUMS:
        torch.testing.assert_close(getattr(twice, name), getattr(weighed, name))


def test_the_believed_noise_is_that_of_the_residuals() -> None:
    """The standard error of the estimate is 0.6 at 4,000 rows."""
    posterior = learnt(1, 4_000, noise=50.0)
    factors = posterior.policy(Thompson()).factors
    covariance = factors[0].T @ factors[0]
    noise = np.sqrt(np.diag(covariance @ posterior.precision[0].numpy()))
    np.testing.assert_allclose(noise, 50.0, atol=3.0)


def test_certainty_is_the_root_of_decisions_a_feature_over_the_noise() -> None:
    """The noise has a standard error of 0.6, that is 1.2 %."""
    rule = learnt(1, 4_000, noise=50.0).policy(InverseGap(gamma=2.0)).rule
    assert isinstance(rule, InverseGap)
    assert rule.gamma == pytest.approx(2.0 * np.sqrt(4_000 / (WIDTH + 1)) / 50.0, rel=0.06)


RULES = [Thompson(0.02), UpperBound(0.02), InverseGap(0.02, gamma=10.0), Greedy(0.02)]


def regret(rule: Rule, half_life: float = np.inf, turn: bool = False) -> np.ndarray:
    """Mean regret of each step of 20 decisions of a rule in a linear world that may turn round."""
    rng = np.random.default_rng(11)
    truth = rng.normal(size=(ARMS, WIDTH))
    posterior = LinearPosterior(WIDTH, ARMS, noise=1.0, half_life=half_life)
    losses = []
    for step in range(200):
        if turn and step == 100:
            truth = -truth
        observations = rng.normal(size=(20, WIDTH)).astype(np.float32)
        policy = posterior.policy(rule)
        means, deviations = policy.scores(observations)
        actions = policy.rule.draw(means, deviations, np.ones((20, ARMS), bool), rng)
        values = observations @ truth.T
        chosen = values[np.arange(20), actions]
        losses.append(float((values.max(axis=1) - chosen).mean()))
        posterior.learn(observations, actions, chosen + rng.normal(size=20))
    return np.array(losses)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_every_rule_finds_the_best_actions_of_a_linear_world(rule: Rule) -> None:
    """A random choice loses 1.8 a decision; the floor of 2 % alone loses 0.04."""
    losses = regret(rule)
    assert losses[:5].mean() > 2 * losses[-100:].mean()
    assert losses[-100:].mean() < 0.18  # a tenth of a random choice


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_forgetting_follows_a_world_that_turns_and_remembering_does_not(rule: Rule) -> None:
    """Of the 1.8 that a random choice loses the one loses below a third, the other above half."""
    assert regret(rule, half_life=300.0, turn=True)[-50:].mean() < 0.6
    assert regret(rule, turn=True)[-50:].mean() > 0.9


def test_the_same_decisions_give_the_same_policy_to_the_bit() -> None:
    first, again = (learnt(3).policy(Greedy()) for _ in range(2))
    np.testing.assert_array_equal(first.means, again.means)
    np.testing.assert_array_equal(first.factors, again.factors)


def test_arrays_that_nobody_may_write_to_are_learnt_from() -> None:
    columns = decisions(10)
    for column in columns:
        column.flags.writeable = False
    posterior = LinearPosterior(WIDTH, ARMS)
    posterior.learn(*columns)
    assert float(posterior.count.sum()) == 10
