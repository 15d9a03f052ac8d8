import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtr

from agents.policies.quadrature import best_probabilities, normal_below


def brute_force(m: NDArray[np.float64], s: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same integrals on a grid fine enough for every Gaussian, with SciPy's ndtr."""
    cuts = np.unique(np.concatenate([m[i] + s[i] * np.linspace(-9, 9, 121) for i in range(len(m))]))
    nodes, weights = np.polynomial.legendre.leggauss(10)
    half = np.diff(cuts) / 2
    x = (cuts[:-1, None] + half[:, None] * (1 + nodes)).ravel()
    w = (half[:, None] * weights).ravel()
    z = (x[:, None] - m) / s
    below = ndtr(z)
    answer = np.zeros(len(m))
    for a in range(len(m)):
        others = np.delete(below, a, axis=1).prod(axis=1)
        answer[a] = (w * others * np.exp(-0.5 * z[:, a] ** 2)).sum() / (s[a] * np.sqrt(2 * np.pi))
    return answer


@pytest.mark.slow
@pytest.mark.parametrize("scales", [(0.0, 0.0), (-0.5, 0.5), (-3.0, 1.0)])
def test_the_row_agrees_with_a_fine_grid_for_equal_and_for_very_unequal_widths(
    scales: tuple[float, float],
) -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        arms = int(rng.integers(1, 32))
        m = rng.normal(size=arms) * 10 ** rng.uniform(-2, 2)
        s = 10 ** rng.uniform(*scales, size=arms)
        row = best_probabilities(m[None], s[None], np.ones((1, arms), bool))[0]
        np.testing.assert_allclose(row, brute_force(m, s), atol=1e-6)


def test_masked_arms_have_probability_zero_and_rows_sum_to_one() -> None:
    rng = np.random.default_rng(1)
    m, s = rng.normal(size=(200, 12)), rng.uniform(0.1, 3, size=(200, 12))
    mask = rng.random((200, 12)) < 0.4
    mask[:, 0] = True
    rows = best_probabilities(m, s, mask)
    assert (rows[~mask] == 0).all()
    assert (rows >= 0).all()
    np.testing.assert_allclose(rows.sum(axis=1), 1.0, atol=1e-12)


def test_a_row_does_not_depend_on_the_rows_it_is_asked_with() -> None:
    rng = np.random.default_rng(2)
    m, s = rng.normal(size=(300, 9)), 10 ** rng.uniform(-2, 1, size=(300, 9))
    mask = np.ones((300, 9), bool)
    together = best_probabilities(m, s, mask)
    alone = np.concatenate(
        [best_probabilities(m[i : i + 1], s[i : i + 1], mask[:1]) for i in range(300)]
    )
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_the_normal_distribution_function_is_right_to_one_in_a_hundred_million() -> None:
    z = np.linspace(-12, 12, 50_001)
    np.testing.assert_allclose(normal_below(z), ndtr(z), atol=1e-8)
