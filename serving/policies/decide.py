"""From user state and request to a decision: pure, for one user or many, without Redis or HTTP."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.clock import utc_offset_seconds
from envs.decisions import EventKind, Events, Moment, Policy, draw_actions
from envs.encoding import Encoding
from envs.rules import Rules
from envs.users import UserState
from serving.watching.tracing import traced

logger = logging.getLogger(__name__)

MOST_REFUSED: Final = 4096
"""Different refusals that are kept counted."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided for N users, and why."""

    actions: NDArray[np.int64]
    """[N]."""
    propensities: NDArray[np.float64]
    """Probability with which each action was drawn, [N]."""
    probabilities: NDArray[np.float64]
    """The row that it was drawn from, [N, A]."""
    observations: NDArray[np.float32]
    """What the policy saw, [N, D]."""
    mask: NDArray[np.bool_]
    """Allowed actions, [N, A]."""
    refusals: NDArray[np.uint32]
    """Bits of the refusing rules, [N, A]."""
    degraded: NDArray[np.bool_]
    """Whether silence stood in for a policy that gave no usable row, [N]."""


class Decider:
    """The rules, the encoding and one policy of a catalogue."""

    def __init__(self, catalogue: Catalogue, policy: Policy | None) -> None:
        self.catalogue = catalogue
        self.policy = policy
        self.rules = Rules(catalogue)
        self._refused: dict[bytes, dict[str, int]] = {}
        self.encoding = Encoding(catalogue)

    @property
    def policy_name(self) -> str:
        """What decisions call the policy."""
        return "none" if self.policy is None else self.policy.name

    @traced("policy")
    def decide(
        self,
        users: UserState,
        moment: Moment,
        uniforms: NDArray[np.float64],
        excluded: NDArray[np.uint32] | None = None,
        budget_left_cents: float = np.inf,
        budget_price: float = 0.0,
        speaks: NDArray[np.bool_] | None = None,
    ) -> Verdict:
        """Draw one allowed action for each user.

        Args:
            users: N users, not changed.
            moment: where and when they stand, [N].
            uniforms: the draws, in [0, 1), [N].
            excluded: refusals by the caller, uint32 [A] or [N, A].
            budget_left_cents: what each of them may cost.
            budget_price: lambda, cents per cent spent.
            speaks: for whom silence is drawn only where nothing else is allowed, [N].
        """
        refusals = self.rules.refusals(users, moment, budget_left_cents)
        if excluded is not None:
            refusals = refusals | excluded
        mask = refusals == 0
        observations = self.encoding.encode(users, moment, budget_price)
        rows, sound = self.rows(observations, mask)
        if speaks is not None:
            rows = spoken(rows, mask, speaks)
        actions = draw_actions(rows, uniforms)
        drawn = np.take_along_axis(rows, actions[:, None], axis=1)[:, 0]
        propensities = drawn / rows.sum(axis=1)
        return Verdict(actions, propensities, rows, observations, mask, refusals, ~sound)

    def rows(
        self, observations: NDArray[np.float32], mask: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Probabilities [N, A], and which rows are the policy's own [N]; silence in the others."""
        silence = np.zeros(mask.shape)
        silence[:, 0] = 1.0
        nobody = np.zeros(len(mask), np.bool_)
        if self.policy is None:
            return silence, nobody
        try:
            rows = self.policy.probabilities(observations, mask)
        except Exception:  # whatever a model does, callers get a safe answer
            logger.exception("policy %s failed: silence instead", self.policy_name)
            return silence, nobody
        if rows.shape != mask.shape:
            return silence, nobody
        usable = (rows >= 0).all(axis=1) & (np.abs(rows.sum(axis=1) - 1.0) < 1e-6)
        sound: NDArray[np.bool_] = usable & ~((rows > 0) & ~mask).any(axis=1)
        return (rows if sound.all() else np.where(sound[:, None], rows, silence)), sound

    def contacts(self, moment: Moment, actions: NDArray[np.int64]) -> Events:
        """The contacts that the decisions imply; silence implies none."""
        rows = np.flatnonzero(actions)
        chosen = actions[rows]
        return Events.of(
            row=rows,
            kind=EventKind.CONTACTED,
            time=moment.now[rows],
            scene=moment.scene[rows],
            channel=self.catalogue.action_channel[chosen],
            offer=self.catalogue.action_offer[chosen],
        )

    def refused(self, refusals: bytes) -> dict[str, int]:
        """How many actions each rule refused, by name, from the bits of one user, uint32 [A].

        Many users are refused the same; what was counted once is told again: do not change it.
        """
        known = self._refused.get(refusals)
        if known is None:
            known = {}
            for bits, actions in Counter(np.frombuffer(refusals, np.uint32).tolist()).items():
                for name in self.rules.explain(bits):
                    known[name] = known.get(name, 0) + actions
            if len(self._refused) >= MOST_REFUSED:
                self._refused.clear()
            self._refused[refusals] = known
        return known


def spoken(
    rows: NDArray[np.float64], mask: NDArray[np.bool_], speaks: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The chances given that something is said, for those who ask for that.

    A policy that is sure of silence does not say what else it would do: then everything that is
    allowed is equally likely.

    Args:
        rows: probabilities, [N, A].
        mask: allowed actions, [N, A].
        speaks: who asks for it, [N].
    """
    loud, allowed = rows.copy(), mask.astype(np.float64)
    loud[:, 0] = allowed[:, 0] = 0.0
    loud = np.where(loud.any(axis=1, keepdims=True), loud, allowed)
    total = loud.sum(axis=1)
    changed = np.flatnonzero(speaks & (total > 0))
    rows = rows.copy()
    rows[changed] = loud[changed] / total[changed, None]
    return rows


def stand(scenes: Sequence[int], nows: Sequence[int], time_zones: Sequence[str]) -> Moment:
    """The moments of N users."""
    times = np.asarray(nows, np.int32)
    if len(set(time_zones)) == 1:
        offsets = utc_offset_seconds(time_zones[0], times)
    else:
        offsets = np.empty(len(times), np.int32)
        zones = np.asarray(time_zones)
        for zone in set(time_zones):
            rows = np.flatnonzero(zones == zone)
            offsets[rows] = utc_offset_seconds(zone, times[rows])
    return Moment(np.asarray(scenes, np.int16), times, offsets)
