"""What the service understands of the context that callers of the Personalizer door send."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue

USER: Final = "user_id"
SCENE: Final = "scene"


@dataclass(frozen=True, slots=True)
class Heard:
    """A context, understood."""

    user_id: str | None
    """None for a stranger."""
    scene: int
    attributes: NDArray[np.float32] | None
    """[J], NaN where not told; None where nothing is."""
    told: list[Any]
    """The context as it may be kept: without the user's name."""


class Context:
    """Understands the features that one catalogue has words for, and lets the others pass."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._scenes = {scene.name: number for number, scene in enumerate(catalogue.scenes)}
        self._attributes = catalogue.attributes

    def hear(self, features: list[Any]) -> Heard:
        """A context: objects of features, or of objects of features, as callers group them."""
        found: dict[str, Any] = {}
        for name, value in _pairs(features):
            found.setdefault(name, value)
        user, scene = found.get(USER), found.get(SCENE)
        return Heard(
            user_id=str(user) if isinstance(user, str | int) and user != "" else None,
            scene=self._scenes.get(scene, 0) if isinstance(scene, str) else 0,
            attributes=self._values(found),
            told=[_without_user(part) for part in features],
        )

    def _values(self, found: dict[str, Any]) -> NDArray[np.float32] | None:
        values = np.full(len(self._attributes), np.nan, np.float32)
        for number, attribute in enumerate(self._attributes):
            value = found.get(attribute.name)
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                try:
                    values[number] = attribute.number(value)
                except (ValueError, OverflowError):
                    continue  # a feature of the same name that means something else
        return None if np.isnan(values).all() else values


def _pairs(features: list[Any]) -> Iterator[tuple[str, Any]]:
    for part in features:
        if isinstance(part, dict):
            yield from part.items()
            for group in part.values():
                if isinstance(group, dict):
                    yield from group.items()


def _without_user(part: Any) -> Any:
    """The same without the name of the user, however deep it lies."""
    if isinstance(part, dict):
        return {name: _without_user(value) for name, value in part.items() if name != USER}
    if isinstance(part, list):
        return [_without_user(value) for value in part]
    return part
