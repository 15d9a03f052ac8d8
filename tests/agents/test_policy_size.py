"""A served policy is small: larger ones are refused where they are written and where they serve."""

from pathlib import Path

import numpy as np
import pytest

from agents.policy import (
    SERVED_BYTES,
    BundleError,
    QNetworkPolicy,
    load_bundle,
    load_policy,
    save_bundle,
)
from envs.catalogue import load_catalogue
from envs.encoding import Encoding
from envs.lineage import lineage

CATALOGUE = load_catalogue()
WIDTH, ACTIONS = Encoding(CATALOGUE).width, len(CATALOGUE.actions)


def q_policy(hidden: int) -> QNetworkPolicy:
    first, last = np.ones((WIDTH, hidden)), np.ones((hidden, ACTIONS))
    return QNetworkPolicy(((first, np.zeros(hidden)), (last, np.zeros(ACTIONS))))


SMALL, LARGE = q_policy(2200), q_policy(2400)  # 4 bytes x (73 + 1 + 31) x hidden


def test_a_policy_too_large_to_be_served_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"1,000,000 of a served policy: .* distil"):
        save_bundle(tmp_path / "b", LARGE, CATALOGUE, lineage(0), {})
    assert not list(tmp_path.iterdir())


def test_a_policy_that_is_just_small_enough_is_written_and_serves(tmp_path: Path) -> None:
    save_bundle(tmp_path / "b", SMALL, CATALOGUE, lineage(0), {})
    assert (tmp_path / "b" / "weights.safetensors").stat().st_size <= SERVED_BYTES
    assert load_policy(str(tmp_path / "b"), CATALOGUE, served=True).kind == "q_network"


def test_a_teacher_is_written_and_loaded_but_does_not_serve(tmp_path: Path) -> None:
    save_bundle(tmp_path / "b", LARGE, CATALOGUE, lineage(0), {}, served=False)
    assert load_bundle(tmp_path / "b").policy.shape == (WIDTH, ACTIONS)
    for load in (
        lambda: load_bundle(tmp_path / "b", served=True),
        lambda: load_policy(str(tmp_path / "b"), CATALOGUE, served=True),
    ):
        with pytest.raises(BundleError, match="distil"):
            load()
