"""Presets as files: trees of numbers, each with its source, that build on one another.

A number is written ``{is: 0.30, source: assumed}``; a table or a row of one may say ``source`` once
for all its numbers. A file that is ``based_on`` another says only what differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from envs.errors import InputError

STORIES: Final = Path(__file__).with_name("stories")
FITTED: Final = "fitted.yaml"
"""Numbers that calibration fitted, by preset; they come after the preset's own file."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value of a file."""

    value: Any
    source: str | None
    place: str
    """File and line."""


Tree = Mapping[str, "Leaf | Tree"]


def read_story(name: str, above: tuple[str, ...] = ()) -> dict[str, Leaf | Tree]:
    """The tree of a preset, with what it is based on and what was fitted.

    ``above`` are the presets that are based on it.

    Raises:
        InputError: the files are wrong; file, line and field are named.
    """
    own = _read(STORIES / f"{name}.yaml")
    base = own.pop("based_on", None)
    tree: dict[str, Leaf | Tree] = {}
    if isinstance(base, Leaf):
        lower = str(base.value)
        if lower in (name, *above) or not (STORIES / f"{lower}.yaml").exists():
            raise InputError(f"{base.place}: based_on: no preset to build on (got {lower!r})")
        tree = read_story(lower, (name, *above))
    tree = merged(tree, own)
    fitted = _read(STORIES / FITTED).get(name, {}) if (STORIES / FITTED).exists() else {}
    return merged(tree, fitted) if isinstance(fitted, Mapping) else tree


def merged(tree: Tree, over: Tree) -> dict[str, Leaf | Tree]:
    """A tree with another on top; leaves replace, branches merge."""
    together = dict(tree)
    for key, part in over.items():
        below = together.get(key)
        both = isinstance(part, Mapping) and isinstance(below, Mapping)
        together[key] = merged(below, part) if both else part  # type: ignore[arg-type]
    return together


def values(tree: Tree) -> dict[str, Any]:
    """The tree with plain values."""
    return {
        key: part.value if isinstance(part, Leaf) else values(part) for key, part in tree.items()
    }


def sources(tree: Tree, prefix: str = "") -> dict[str, str]:
    """The source of each number by its dotted name.

    Raises:
        InputError: a number without a source.
    """
    found: dict[str, str] = {}
    for key, part in tree.items():
        name = f"{prefix}{key}"
        if not isinstance(part, Leaf):
            found |= sources(part, f"{name}.")
        elif isinstance(part.value, str | None):
            continue
        elif part.source is not None:
            found[name] = part.source
        else:
            raise InputError(f"{part.place}: {name}: no source: write {{is: ..., source: ...}}")
    return found


def place(tree: Tree, location: tuple[int | str, ...]) -> str:
    """File and line of a field, as far down as it is written."""
    part: Leaf | Tree | None = tree
    for step in location:
        if isinstance(part, Leaf) or part is None:
            break
        part = part.get(str(step), part)
    while isinstance(part, Mapping):
        part = next(iter(part.values()), None)
    return "preset" if part is None else part.place


def _read(path: Path) -> dict[str, Leaf | Tree]:
    """The tree of one file."""
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise InputError(f"{path.name}:{line}: {getattr(error, 'problem', 'no YAML')}") from None
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise InputError(f"{path.name}:1: no mapping of fields")
    return _branch(root, path.name, None)


def _branch(node: yaml.MappingNode, file: str, source: str | None) -> dict[str, Leaf | Tree]:
    parts = {str(key.value): value for key, value in node.value}
    own = parts.pop("source", None)
    source = source if own is None else str(_value(own))
    return {key: _part(value, file, source) for key, value in parts.items()}


def _part(node: yaml.Node, file: str, source: str | None) -> Leaf | Tree:
    place = f"{file}:{node.start_mark.line + 1}"
    if not isinstance(node, yaml.MappingNode):
        return Leaf(_value(node), source, place)
    parts = {str(key.value): value for key, value in node.value}
    if "is" not in parts:
        return _branch(node, file, source)
    told = _value(parts["source"]) if "source" in parts else source
    return Leaf(_value(parts["is"]), told, place)


def _value(node: yaml.Node) -> Any:
    """What a node says, as plain Python."""
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()
