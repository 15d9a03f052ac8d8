"""A policy that can be moved: the bundle, a folder that is checked before it decides anything.

A bundle holds ``policy.json`` (kind, hashes, checksum, lineage, seed, figures, settings),
``weights.safetensors`` and ``catalogue.yaml``; never a pickle, so that loading runs no code.
NumPy only: a service loads bundles without torch, Ray or a simulator.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from agents.baselines import is_baseline, make_baseline
from agents.policies.linear_gaussian import LinearGaussianPolicy
from agents.policies.neural_linear import NeuralLinearPolicy
from agents.policies.q_network import QNetworkPolicy
from agents.policies.table_policy import TablePolicy
from agents.policies.wide_and_deep import WideAndDeepPolicy
from envs.aside import folder_aside
from envs.catalogue import Catalogue, parse_catalogue
from envs.decisions import Policy as DecidingPolicy
from envs.encoding import Encoding
from envs.errors import CatalogueError, InputError

__all__ = [
    "SERVED_BYTES",
    "Bundle",
    "BundleError",
    "LinearGaussianPolicy",
    "Manifest",
    "NeuralLinearPolicy",
    "Policy",
    "QNetworkPolicy",
    "TablePolicy",
    "check_place",
    "check_policy",
    "is_folder",
    "load_bundle",
    "load_policy",
    "save_bundle",
]

MANIFEST, WEIGHTS, CATALOGUE = "policy.json", "weights.safetensors", "catalogue.yaml"
SERVED_BYTES = 1_000_000
"""Most that the weights of a served policy may have: it is loaded by every replica, at any time."""
BundledPolicy = (
    QNetworkPolicy | WideAndDeepPolicy | LinearGaussianPolicy | NeuralLinearPolicy | TablePolicy
)
KINDS: dict[str, type[BundledPolicy]] = {
    kind.kind: kind
    for kind in (
        QNetworkPolicy,
        WideAndDeepPolicy,
        LinearGaussianPolicy,
        NeuralLinearPolicy,
        TablePolicy,
    )
}


class BundleError(InputError):
    """A bundle that must not decide; the message names the folder and what differs."""


class Policy(DecidingPolicy, Protocol):
    """A deciding policy that can say what it is."""

    kind: ClassVar[str]

    def describe(self) -> str:
        """One line for people."""


class Manifest(BaseModel):
    """What ``policy.json`` says."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    version: Literal[1]
    kind: str
    catalogue_hash: str
    encoding_hash: str
    weights_sha256: str
    seed: int
    lineage: dict[str, str | int]
    settings: dict[str, float]
    """The policy's numbers that are no weights, such as its exploration floor."""
    figures: dict[str, Any] = Field(default_factory=dict)
    """What was measured of it when it was made."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A loaded policy, the business it decides for, and what is known of it."""

    policy: BundledPolicy
    catalogue: Catalogue
    manifest: Manifest
    path: Path


def check_place(path: Path) -> None:
    """See to it that a bundle may be written there: before the work, not after it.

    Raises:
        BundleError: something that is no bundle is in the way.
    """
    if path.exists() and not (path / MANIFEST).is_file() and not _is_empty_folder(path):
        raise BundleError(f"{path} exists and is no bundle: give another --out")


def save_bundle(
    path: Path,
    policy: BundledPolicy,
    catalogue: Catalogue,
    lineage: dict[str, str | int],
    figures: dict[str, Any],
    served: bool = True,
) -> None:
    """Write a policy as a folder, aside and then renamed; an older bundle there is replaced.

    Args:
        path: of the folder.
        policy: what decides.
        catalogue: the business it decides for.
        lineage: of the policy; its seed among them.
        figures: what was measured of it.
        served: whether it has to be small enough to be served; a teacher to be distilled has not.

    Raises:
        BundleError: something that is no bundle is in the way, or the policy is too large.
    """
    path = Path(path)
    check_place(path)
    weights = save(policy.weights())
    if served:
        _check_size(path, len(weights))
    manifest = Manifest(
        version=1,
        kind=policy.kind,
        catalogue_hash=catalogue.hash,
        encoding_hash=Encoding(catalogue).hash,
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        seed=int(lineage["seed"]),
        lineage=lineage,
        settings=policy.settings(),
        figures=figures,
    )
    with folder_aside(path, replace=True) as aside:
        (aside / WEIGHTS).write_bytes(weights)
        (aside / CATALOGUE).write_text(catalogue.text, encoding="utf-8")
        (aside / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _check_size(path: Path, weights: int) -> None:
    if weights > SERVED_BYTES:
        raise BundleError(
            f"{path}: weights of {weights:,} bytes are more than the {SERVED_BYTES:,} of a served "
            "policy: train it with --large, and make it smaller with python -m agents distil"
        )


def check_policy(path: Path, policy: BundledPolicy) -> None:
    """See to it that a policy of this size may be served: before it is trained, not after it.

    Raises:
        BundleError: it is too large.
    """
    _check_size(path, len(save(policy.weights())))


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def load_bundle(path: Path, catalogue: Catalogue | None = None, served: bool = False) -> Bundle:
    """Load and check a bundle; with no catalogue given, the bundle's own.

    Raises:
        BundleError: unreadable, cut short or changed; of another catalogue or encoding; of an
            unknown kind; with weights of a wrong shape or that are not finite; to be served and
            too large for it.
    """
    path = Path(path)
    manifest = _read_manifest(path)
    catalogue = _read_catalogue(path) if catalogue is None else catalogue
    encoding = Encoding(catalogue)
    for what, has, needs in (
        ("catalogue", manifest.catalogue_hash, catalogue.hash),
        ("encoding", manifest.encoding_hash, encoding.hash),
    ):
        if has != needs:
            raise BundleError(
                f"{path}: made for {what} {has[:12]}, but {needs[:12]} is in use: "
                f"train a policy for this {what}"
            )
    if manifest.kind not in KINDS:
        raise BundleError(f"{path}: unknown kind {manifest.kind!r}, known are {sorted(KINDS)}")
    weights = _read_weights(path, manifest.weights_sha256)
    if served:
        _check_size(path, (path / WEIGHTS).stat().st_size)
    name = f"{manifest.kind}-{manifest.weights_sha256[:12]}"
    try:
        policy = KINDS[manifest.kind].from_weights(weights, manifest.settings, name)
    except ValueError as error:
        raise BundleError(f"{path}: {WEIGHTS} does not make a policy: {error}") from None
    expected = (encoding.width, len(catalogue.actions))
    if policy.shape != expected:
        raise BundleError(
            f"{path}: decides {policy.shape[1]} actions from {policy.shape[0]} features, "
            f"but the catalogue has {expected[1]} and {expected[0]}"
        )
    return Bundle(policy, catalogue, manifest, path)


def _read(path: Path, name: str) -> bytes:
    try:
        return (path / name).read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: no readable {name} ({error.strerror}): not a bundle") from None


def _read_manifest(path: Path) -> Manifest:
    content = _read(path, MANIFEST)
    try:
        return Manifest.model_validate(json.loads(content))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(step) for step in first["loc"])
        raise BundleError(f"{path}: {MANIFEST}: {field}: {first['msg']}") from None
    except (ValueError, RecursionError):
        raise BundleError(f"{path}: {MANIFEST} is not JSON: cut short or changed") from None


def _read_catalogue(path: Path) -> Catalogue:
    try:
        text = _read(path, CATALOGUE).decode("utf-8")
        return parse_catalogue(text, str(path / CATALOGUE))
    except (CatalogueError, UnicodeDecodeError) as error:
        raise BundleError(f"{path}: {CATALOGUE} is wrong: {error}") from None


def _read_weights(path: Path, checksum: str) -> dict[str, NDArray[Any]]:
    content = _read(path, WEIGHTS)
    found = hashlib.sha256(content).hexdigest()
    if found != checksum:
        raise BundleError(
            f"{path}: {WEIGHTS} has checksum {found[:12]}, {MANIFEST} says {checksum[:12]}: "
            "cut short or changed"
        )
    try:
        return load(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path}: {WEIGHTS} is not safetensors: {error}") from None


def is_folder(path: str | Path) -> bool:
    """Whether there is a folder of that name; a name that no file can have is none."""
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False


def load_policy(spec: str, catalogue: Catalogue, served: bool = False) -> Policy:
    """The policy that a command line names: a baseline, or the folder of a bundle.

    Args:
        spec: ``silence``, ``uniform``, ``rule_book``, ``constant:gift/mini_program`` or a folder.
        catalogue: the business to decide for.
        served: whether it is to be served, and has to be small enough for that.

    Raises:
        InputError: neither a baseline nor a folder.
        BundleError: a folder that is refused.
    """
    if is_baseline(spec):
        return make_baseline(spec, catalogue)
    if not is_folder(spec):
        raise InputError(
            f"no policy {spec!r}: give the folder of a bundle, or silence, uniform, rule_book "
            "or constant:OFFER/CHANNEL"
        )
    return load_bundle(Path(spec), catalogue, served).policy
