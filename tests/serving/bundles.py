"""Small bundles, made without a learner."""

import numpy as np

from agents.policy import QNetworkPolicy, save_bundle
from envs.catalogue import parse_catalogue
from envs.encoding import Encoding
from envs.lineage import lineage


def save(path, catalogue, seed=3, figures=None):
    """A bundle that prefers whatever its random weights prefer."""
    width, actions = Encoding(catalogue).width, len(catalogue.actions)
    weights = np.random.default_rng(seed).normal(size=(width, actions)).astype(np.float32)
    policy = QNetworkPolicy(((weights.astype(np.float64), np.zeros(actions)),), floor=0.05)
    save_bundle(path, policy, catalogue, lineage(seed), figures or {})
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


def without_usable_probabilities(path, catalogue):
    """Weights that are finite each, and no longer when they meet."""
    width, actions = Encoding(catalogue).width, len(catalogue.actions)
    wide = np.full((width, width), 3e38)
    layers = [(wide, np.ones(width))] * 8 + [(np.full((width, actions), 3e38), np.ones(actions))]
    save_bundle(path, QNetworkPolicy(tuple(layers)), catalogue, lineage(3), {})


def missing(path, catalogue):
    pass


SPOILT = [
    of_another_catalogue,
    of_another_checksum,
    cut_short,
    without_manifest,
    too_large,
    missing,
]
