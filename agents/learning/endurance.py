"""How training outlives what it runs on: lost runners are waited for, but not at every step.

Runners may be lost at any time: a cheaper machine is taken away, a process is killed for memory.
RLlib starts lost runners anew; here is what it has to be told, and when. A lost learner or driver
ends the training: that is what checkpoints are for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from envs.errors import InputError

ANSWER_S: Final = 2.0
"""How long a lost runner has to answer whether it is back; training stands still meanwhile."""
ASK_EVERY_S: Final = 10.0
"""How often it is asked while others go on."""
RENEWAL_S: Final = 60.0
"""How long one that is back may take to get the weights."""
SAMPLE_S: Final = 60.0
"""How long a runner may take for a fragment; one that takes longer is left out of the iteration."""
PATIENCE_S: Final = 300.0
"""How long training waits for any runner at all: time for a cluster to start another machine."""
PAUSE_S: Final = 0.5
"""Between two tries when no runner is there."""
ANY_NUMBER: Final = 1_000_000


def enduring(config: Any) -> Any:
    """Tell RLlib to start lost runners anew as soon as there is room, however often.

    Args:
        config: an ``AlgorithmConfig``, which is changed and returned.
    """
    config.env_runners(sample_timeout_s=SAMPLE_S)
    return config.fault_tolerance(
        restart_failed_env_runners=True,
        max_num_env_runner_restarts=ANY_NUMBER,
        delay_between_env_runner_restarts_s=1.0,
        env_runner_health_probe_timeout_s=ANSWER_S,
        env_runner_restore_timeout_s=RENEWAL_S,
    )


class Lookout:
    """Decides when lost runners are asked whether they are back, and when there is no hope."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked = -ASK_EVERY_S
        self._heard = clock()

    def has_to_ask(self, working: int) -> bool:
        """Whether it is time to ask lost runners; at once when no other is working."""
        now = self._clock()
        if working and now < self._asked + ASK_EVERY_S:
            return False
        self._asked = now
        return True

    def heard(self, steps: int) -> None:
        """Take note of what runners brought.

        Raises:
            InputError: nothing for too long.
        """
        now = self._clock()
        if steps:
            self._heard = now
        elif now > self._heard + PATIENCE_S:
            raise InputError(
                f"no environment runner has answered for {PATIENCE_S:.0f} s: see the logs of Ray "
                "for the reason, then go on from the last checkpoint with --resume"
            )
