"""Where the time of the environment goes, part by part."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Any, Final, Self
from unittest.mock import patch

from envs.decisions import Events
from envs.encoding import Encoding
from envs.offer_env import OfferVectorEnv
from envs.rules import Rules
from simulators import world
from simulators.baskets import Baskets
from simulators.behaviour import Behaviour
from simulators.contacts import Contacts
from simulators.draws import Luck
from simulators.expectations import Expectations
from simulators.hidden import Hidden, Nights
from simulators.journey import Journey
from simulators.partings import Partings
from simulators.purchases import Purchases
from simulators.purse import Purse
from simulators.reports import Reports
from simulators.world import SyntheticWorld

PARTS: Final[dict[str, tuple[tuple[Any, tuple[str, ...] | None], ...]]] = {
    "state advance": ((world, ("advance",)),),
    "encode": ((Encoding, ("encode",)),),
    "mask": ((Rules, ("refused",)),),
    "scene": ((Journey, None), (Nights, ("pass_over",))),
    "behaviour": (
        (Behaviour, None),
        (Contacts, None),
        (Expectations, None),
        (Hidden, None),
        (Baskets, None),
    ),
    "purchases and partings": ((Purchases, None), (Partings, None), (Purse, None)),
    "draws": ((Luck, None),),
    "reports": ((Reports, None), (Events, ("concatenate",))),
    "new persons": ((SyntheticWorld, ("restart",)),),
    "story of the world": ((SyntheticWorld, ("step",)),),
    "reward and info": ((OfferVectorEnv, ("step",)),),
}
"""What belongs to each part: a class or module, and its functions; all public ones where None.

A function's time is its own: what it calls of another part counts there.
"""


class Stopwatch(AbstractContextManager["Stopwatch"]):
    """Times the parts while it is entered; the watched functions are as before afterwards."""

    def __init__(self, parts: dict[str, tuple[tuple[Any, tuple[str, ...] | None], ...]]) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        """Processor time of each part."""
        self._parts = parts
        self._inner: list[float] = []
        self._patches = ExitStack()

    def __enter__(self) -> Self:
        for part, owners in self._parts.items():
            for owner, names in owners:
                for name in _public(owner) if names is None else names:
                    self._watch(part, owner, name)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._patches.close()

    def _watch(self, part: str, owner: Any, name: str) -> None:
        timed: Any = self._timed(part, getattr(owner, name))
        if isinstance(vars(owner)[name], classmethod | staticmethod):
            timed = staticmethod(timed)
        self._patches.enter_context(patch.object(owner, name, timed))

    def _timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            self._inner.append(0.0)
            started = time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                took = time.process_time() - started
                self.seconds[part] += took - self._inner.pop()
                if self._inner:
                    self._inner[-1] += took

        return timed

    def shares(self) -> dict[str, float]:
        """Share of each part in the time of all."""
        total = sum(self.seconds.values())
        return {part: self.seconds[part] / total for part in self._parts}


def _public(owner: type) -> list[str]:
    """The functions that a class offers."""
    return [
        name
        for name, value in vars(owner).items()
        if not name.startswith("_")
        and (callable(value) or isinstance(value, classmethod | staticmethod))
    ]
