"""A policy carried over to another catalogue keeps what both catalogues name."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from agents.__main__ import main
from agents.policies.linear_gaussian import LinearGaussianPolicy
from agents.policy import Bundle, QNetworkPolicy, load_bundle, save_bundle
from agents.training.transfer import dueling, places, start_from, transferred
from envs.catalogue import DEFAULT_CATALOGUE, Catalogue, load_catalogue, parse_catalogue
from envs.encoding import Encoding
from envs.errors import InputError
from envs.lineage import lineage
from simulators.presets import catalogue_for

CATALOGUE = load_catalogue()


def changed(**parts: Any) -> Catalogue:
    """The default catalogue with other scenes, channels, offers, ..."""
    content = yaml.safe_load(DEFAULT_CATALOGUE.read_text(encoding="utf-8"))
    return parse_catalogue(yaml.safe_dump(content | parts), "changed")


def content(part: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load(DEFAULT_CATALOGUE.read_text(encoding="utf-8"))[part])


def bundle(folder: Path) -> Bundle:
    rng = np.random.default_rng(0)
    sizes = [Encoding(CATALOGUE).width, 16, 8, len(CATALOGUE.actions)]
    layers = tuple(
        (rng.normal(size=(a, b)).astype(np.float32).astype(np.float64), rng.normal(size=b))
        for a, b in itertools.pairwise(sizes)
    )
    layers = tuple((w, b.astype(np.float32).astype(np.float64)) for w, b in layers)
    save_bundle(folder / "policy", QNetworkPolicy(layers, 0.02), CATALOGUE, lineage(0), {})
    return load_bundle(folder / "policy")


def situations(catalogue: Catalogue, seed: int = 1) -> dict[str, np.ndarray]:
    """Numbers of each feature by name, the same for a name in every catalogue, [N] each."""
    return {
        name: np.random.default_rng([seed, *name.encode()]).normal(size=50).astype(np.float32)
        for name in Encoding(catalogue).names
    }


def seen(catalogue: Catalogue, known: dict[str, np.ndarray]) -> np.ndarray:
    nothing = np.zeros(50, np.float32)
    names = Encoding(catalogue).names
    return np.stack([known.get(name, nothing) for name in names], axis=1)


def test_with_the_same_catalogue_every_value_is_the_same_bit_by_bit(tmp_path: Path) -> None:
    old = bundle(tmp_path)
    new = transferred(old, changed())
    observations = seen(CATALOGUE, situations(CATALOGUE))
    np.testing.assert_array_equal(new.values(observations), old.policy.values(observations))
    assert new.floor == old.policy.floor


def test_without_an_offer_the_other_actions_keep_their_values(tmp_path: Path) -> None:
    old, offers = bundle(tmp_path), content("offers")
    catalogue = changed(offers=offers[1:])
    new = transferred(old, catalogue)
    observations = seen(CATALOGUE, situations(CATALOGUE))
    kept = [CATALOGUE.action_index(action.name) for action in catalogue.actions]
    assert 0 < len(kept) < len(CATALOGUE.actions)
    np.testing.assert_array_equal(
        new.values(seen(catalogue, situations(CATALOGUE))),
        old.policy.values(observations)[:, kept],
    )


def test_a_new_offer_leaves_the_others_alone_and_starts_at_the_mean_of_its_kin(
    tmp_path: Path,
) -> None:
    old = bundle(tmp_path)
    channel = content("channels")[0]["name"]
    fresh = {"name": "welcome", "kind": "content", "channels": [channel]}
    catalogue = changed(offers=[fresh, *content("offers")])
    new = transferred(old, catalogue)
    known = situations(CATALOGUE)
    before, after = (
        old.policy.values(seen(CATALOGUE, known)),
        new.values(seen(catalogue, known)),
    )
    for action in CATALOGUE.actions:
        place = catalogue.action_index(action.name)
        np.testing.assert_array_equal(after[:, place], before[:, action.index])
    kin = [a.index for a in CATALOGUE.actions if a.name.endswith(f"/{channel}")]
    np.testing.assert_allclose(
        after[:, catalogue.action_index(f"welcome/{channel}")], before[:, kin].mean(axis=1)
    )


def test_a_new_channel_and_a_new_scene_say_nothing_yet(tmp_path: Path) -> None:
    old = bundle(tmp_path)
    catalogue = changed(
        channels=[*content("channels"), {"name": "billboard", "cost_cents": 1}],
        scenes=[{"name": "moon"}, *content("scenes")],
    )
    new, known = transferred(old, catalogue), situations(catalogue)
    new_features = set(Encoding(catalogue).names) - set(Encoding(CATALOGUE).names)
    assert {"scene=moon", "consent:billboard"} <= new_features
    kept = [catalogue.action_index(action.name) for action in CATALOGUE.actions]
    np.testing.assert_array_equal(
        new.values(seen(catalogue, known))[:, kept],
        old.policy.values(seen(CATALOGUE, known)),
    )


def test_names_find_their_places_in_any_order() -> None:
    assert places(["b", "new", "a"], ["a", "gone", "b"]).tolist() == [2, -1, 0]


def test_other_kinds_of_policies_are_refused(tmp_path: Path) -> None:
    width, arms = Encoding(CATALOGUE).width + 1, len(CATALOGUE.actions)
    policy = LinearGaussianPolicy(np.zeros((arms, width)), np.zeros((arms, width, width)))
    save_bundle(tmp_path / "linear", policy, CATALOGUE, lineage(0), {})
    with pytest.raises(InputError, match="only a Q-network can be carried over"):
        transferred(load_bundle(tmp_path / "linear"), CATALOGUE)


def test_the_dueling_weights_are_the_same_function(tmp_path: Path) -> None:
    from agents.learning.q_learner import DuelingNetwork

    policy = bundle(tmp_path).policy
    network = DuelingNetwork(Encoding(CATALOGUE).width, (16, 8), len(CATALOGUE.actions))
    own = network.state_dict()
    for name, array in dueling(policy.layers).items():
        own[name].copy_(torch.from_numpy(array))
    observations = seen(CATALOGUE, situations(CATALOGUE))
    with torch.no_grad():
        values = network(torch.from_numpy(observations)).numpy()
    np.testing.assert_allclose(values, policy.values(observations), rtol=1e-4, atol=1e-3)


@pytest.mark.slow
@pytest.mark.usefixtures("small_ray")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_learner_begins_with_the_values_it_is_given() -> None:
    from agents.q_learning import QLearningConfig
    from tests.agents.rationing import Rationing, every_state

    rng = np.random.default_rng(3)
    sizes = [6, 12, 4]
    layers = tuple(
        (rng.normal(size=(a, b)), rng.normal(size=b)) for a, b in itertools.pairwise(sizes)
    )
    policy = QNetworkPolicy(layers, 0.0)
    config = QLearningConfig().environment(Rationing).debugging(seed=0, log_level="ERROR")
    config.env_runners(num_envs_per_env_runner=8).training(hidden=(12,), critic=False)
    algorithm = config.build_algo()
    with pytest.raises(InputError, match=r"hidden layers \(16, 8\), the learner \(12,\)"):
        start_from(algorithm, QNetworkPolicy(tuple((np.zeros(s), np.zeros(s[1])) for s in
                                                   [(6, 16), (16, 8), (8, 4)]), 0.0))  # fmt: skip
    start_from(algorithm, policy, scale=2.0)
    observations, mask = every_state()
    found = algorithm.policy().values(observations)
    batch = {
        "observations": torch.from_numpy(observations),
        "action_mask": torch.from_numpy(mask),
    }
    chosen = algorithm.env_runner.module.forward_inference(batch)["actions"].numpy()
    algorithm.stop()
    np.testing.assert_allclose(found, 2.0 * policy.values(observations), rtol=1e-4, atol=1e-4)
    best = np.where(mask, policy.values(observations), -np.inf).argmax(axis=1)
    np.testing.assert_array_equal(chosen, best)


def test_only_q_learning_begins_with_a_bundle(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "lints", "--warm-start", "runs/nowhere"]) == 2
    assert "--warm-start begins q in a world, not lints" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("small_ray")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_training_begins_with_what_a_bundle_knows(tmp_path: Path) -> None:
    from agents.training.settings import TrainConfig
    from agents.training.world_training import world_algorithm

    catalogue = catalogue_for("small", None)
    rng = np.random.default_rng(0)
    sizes = [Encoding(catalogue).width, 12, len(catalogue.actions)]
    layers = tuple(
        (rng.normal(size=(a, b)).astype(np.float32).astype(np.float64), np.zeros(b))
        for a, b in itertools.pairwise(sizes)
    )
    policy = QNetworkPolicy(layers, 0.02)
    figures = {"reward_scale": 0.005}  # half of Q-learning's own
    save_bundle(tmp_path / "first", policy, catalogue, lineage(0), figures)
    start = TrainConfig("q", preset="small", warm_start=tmp_path / "first")
    algorithm = world_algorithm(start)
    begun = algorithm.policy()
    algorithm.stop()
    observations = rng.normal(size=(20, sizes[0])).astype(np.float32)
    np.testing.assert_allclose(
        begun.values(observations),
        2.0 * policy.values(observations),
        rtol=1e-3,
        atol=1e-3,
    )
