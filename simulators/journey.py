"""The way from one opportunity to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.clock import HOUR, hour_of_week, modulo
from envs.decisions import Moment
from simulators.draws import Luck, Purpose
from simulators.scenes import GAP_MINUTES, HOURS, ScenePath

LATEST_ENTRY_S: Final = (60 - GAP_MINUTES) * 60
"""Scenes are entered so many seconds into an hour at the latest."""


@dataclass(frozen=True, slots=True)
class Journey:
    """Where N users go next; arrays [N]."""

    scene: NDArray[np.int16]
    then: NDArray[np.int32]
    """When the next scene is entered, seconds since the epoch."""
    exposure: NDArray[np.float32]
    """Share of an average week's needs that ripen underway."""

    @classmethod
    def drawn(
        cls, path: ScenePath, routine: NDArray[np.int8], moment: Moment, luck: Luck
    ) -> Journey:
        """The journeys of users with these routines, int8 [N], from where they stand."""
        local = moment.local()
        hour = hour_of_week(local)
        state = path.state(routine, hour, moment.scene)
        hours = path.stay(state, luck.uniform(Purpose.DWELL))
        onward = path.state(routine, modulo(hour + hours, HOURS), moment.scene)
        scene = path.turn(onward, luck.uniform(Purpose.SCENE)).astype(np.int16)
        entry = (luck.uniform(Purpose.MINUTE) * LATEST_ENTRY_S).astype(np.int32)
        then = (local // np.int32(HOUR) + hours) * np.int32(HOUR) + entry - moment.utc_offset_s
        return cls(scene, then, path.exposure.take(state) * hours)

    def only(self, active: NDArray[np.bool_], moment: Moment) -> Journey:
        """The journeys of active users; the others stand still."""
        if active.all():
            return self
        return Journey(
            np.where(active, self.scene, moment.scene),
            np.where(active, self.then, moment.now),
            np.where(active, self.exposure, np.float32(0)),
        )
