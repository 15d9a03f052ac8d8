"""A service as its clients see it: what is asked, told and answered, whatever carries it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.clock import to_datetime
from simulators.rows import SENSED
from simulators.signals import Signals

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service decided for one user."""

    decision_id: str
    action: str
    propensity: float
    policy: str
    degraded: bool


class Service(Protocol):
    """Somebody who decides for users and is told what became of it."""

    async def decide(self, request: dict[str, Any]) -> Answer | None:
        """Ask for one user's offer; None when the service failed for good."""

    async def tell(self, events: Sequence[dict[str, Any]]) -> None:
        """Report up to 1,000 events."""

    async def each(
        self, call: Callable[[Item], Awaitable[Result]], items: Iterable[Item]
    ) -> list[Result]:
        """Call for every item, several at a time; results in order."""


def told_time(seconds: int) -> str:
    """A time as the API takes it."""
    return f"{to_datetime(seconds):%Y-%m-%dT%H:%M:%SZ}"


def told_signals(signals: Signals, row: int) -> dict[str, str]:
    """What an app had of one user, as the API takes it; the clock is the time's."""
    codes = {name: int(code[row]) for name, code in signals.codes().items() if name in SENSED}
    return {name: signals.words[name][code] for name, code in codes.items() if code >= 0}


def told_attributes(
    catalogue: Catalogue, values: NDArray[np.floating[Any]]
) -> dict[str, float | str]:
    """Attributes as the API takes them, from values as the user state keeps them, [J]."""
    return {
        attribute.name: attribute.values[int(value)] if attribute.kind == "choice" else float(value)
        for attribute, value in zip(catalogue.attributes, values, strict=True)
        if not np.isnan(value)
    }
