import numpy as np
import pytest

from agents.policies.q_network import QNetworkPolicy

RNG = np.random.default_rng(0)
LAYERS = (
    (RNG.normal(size=(4, 8)), RNG.normal(size=8)),
    (RNG.normal(size=(8, 5)), RNG.normal(size=5)),
)


def test_the_best_allowed_action_has_all_but_the_floor_and_the_floor_is_shared() -> None:
    policy = QNetworkPolicy(LAYERS, floor=0.1)
    observations = RNG.normal(size=(50, 4)).astype(np.float32)
    mask = RNG.random((50, 5)) < 0.5
    mask[:, 0] = True
    rows = policy.probabilities(observations, mask)
    values = np.where(mask, policy.values(observations), -np.inf)
    for row, value, allowed in zip(rows, values, mask, strict=True):
        expected = np.where(allowed, 0.1 / allowed.sum(), 0.0)
        expected[value.argmax()] += 0.9
        np.testing.assert_allclose(row, expected, atol=1e-15)


def test_a_row_is_the_same_alone_and_among_many() -> None:
    policy = QNetworkPolicy(LAYERS)
    observations = RNG.normal(size=(257, 4)).astype(np.float32)
    mask = np.ones((257, 5), bool)
    alone = [policy.probabilities(observations[i : i + 1], mask[:1])[0] for i in range(257)]
    np.testing.assert_array_equal(policy.probabilities(observations, mask), alone)


@pytest.mark.parametrize("floor", [-0.1, 1.5, float("nan")])
def test_a_floor_that_is_no_share_is_refused(floor: float) -> None:
    with pytest.raises(ValueError, match="floor"):
        QNetworkPolicy(LAYERS, floor=floor)


def test_layers_that_do_not_fit_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="layer 1"):
        QNetworkPolicy((LAYERS[0], LAYERS[0]))
