import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from agents.policies.exploration import Thompson
from agents.policy import (
    BundleError,
    LinearGaussianPolicy,
    QNetworkPolicy,
    load_bundle,
    load_policy,
    save_bundle,
)
from envs.catalogue import Catalogue, load_catalogue, parse_catalogue
from envs.encoding import Encoding
from envs.errors import InputError
from envs.lineage import lineage

CATALOGUE = load_catalogue()
WIDTH, ACTIONS = Encoding(CATALOGUE).width, len(CATALOGUE.actions)


def q_policy(seed: int = 0) -> QNetworkPolicy:
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(WIDTH, 16)).astype(np.float32).astype(np.float64)
    last = rng.normal(size=(16, ACTIONS)).astype(np.float32).astype(np.float64)
    return QNetworkPolicy(((first, np.zeros(16)), (last, np.zeros(ACTIONS))), floor=0.05)


def linear_policy() -> LinearGaussianPolicy:
    rng = np.random.default_rng(1)
    factors = np.tril(rng.normal(size=(ACTIONS, WIDTH + 1, WIDTH + 1)))
    return LinearGaussianPolicy(rng.normal(size=(ACTIONS, WIDTH + 1)), factors, Thompson(0.01, 0.5))


def save_q(path: Path, catalogue: Catalogue = CATALOGUE) -> Path:
    save_bundle(path, q_policy(), catalogue, lineage(7), {"value": 1.5})
    return path


def situations(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    mask = rng.random((n, ACTIONS)) < 0.5
    mask[:, 0] = True
    return rng.normal(size=(n, WIDTH)).astype(np.float32), mask


@pytest.mark.parametrize("make", [q_policy, linear_policy])
def test_a_policy_decides_bit_for_bit_the_same_after_the_bundle(
    make: Callable[[], QNetworkPolicy | LinearGaussianPolicy], tmp_path: Path
) -> None:
    policy = make()
    save_bundle(tmp_path / "b", policy, CATALOGUE, lineage(7), {"value": 1.5})
    bundle = load_bundle(tmp_path / "b", CATALOGUE)
    np.testing.assert_array_equal(
        bundle.policy.probabilities(*situations()), policy.probabilities(*situations())
    )
    assert bundle.manifest.seed == 7
    assert bundle.manifest.figures == {"value": 1.5}
    assert bundle.policy.name.startswith(policy.kind)


def test_a_bundle_without_a_catalogue_at_hand_brings_its_own(tmp_path: Path) -> None:
    assert load_bundle(save_q(tmp_path / "b")).catalogue.hash == CATALOGUE.hash


def test_saving_again_replaces_the_bundle_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    save_q(tmp_path / "b")
    save_bundle(tmp_path / "b", linear_policy(), CATALOGUE, lineage(1), {})
    assert load_bundle(tmp_path / "b").policy.kind == "linear_gaussian"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_folder_that_is_no_bundle_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.txt").write_text("years of work")
    with pytest.raises(BundleError, match="no bundle"):
        save_q(tmp_path / "b")
    assert (tmp_path / "b" / "thesis.txt").exists()


def cut_weights(path: Path) -> None:
    weights = path / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])


def change_weights(path: Path) -> None:
    weights = path / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)


def cut_manifest(path: Path) -> None:
    text = (path / "policy.json").read_text()
    (path / "policy.json").write_text(text[: len(text) // 2])


def rewrite(path: Path, **fields: object) -> None:
    manifest = json.loads((path / "policy.json").read_text())
    (path / "policy.json").write_text(json.dumps(manifest | fields))


def rewrite_weights(path: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    """Other weights with the right checksum: what a faulty exporter would write."""
    import hashlib

    arrays = load_file(path / "weights.safetensors")
    change(arrays)
    content = save(arrays)
    (path / "weights.safetensors").write_bytes(content)
    rewrite(path, weights_sha256=hashlib.sha256(content).hexdigest())


def not_finite(arrays: dict[str, np.ndarray]) -> None:
    arrays["layer0.bias"][3] = np.nan


def too_narrow(arrays: dict[str, np.ndarray]) -> None:
    arrays["layer0.weight"] = arrays["layer0.weight"][1:]


def too_few_actions(arrays: dict[str, np.ndarray]) -> None:
    arrays["layer1.weight"] = np.ascontiguousarray(arrays["layer1.weight"][:, 1:])
    arrays["layer1.bias"] = arrays["layer1.bias"][1:]


def a_layer_less(arrays: dict[str, np.ndarray]) -> None:
    del arrays["layer0.bias"]


def other_catalogue(path: Path) -> None:
    text = CATALOGUE.text.replace("margin: 0.35", "margin: 0.36")
    assert parse_catalogue(text).hash != CATALOGUE.hash
    (path / "catalogue.yaml").write_text(text)


DAMAGES: list[tuple[Callable[[Path], None], str]] = [
    (cut_weights, "checksum"),
    (change_weights, "checksum"),
    (lambda path: (path / "weights.safetensors").unlink(), "weights.safetensors"),
    (cut_manifest, "not JSON"),
    (lambda path: (path / "policy.json").write_bytes(b"\xff\xfe"), "not JSON"),
    (lambda path: rewrite(path, version=2), "version"),
    (lambda path: rewrite(path, surprise=1), "surprise"),
    (lambda path: rewrite(path, kind="pickle"), "unknown kind 'pickle'"),
    (lambda path: rewrite(path, encoding_hash="0" * 64), "encoding"),
    (lambda path: rewrite(path, settings={"floor": 2.0}), "floor"),
    (lambda path: rewrite(path, settings={}), "floor"),
    (other_catalogue, "made for catalogue"),
    (lambda path: (path / "catalogue.yaml").write_text("scenes: ["), "catalogue.yaml"),
    (lambda path: (path / "catalogue.yaml").unlink(), "catalogue.yaml"),
    (lambda path: rewrite_weights(path, not_finite), "not finite"),
    (lambda path: rewrite_weights(path, too_narrow), "features"),
    (lambda path: rewrite_weights(path, too_few_actions), "actions"),
    (lambda path: rewrite_weights(path, a_layer_less), "layer"),
]


@pytest.mark.parametrize(("damage", "says"), DAMAGES)
def test_a_damaged_bundle_is_refused_in_one_line_that_says_why(
    damage: Callable[[Path], None], says: str, tmp_path: Path
) -> None:
    path = save_q(tmp_path / "b")
    damage(path)
    with pytest.raises(BundleError) as caught:
        load_bundle(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bundle_for_another_catalogue_is_refused(tmp_path: Path) -> None:
    other = parse_catalogue(CATALOGUE.text.replace("margin: 0.35", "margin: 0.36"))
    with pytest.raises(BundleError, match="made for catalogue"):
        load_bundle(save_q(tmp_path / "b"), other)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a bundle"):
        load_bundle(tmp_path / "nothing")


def test_a_policy_is_named_by_baseline_or_by_folder(tmp_path: Path) -> None:
    assert load_policy("constant:gift/mini_program", CATALOGUE).kind == "constant"
    assert load_policy(str(save_q(tmp_path / "b")), CATALOGUE).kind == "q_network"
    with pytest.raises(InputError, match="no policy 'nobody'"):
        load_policy("nobody", CATALOGUE)


def test_loading_a_policy_needs_neither_torch_nor_ray_nor_a_simulator() -> None:
    heavy = "{'torch', 'ray', 'simulators', 'pandas', 'pyarrow', 'scipy', 'gymnasium'}"
    code = f"import sys, agents.policy; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
