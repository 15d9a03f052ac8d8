"""A policy as one who takes part in the oracle's simulations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.decisions import Moment, Policy, Step, draw_actions
from envs.encoding import Encoding
from simulators.draws import Purpose
from simulators.world import SyntheticWorld


class Deciding:
    """Decides as a service would: from the observations and the allowed actions alone.

    Its actions are drawn with the luck that a rollout draws them with.
    """

    def __init__(self, name: str, policy: Policy, budget_price: float = 0.0) -> None:
        """Let a policy decide.

        Args:
            name: what reports call it.
            policy: whose probabilities count.
            budget_price: what the policy is told that a cent spent costs.
        """
        self.name, self._policy, self._budget_price = name, policy, budget_price

    def begin(self, world: SyntheticWorld) -> None:
        """Nothing to forget: all that is remembered is in the users' state."""
        self._encoding = Encoding(world.catalogue)

    def decide(self, world: SyntheticWorld, allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
        """One action for every row, int64 [N]; ``allowed`` is bool [N, A]."""
        moment = world.moment()
        observations = self._encoding.encode(world.users, moment, self._budget_price)
        probabilities = self._policy.probabilities(observations, allowed)
        return draw_actions(probabilities, world.uniform(Purpose.ACTION))

    def learn(
        self, moment: Moment, actions: NDArray[np.int64], step: Step, world: SyntheticWorld
    ) -> None:
        """Nothing to learn: the users' state has heard of it."""
