"""A policy as it travels between machines: a baseline's name, or the three files of a bundle.

What travels is data. It is written to a folder of its own and loaded as any bundle is, checked
against the catalogue that is served; nothing in it is run.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from agents.baselines import is_baseline, make_baseline
from agents.policy import SERVED_BYTES, is_folder, load_bundle, load_policy
from envs.catalogue import Catalogue
from envs.decisions import Moment, Policy
from envs.errors import InputError
from envs.users import UserState
from serving.policies.decide import Decider
from serving.policies.lineup import Loaded

logger = logging.getLogger(__name__)

BUNDLE: Final = "bundle"
LONGEST: Final = {
    "policy.json": 65_536,
    "weights.safetensors": SERVED_BYTES,
    "catalogue.yaml": 1_000_000,
}
"""The files of a bundle, and how many bytes each may have to be served."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A policy that nobody has looked into yet."""

    source: str
    """Name of a baseline, or ``bundle``."""
    files: Mapping[str, bytes]
    """None for a baseline."""

    @property
    def hash(self) -> str:
        """Of the content: two parcels of one hash are one policy."""
        digest = hashlib.sha256(self.source.encode())
        for name, content in sorted(self.files.items()):
            digest.update(f" {name} {len(content)} ".encode() + content)
        return digest.hexdigest()

    @classmethod
    def pack(cls, spec: str, catalogue: Catalogue, below: Path | None = None) -> Parcel:
        """The policy that a caller or a configuration names.

        Args:
            spec: a baseline, or the folder of a bundle.
            catalogue: the business to decide for.
            below: folder in which the bundle has to lie, links followed; anywhere if left out.

        Raises:
            InputError: neither a baseline nor a folder of files that may be served.
        """
        if is_baseline(spec):
            return cls(spec, {})
        if below is not None:
            folder = _inside(Path(spec) if Path(spec).is_absolute() else below / spec, below, spec)
        else:
            folder = Path(spec)
        if not is_folder(folder):
            load_policy(spec, catalogue)  # which says what could be given
        files = {}
        for name, longest in LONGEST.items():
            file = folder / name
            files[name] = _content(file if below is None else _inside(file, below, spec), longest)
        return cls(BUNDLE, files)


def _inside(path: Path, below: Path, spec: str) -> Path:
    try:
        found = path.resolve()
    except (OSError, ValueError, RuntimeError) as error:  # a loop of links, a name that cannot be
        raise InputError(f"{ascii(spec)[:80]} is no path: {error}") from None
    if not found.is_relative_to(below.resolve()):
        raise InputError(
            f"{spec} does not lie in the folder that policies are loaded from: copy it there, or "
            "set SCENELIFT_POLICIES_DIR"
        )
    return found


def _content(file: Path, longest: int) -> bytes:
    try:
        if not file.is_file():
            raise InputError(f"{file.parent}: no readable {file.name}: not a bundle")
        with file.open("rb") as opened:
            content = opened.read(longest + 1)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from None
    if len(content) > longest:
        raise InputError(
            f"{file}: more than {longest:,} bytes, the most of a served policy: make it smaller"
        )
    return content


@dataclass(frozen=True, slots=True)
class Candidate:
    """A policy that was looked into and may serve."""

    decider: Decider
    loaded: Loaded


def unpack(parcel: Parcel, catalogue: Catalogue, spec: str, configured: bool = False) -> Candidate:
    """Load and check a policy, and let it decide once.

    Args:
        parcel: the policy.
        catalogue: the business to decide for.
        spec: what to call it when it is refused.
        configured: whether a configuration named it.

    Raises:
        InputError: it must not serve here; says why.
    """
    try:
        policy, kind, figures = _load(parcel, catalogue, spec)
        decider = Decider(catalogue, policy)
        if not usable(decider):
            raise InputError(f"{spec}: gives no usable probabilities: train another policy")
    except InputError:
        raise
    except Exception as error:  # a bundle may hold anything: what it breaks is no reason to stop
        logger.exception("policy %s cannot be loaded", spec)
        raise InputError(f"{spec}: cannot be loaded: {type(error).__name__}: {error}") from None
    size = sum(map(len, parcel.files.values()))
    return Candidate(
        decider,
        Loaded(
            policy=policy.name,
            kind=kind,
            source=parcel.source,
            hash=parcel.hash,
            size_bytes=size,
            configured=configured,
            figures=figures,
        ),
    )


def _load(parcel: Parcel, catalogue: Catalogue, spec: str) -> tuple[Policy, str, dict[str, Any]]:
    if not parcel.files:
        baseline = make_baseline(parcel.source, catalogue)
        return baseline, baseline.kind, {}
    with tempfile.TemporaryDirectory(prefix="scenelift-") as folder:
        for name in LONGEST:
            (Path(folder) / name).write_bytes(parcel.files.get(name, b""))
        try:
            bundle = load_bundle(Path(folder), catalogue, served=True)
        except InputError as error:
            raise InputError(str(error).replace(folder, spec)) from None
        return bundle.policy, bundle.manifest.kind, bundle.manifest.figures


def usable(decider: Decider) -> bool:
    """Whether a policy gives probabilities that can be drawn from; it is warm afterwards."""
    nobody = UserState.empty(decider.catalogue, 1)
    moment = Moment(np.zeros(1, np.int16), np.zeros(1, np.int32), np.zeros(1, np.int32))
    return not decider.decide(nobody, moment, np.zeros(1)).degraded[0]
