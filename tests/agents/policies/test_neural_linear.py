from pathlib import Path

import numpy as np
import pytest

from agents.policies.exploration import Rule, Thompson, UpperBound
from agents.policies.linear_gaussian import LinearGaussianPolicy
from agents.policies.neural_linear import NeuralLinearPolicy
from agents.policy import load_bundle, save_bundle
from envs.catalogue import load_catalogue
from envs.encoding import Encoding
from envs.lineage import lineage

CATALOGUE = load_catalogue()
WIDTH, ACTIONS = Encoding(CATALOGUE).width, len(CATALOGUE.actions)


def policy(rule: Rule | None = None, hidden: tuple[int, ...] = (128, 32)) -> NeuralLinearPolicy:
    rng = np.random.default_rng(0)
    layers, width = [], WIDTH
    for size in hidden:
        weight = (rng.normal(size=(width, size)) / np.sqrt(width)).astype(np.float32)
        layers.append((weight.astype(np.float64), np.zeros(size)))
        width = size
    factors = np.tril(rng.normal(size=(ACTIONS, width + 1, width + 1)))
    beliefs = LinearGaussianPolicy(
        rng.normal(size=(ACTIONS, width + 1)), factors, rule or Thompson(0.02)
    )
    return NeuralLinearPolicy(tuple(layers), beliefs)


def situations(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    mask = rng.random((n, ACTIONS)) < 0.5
    mask[:, 0] = True
    return rng.normal(size=(n, WIDTH)).astype(np.float32), mask


def test_the_row_is_that_of_the_beliefs_about_the_features() -> None:
    observations, mask = situations()
    made = policy(UpperBound(0.1, 2.0))
    (first, _), (second, _) = made.layers
    hidden = np.maximum(np.maximum(observations.astype(np.float64) @ first, 0) @ second, 0)
    np.testing.assert_array_equal(made.features(observations), hidden)
    np.testing.assert_array_equal(
        made.probabilities(observations, mask), made.beliefs.probabilities(hidden, mask)
    )


@pytest.mark.parametrize("rule", [Thompson(0.02, 0.5), UpperBound(0.1, 2.0)])
def test_a_bundle_decides_bit_for_bit_the_same_and_is_below_a_megabyte(
    rule: Rule, tmp_path: Path
) -> None:
    made = policy(rule)
    save_bundle(tmp_path / "b", made, CATALOGUE, lineage(7), {})
    loaded = load_bundle(tmp_path / "b", CATALOGUE).policy
    np.testing.assert_array_equal(
        loaded.probabilities(*situations()), made.probabilities(*situations())
    )
    assert loaded.rule == rule
    assert (tmp_path / "b" / "weights.safetensors").stat().st_size < 1_000_000


def test_a_price_of_contact_is_taken_off_everything_but_silence() -> None:
    observations, _ = situations(4)
    means, _ = policy().scores(observations)
    priced, _ = policy().priced(7.0).scores(observations)
    assert (np.abs((means - priced)[:, 0]) < 1e-12).all()
    np.testing.assert_allclose((means - priced)[:, 1:], 7.0)


def test_layers_that_do_not_fit_are_refused() -> None:
    made = policy()
    with pytest.raises(ValueError, match="layer 0"):
        NeuralLinearPolicy(made.layers[::-1], made.beliefs)
    arrays = made.weights()
    del arrays["layer1.bias"]
    with pytest.raises(ValueError, match="not layers"):
        NeuralLinearPolicy.from_weights(arrays, made.settings(), "x")
    arrays = made.weights()
    arrays["layer0.weight"][0, 0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        NeuralLinearPolicy.from_weights(arrays, made.settings(), "x")
