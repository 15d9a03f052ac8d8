"""What goes wrong in real worlds: wrappers that take a world and give a world.

They compose in any order, ``Drift(FailedChannel(SyntheticWorld(100), "push", 3, 10), 0.1)``, draw
by (seed, user, opportunity, purpose) like the world inside, and leave the path of scenes alone. At
strength 0 a stressed world is the world inside, bit for bit. Days count from the world's start.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Final

from envs.errors import InputError
from simulators.stress.altered import Drift, PriceShock, SeasonalShock
from simulators.stress.delays import DelayedFeedback
from simulators.stress.failures import FailedChannel, MissingSignals
from simulators.world import SyntheticWorld

STRESSES: Final = {
    "drift": Drift,
    "seasonal_shock": SeasonalShock,
    "price_shock": PriceShock,
    "failed_channel": FailedChannel,
    "missing_signals": MissingSignals,
    "delayed_feedback": DelayedFeedback,
}
"""Stress by its name on the command line."""


def stressed(world: SyntheticWorld, specs: Sequence[str]) -> SyntheticWorld:
    """The world under the stresses, the first innermost.

    Args:
        world: at its start.
        specs: like ``drift:0.1`` or ``failed_channel:push:3:10``, see ``usages``.

    Raises:
        InputError: a stress that is not known, or its numbers are wrong.
    """
    for spec in specs:
        name, *given = spec.split(":")
        if name not in STRESSES:
            raise InputError(f"stress {name!r} is not known: use {', '.join(usages())}")
        wanted = _parameters(name)
        try:
            values = [kind(text) for text, kind in zip(given, wanted.values(), strict=True)]
        except ValueError:
            raise InputError(f"stress {spec!r}: write it as {_usage(name)}") from None
        world = STRESSES[name](world, *values)
    return world


def usages() -> list[str]:
    """How each stress is written."""
    return [_usage(name) for name in STRESSES]


def _usage(name: str) -> str:
    return ":".join([name, *(parameter.upper() for parameter in _parameters(name))])


def _parameters(name: str) -> dict[str, type]:
    """What the stress wants to be told, and as what."""
    parameters = inspect.signature(STRESSES[name], eval_str=True).parameters
    return {key: part.annotation for key, part in parameters.items() if key != "world"}
