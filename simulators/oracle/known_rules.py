"""The rules that a planner knows, and those that it has to leave out.

Known: what depends on scene, hour, consent and the contacts of the calendar day. Left out: what
looks back over a rolling window, "not interested" and the budget.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Cap, Catalogue
from envs.clock import DAY, HOUR
from envs.decisions import Moment
from envs.rules import FIXED, Rules
from envs.users import UserState

STATIC: Final = ("channel_absent", "offer_absent", "quiet_hours", "margin_floor")
"""Rules that only ask for the scene and the hour of the day."""
KNOWN: Final = (*STATIC, "no_consent")


def _of_the_day(cap: Cap) -> bool:
    """Whether a cap counts all contacts of the calendar day."""
    return cap.days == 1 and not cap.per and cap.channel is None and cap.offer is None


class KnownRules:
    """The rules of a catalogue, told apart."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.rules = Rules(catalogue)
        limits = [cap.limit for cap in catalogue.caps if _of_the_day(cap)]
        self.contacts_a_day: int | None = min(limits, default=None)
        """Contacts that the rules allow on a calendar day; None: any number."""
        day_caps = {f"cap:{cap.name}" for cap in catalogue.caps if _of_the_day(cap)}
        names = self.rules.names
        known = [name in KNOWN or name in day_caps for name in names]
        self.known_bits = _bits(known)
        self.left_out = {
            name: np.uint32(1 << bit)
            for bit, name in enumerate(names)
            if not known[bit] and name != "excluded"
        }
        """Bit of each rule that a plan cannot hold."""
        self.table = self._static(catalogue)
        """Actions that scene and hour of the day allow, bool [24, S, A]."""

    def _static(self, catalogue: Catalogue) -> NDArray[np.bool_]:
        scenes = len(catalogue.scenes)
        n = 24 * scenes
        hour, scene = np.divmod(np.arange(n), scenes)
        moment = Moment(
            scene.astype(np.int16), (DAY + hour * HOUR).astype(np.int32), np.zeros(n, np.int32)
        )
        refused = self.rules.refusals(UserState.empty(catalogue, n), moment)
        static = _bits([name in STATIC for name in FIXED])
        allowed: NDArray[np.bool_] = (refused & static) == 0
        return allowed.reshape(24, scenes, -1)


def _bits(which: list[bool]) -> np.uint32:
    return np.uint32(sum(1 << bit for bit, chosen in enumerate(which) if chosen))
