"""The wide-and-deep policy: what the network says, whatever it is asked with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from agents.learning.q_learner import QModule
from agents.policies.q_network import QNetworkPolicy
from agents.policies.wide_and_deep import WideAndDeepPolicy
from agents.policy import load_bundle, save_bundle
from envs.catalogue import load_catalogue
from envs.encoding import Encoding
from tests.agents.rationing import Rationing, every_state


def module() -> QModule:
    torch.manual_seed(0)
    env = Rationing()
    config = {"hidden": (8,), "burdens": None, "crossed": (0, 2, 5)}
    q = QModule(
        observation_space=env.single_observation_space,
        action_space=env.single_action_space,
        model_config=config,
    )
    with torch.no_grad():
        q.net.wide.normal_()
    q.make_target_networks()
    return q


def test_the_policy_has_the_values_of_the_network() -> None:
    q, observations = module(), np.random.default_rng(0).random((50, 6), np.float32)
    policy = q.policy(floor=0.1)
    assert isinstance(policy, WideAndDeepPolicy)
    with torch.no_grad():
        values = q.target(torch.from_numpy(observations)).numpy()
    np.testing.assert_allclose(policy.values(observations), values, atol=1e-5)


def test_the_row_does_not_depend_on_how_many_are_asked_for() -> None:
    policy = module().policy(floor=0.1)
    observations, mask = every_state()
    together = policy.probabilities(observations, mask)
    alone = [policy.probabilities(observations[i : i + 1], mask[i : i + 1]) for i in range(6)]
    np.testing.assert_array_equal(together, np.concatenate(alone))
    np.testing.assert_allclose(together.sum(axis=1), 1)
    assert (together[~mask] == 0).all()


def test_a_bundle_brings_it_back_bit_for_bit(tmp_path: Path) -> None:
    catalogue = load_catalogue()
    width, actions = Encoding(catalogue).width, len(catalogue.actions)
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(width, actions)).astype(np.float32).astype(np.float64)
    wide = rng.normal(size=(2, width, actions)).astype(np.float32).astype(np.float64)
    deep = QNetworkPolicy(((weight, np.zeros(actions)),), 0.05)
    policy = WideAndDeepPolicy(deep, np.array([0, 3]), wide)
    save_bundle(tmp_path / "bundle", policy, catalogue, {"seed": 0}, {})
    found = load_bundle(tmp_path / "bundle").policy
    observations = rng.random((20, width), np.float32)
    mask = np.ones((20, actions), np.bool_)
    assert found.shape == (width, actions)
    np.testing.assert_array_equal(
        found.probabilities(observations, mask), policy.probabilities(observations, mask)
    )


@pytest.mark.parametrize(
    ("crossed", "wide"),
    [([9], np.zeros((1, 6, 4))), ([0], np.zeros((2, 6, 4))), ([0], np.full((1, 6, 4), np.nan))],
)
def test_a_wide_part_that_does_not_fit_is_refused(crossed: list[int], wide: np.ndarray) -> None:
    deep = QNetworkPolicy(((np.zeros((6, 4)), np.zeros(4)),))
    with pytest.raises(ValueError, match=r"cross|wide"):
        WideAndDeepPolicy(deep, np.array(crossed), wide)
