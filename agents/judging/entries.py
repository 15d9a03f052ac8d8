"""Who is evaluated: policies as a command line names them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.baselines import is_baseline
from agents.policy import Bundle, Policy, load_bundle, load_policy
from envs.catalogue import Catalogue
from envs.errors import InputError


@dataclass(frozen=True, slots=True)
class Entry:
    """A policy that takes part."""

    name: str
    """In reports; no other has it."""
    group: str
    """What several policies are called that differ in their training seed only."""
    policy: Policy
    bundle: Bundle | None
    """Of a trained policy."""

    def origin(self) -> dict[str, object]:
        """Where a trained policy comes from; nothing for a baseline."""
        if self.bundle is None:
            return {}
        manifest = self.bundle.manifest
        return {
            "bundle": {
                "kind": manifest.kind,
                "seed": manifest.seed,
                "catalogue_hash": manifest.catalogue_hash,
                "encoding_hash": manifest.encoding_hash,
                "weights_sha256": manifest.weights_sha256,
                "lineage": dict(manifest.lineage),
            }
        }


def entries(specs: Sequence[str], catalogue: Catalogue, taken: Sequence[str]) -> list[Entry]:
    """Load what a command line names, as SPEC or NAME=SPEC.

    A NAME that comes once names its policy; one that comes again and again names a group, and its
    policies are called by all of NAME=SPEC.

    Args:
        specs: baselines or folders of bundles.
        catalogue: the business to decide for.
        taken: names of others that take part; a baseline among them needs no second entry.

    Raises:
        InputError: names or policies that are not there, or come twice.
    """
    parts = [_parted(spec) for spec in specs]
    repeated = {spec for spec, count in Counter(specs).items() if count > 1}
    if repeated:
        raise InputError(f"{min(repeated)} is given twice: name each policy once")
    times = Counter(name for name, _ in parts if name)
    found: list[Entry] = []
    for name, spec in parts:
        if not name and spec in taken:
            continue
        title = f"{name}={spec}" if times[name] > 1 else name or spec
        if title in (*taken, *(entry.name for entry in found)):
            raise InputError(f"{title} names a policy already: give {spec} another name")
        found.append(_entry(title, name, spec, catalogue))
    return found


def _parted(given: str) -> tuple[str, str]:
    """NAME and SPEC; no name where none is given."""
    given = given.rstrip("/")
    name, separator, spec = given.partition("=")
    if not separator or Path(given).exists():
        return "", given
    if not name or not spec:
        raise InputError(f"{given!r} is no NAME=POLICY: give both, or the policy alone")
    return name, spec


def _entry(title: str, group: str, spec: str, catalogue: Catalogue) -> Entry:
    if is_baseline(spec) or not Path(spec).is_dir():
        return Entry(title, group, load_policy(spec, catalogue), None)
    bundle = load_bundle(Path(spec), catalogue)
    return Entry(title, group, bundle.policy, bundle)


def groups(found: Sequence[Entry]) -> dict[str, list[str]]:
    """The names of the policies of each group of several."""
    members: dict[str, list[str]] = {}
    for entry in found:
        if entry.group:
            members.setdefault(entry.group, []).append(entry.name)
    return {group: names for group, names in members.items() if len(names) > 1}
