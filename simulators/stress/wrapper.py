"""A world around a world: what every stress has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from envs.decisions import EventKind, Events, Moment
from envs.errors import InputError
from simulators.world import SyntheticWorld

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

if TYPE_CHECKING:
    Inside = SyntheticWorld
else:
    Inside = object  # a stress has none of a world's arrays: it asks the world inside for them


class Stress(Inside):
    """A world around a world; what it does not change, the world inside answers."""

    def __init__(self, world: SyntheticWorld) -> None:
        self.world = world

    def __getattr__(self, name: str) -> Any:
        if name == "world":  # while being copied or unpickled
            raise AttributeError(name)
        return getattr(self.world, name)


def contacted(world: SyntheticWorld, moment: Moment, actions: Rows, which: Flags) -> Events:
    """What the decisions themselves imply."""
    rows = np.flatnonzero(which)
    chosen, catalogue = actions.take(rows), world.catalogue
    channel, offer = catalogue.action_channel.take(chosen), catalogue.action_offer.take(chosen)
    now, scene = moment.now.take(rows), moment.scene.take(rows)
    return Events.of(rows, EventKind.CONTACTED, now, scene, channel, offer)


def within(name: str, value: float, low: float, high: float) -> None:
    """Refuse a strength out of its range."""
    if not low <= value <= high:
        raise InputError(f"{name} {value:g} has to be {low:g} to {high:g}")
