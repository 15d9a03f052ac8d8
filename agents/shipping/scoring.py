"""Decisions for a batch of users: what the service would decide, as rows of a table.

The same rules, encoding and policy; the luck of a decision is a function of the seed, the user's
name and the time at which the user stands, so it is the same in any batch, on any worker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from agents.policy import Policy
from envs.catalogue import Catalogue
from envs.decisions import draw_actions
from envs.encoding import Encoding
from envs.rules import Rules
from simulators.draws import Purpose, uniforms
from simulators.user_columns import People, timestamps

ROWS: Final = 1024
"""Users that a policy is asked about at a time: what it computes stays in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """What is decided for N users, and how likely that was."""

    actions: NDArray[np.int64]
    """Index of each action, [N]."""
    propensities: NDArray[np.float64]
    """Probability with which it was drawn, [N]."""


class Scorer:
    """The rules, the encoding and one policy of a catalogue, and the luck of its decisions."""

    def __init__(
        self, catalogue: Catalogue, policy: Policy, seed: int = 0, budget_price: float = 0.0
    ) -> None:
        """Make what decides.

        Args:
            catalogue: of the users and the policy.
            policy: decides.
            seed: of the draws.
            budget_price: what the policy is told about the price of a cent spent, 0 or more.
        """
        self.catalogue, self.policy = catalogue, policy
        self._seed, self._budget_price = seed, budget_price
        self._rules, self._encoding = Rules(catalogue), Encoding(catalogue)

    def decide(self, people: People) -> Decisions:
        """Draw one allowed action for each user."""
        observations = self._encoding.encode(people.users, people.moment, self._budget_price)
        mask = ~self._rules.refused(people.users, people.moment)
        luck = self.luck(people)
        actions, propensities = np.empty(len(people), np.int64), np.empty(len(people))
        for first in range(0, len(people), ROWS):
            here = slice(first, first + ROWS)
            rows = self.policy.probabilities(observations[here], mask[here])
            actions[here] = draw_actions(rows, luck[here])
            propensities[here] = rows[np.arange(len(rows)), actions[here]]
        return Decisions(actions, propensities)

    def luck(self, people: People) -> NDArray[np.float64]:
        """One uniform number a user and time, in (0, 1), float64 [N]."""
        when = people.moment.now.astype(np.int64)
        return uniforms(self._seed, user_numbers(people.ids), when, Purpose.ACTION)

    def table(self, people: People, decided: Decisions) -> pa.Table:
        """Decisions as rows of a file; offer and channel are null for silence."""
        catalogue, moment = self.catalogue, people.moment
        index = decided.actions.astype(np.int16)
        offer, channel = catalogue.action_offer.take(index), catalogue.action_channel.take(index)
        columns = {
            "user_id": people.ids,
            "time": timestamps(moment.now),
            "scene": _named(moment.scene, [scene.name for scene in catalogue.scenes]),
            "action": _named(index, [action.name for action in catalogue.actions]),
            "action_index": pa.array(index),
            "offer": _named(offer, [each.name for each in catalogue.offers]),
            "channel": _named(channel, [each.name for each in catalogue.channels]),
            "propensity": pa.array(decided.propensities),
            "policy": _named(np.zeros_like(index), [self.policy.name]),
        }
        return pa.table(columns)


def _named(codes: NDArray[np.int16], names: list[str]) -> pa.Array:
    """Numbers as the names they stand for, null below 0."""
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), names)


def user_numbers(ids: pa.Array) -> NDArray[np.int64]:
    """Users' names as the numbers that luck is drawn for, int64 [N]: SipHash of the UTF-8 text."""
    hashes: NDArray[np.uint64] = pd.util.hash_array(
        ids.to_numpy(zero_copy_only=False), categorize=False
    )
    return hashes.view(np.int64)
