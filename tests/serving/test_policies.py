"""Another policy while the service runs: taken when it is sound, refused when it is not."""

import numpy as np
import pytest

from agents.policy import QNetworkPolicy, save_bundle
from envs.catalogue import parse_catalogue
from envs.encoding import Encoding
from envs.lineage import lineage


def save(path, catalogue):
    """A bundle that prefers whatever its random weights prefer."""
    width, actions = Encoding(catalogue).width, len(catalogue.actions)
    weights = np.random.default_rng(3).normal(size=(width, actions)).astype(np.float32)
    policy = QNetworkPolicy(((weights.astype(np.float64), np.zeros(actions)),), floor=0.05)
    save_bundle(path, policy, catalogue, lineage(3), {})
    return path


def of_another_catalogue(path, catalogue):
    save(path, parse_catalogue(catalogue.text.replace("name: retail", "name: other")))


def of_another_checksum(path, catalogue):
    weights = save(path, catalogue) / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)


def cut_short(path, catalogue):
    weights = save(path, catalogue) / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])


def without_manifest(path, catalogue):
    (save(path, catalogue) / "policy.json").unlink()


def too_large(path, catalogue):
    """A teacher that was to be distilled first."""
    width, actions = Encoding(catalogue).width, len(catalogue.actions)
    layers = ((np.ones((width, 3000)), np.ones(3000)), (np.ones((3000, actions)), np.ones(actions)))
    save_bundle(path, QNetworkPolicy(layers), catalogue, lineage(3), {}, served=False)


def missing(path, catalogue):
    pass


@pytest.mark.parametrize(
    "spoil",
    [of_another_catalogue, of_another_checksum, cut_short, without_manifest, too_large, missing],
)
def test_a_bundle_that_is_refused_leaves_the_running_policy(live, catalogue, tmp_path, spoil):
    spoil(tmp_path / "bundle", catalogue)
    assert live.service.change_policy(str(tmp_path / "bundle")) is False
    assert live.offer()["policy"] == "uniform"
    status = live.client.get("/readyz").json()
    assert status["policy"] == "uniform"
    assert str(tmp_path / "bundle") in status["refused_policy"]


def test_a_sound_bundle_decides_from_then_on(live, catalogue, tmp_path):
    before = live.offer("r1")
    assert live.service.change_policy(str(save(tmp_path / "bundle", catalogue)))
    after = live.offer("r2")
    assert after["policy"].startswith("q_network-")
    assert live.offer("r1") == before
    assert live.client.get("/readyz").json()["refused_policy"] is None


def test_a_service_without_a_policy_is_not_ready_and_stays_silent(live):
    live.service.offers.decider = type(live.service.offers.decider)(live.service.catalogue, None)
    answer = live.offer()
    assert (answer["action"], answer["degraded"]) == ("silence", True)
    ready = live.client.get("/readyz")
    assert (ready.status_code, ready.json()["error"]["code"]) == (503, "not_ready")
