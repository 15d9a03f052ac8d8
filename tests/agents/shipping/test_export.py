"""A policy as an ONNX file, asked through ONNX Runtime as another program would."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from agents.__main__ import main
from agents.policies.exploration import Thompson
from agents.policy import LinearGaussianPolicy, QNetworkPolicy, save_bundle
from envs.catalogue import load_catalogue
from envs.encoding import Encoding
from envs.lineage import lineage

CATALOGUE = load_catalogue()
WIDTH, ACTIONS = Encoding(CATALOGUE).width, len(CATALOGUE.actions)


def policy(*hidden: int, floor: float = 0.05) -> QNetworkPolicy:
    rng = np.random.default_rng(4)
    widths = (WIDTH, *hidden, ACTIONS)
    layers = tuple(
        (
            rng.normal(size=(a, b)).astype(np.float32).astype(np.float64),
            rng.normal(size=b).astype(np.float32).astype(np.float64),
        )
        for a, b in pairwise(widths)
    )
    return QNetworkPolicy(layers, floor)


def exported(tmp_path: Path, decides: QNetworkPolicy) -> onnxruntime.InferenceSession:
    save_bundle(tmp_path / "bundle", decides, CATALOGUE, lineage(7), {})
    out = tmp_path / "policy.onnx"
    assert main(["export", str(tmp_path / "bundle"), "--out", str(out), "--json"]) == 0
    return onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])


def situations(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(n)
    mask = rng.random((n, ACTIONS)) < rng.random((n, 1))
    mask[:, 0] = True
    return {"observations": rng.normal(size=(n, WIDTH)).astype(np.float32), "mask": mask}


@pytest.mark.parametrize("hidden", [(), (16,), (128, 128)])
@pytest.mark.parametrize("n", [1, 500])
def test_the_file_gives_the_row_of_the_bundle_to_the_last_bit(
    hidden: tuple[int, ...], n: int, tmp_path: Path
) -> None:
    decides, asked = policy(*hidden), situations(n)
    (row,) = exported(tmp_path, decides).run(["probabilities"], asked)
    assert row.dtype == np.float64
    np.testing.assert_array_equal(row, decides.probabilities(**asked))


def test_of_equal_values_the_first_is_taken_as_in_the_bundle(tmp_path: Path) -> None:
    flat = QNetworkPolicy(((np.zeros((WIDTH, ACTIONS)), np.zeros(ACTIONS)),), 0.0)
    (row,) = exported(tmp_path, flat).run(None, situations(50))
    assert (row[:, 0] == 1.0).all()


def test_the_file_names_features_and_actions_and_where_it_came_from(tmp_path: Path) -> None:
    said = exported(tmp_path, policy(8)).get_modelmeta().custom_metadata_map
    assert json.loads(said["features"]) == list(Encoding(CATALOGUE).names)
    assert json.loads(said["actions"]) == [action.name for action in CATALOGUE.actions]
    assert json.loads(said["lineage"])["seed"] == 7
    assert said["catalogue_hash"] == CATALOGUE.hash
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "policy.onnx"]


def test_the_file_is_about_as_small_as_the_bundle(tmp_path: Path) -> None:
    exported(tmp_path, policy(128, 128))
    weights = (tmp_path / "bundle" / "weights.safetensors").stat().st_size
    assert (tmp_path / "policy.onnx").stat().st_size < 1.1 * weights


def test_a_posterior_is_refused_and_so_is_a_folder_as_the_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    factors = np.zeros((ACTIONS, WIDTH + 1, WIDTH + 1))
    beliefs = LinearGaussianPolicy(np.zeros((ACTIONS, WIDTH + 1)), factors, Thompson(0.01, 0.5))
    save_bundle(tmp_path / "bundle", beliefs, CATALOGUE, lineage(7), {})
    bundle = str(tmp_path / "bundle")
    for out, says in ((tmp_path / "x.onnx", "only a q_network"), (tmp_path, "is a folder")):
        assert main(["export", bundle, "--out", str(out)]) == 2
        said = capsys.readouterr().err
        assert says in said and said.count("\n") == 1
    assert not (tmp_path / "x.onnx").exists()
