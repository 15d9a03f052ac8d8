import numpy as np

from agents.learning.silence_value import fit_silence_value


def test_the_value_of_a_known_chain_with_uneven_times_is_found() -> None:
    """Two states; state 0 pays 1 and lasts a day, state 1 pays 0 and lasts two or leaves."""
    rng, gamma, n = np.random.default_rng(0), 0.9, 200_000
    state = rng.integers(2, size=n)
    stays = rng.random(n) < 0.5
    later = np.where(state == 0, 1, 0)
    columns = {
        "observations": np.eye(2, dtype=np.float32)[state],
        "next_observations": np.eye(2, dtype=np.float32)[later],
        "elapsed_days": np.where(state == 0, 1.0, 2.0),
        "terminateds": (state == 1) & ~stays,
    }
    value = fit_silence_value(columns, (state == 0).astype(np.float64), gamma)
    # v0 = 1 + g v1, v1 = g^2 v0 / 2
    v0 = 1 / (1 - gamma**3 / 2)
    expected = np.array([v0, gamma**2 * v0 / 2])
    np.testing.assert_allclose(value.weight + value.bias, expected, rtol=0.02)
