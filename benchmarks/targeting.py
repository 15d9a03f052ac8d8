"""Whom to contact and how: policies that a campaign can be run by, and what a log says of them.

A model of what each action brings a customer becomes three policies: contact where it pays,
contact everybody with the best of the actions, contact the half for whom it brings most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from agents.logs.estimators import (
    Estimate,
    check_weights,
    doubly_robust,
    importance_weights,
    interval,
    ips,
    snips,
)
from simulators.logs.logged import Log

Floats = NDArray[np.float64]
Reach = Literal["pays", "everybody", "half"]
REACHES: Final[tuple[Reach, ...]] = ("pays", "everybody", "half")
RIDGE: Final = 1.0


class Brings(Protocol):
    """A model of what actions bring."""

    def __call__(self, observations: NDArray[np.float32]) -> Floats:
        """Expected net reward of every action, [N, A]; action 0 is silence."""


def targeted(brings: Brings, reach: Reach, known: Log, judged: Log) -> Floats:
    """The rows of a policy that follows a model, [N, A], each certain of one action.

    Args:
        brings: the model.
        reach: whom to contact. The half is those above the median that the model saw in training,
            so that nothing of the judged customers decides; their share comes out near a half.
        known: what the model was trained on.
        judged: N decisions to take.
    """
    gains = _gains(brings, judged)  # [N, A - 1]
    best, gain = gains.argmax(axis=1) + 1, gains.max(axis=1)
    if reach == "pays":
        best = np.where(gain > 0, best, 0)
    elif reach == "half":
        best = np.where(gain > np.median(_gains(brings, known).max(axis=1)), best, 0)
    rows: Floats = np.eye(gains.shape[1] + 1)[best]
    return rows


def _gains(brings: Brings, log: Log) -> Floats:
    """What each contact brings beyond silence, [N, A - 1]."""
    values = brings(log.observations)
    gains: Floats = values[:, 1:] - values[:, :1]
    return gains


def constant(action: int, reach: Reach, judged: Log) -> Floats:
    """The rows of one action for everybody, or for a half by lot, [N, A]."""
    share = 0.5 if reach == "half" else 1.0
    row = np.zeros(judged.mask.shape[1])
    row[action] = share
    row[0] += 1.0 - share
    return np.tile(row, (len(judged), 1))


def regression(log: Log) -> Brings:
    """A linear model for each action, least squares with a small ridge: for doubly robust values.

    Args:
        log: decisions that are not judged with the model.
    """
    phi = _features(log.observations)
    weights = np.zeros((log.mask.shape[1], phi.shape[1]))
    for action in range(len(weights)):
        rows = log.actions == action
        precision = phi[rows].T @ phi[rows] + RIDGE * np.eye(phi.shape[1])
        weights[action] = np.linalg.solve(precision, phi[rows].T @ log.rewards[rows])
    return lambda observations: _features(observations) @ weights.T


def _features(observations: NDArray[np.float32]) -> Floats:
    return np.concatenate([observations, np.ones((len(observations), 1))], axis=1, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Judged:
    """What half a log says of a policy: the parts from which estimates are made."""

    weights: Floats
    taken: Floats
    """What the model predicts of the logged action, [N]."""
    expected: Floats
    """What it predicts of the policy's actions, [N]."""
    contacted: Floats
    """Probability of a contact, [N]."""


def judged_rows(rows: Floats, log: Log, model: Brings) -> Judged:
    """Hold a policy's rows against a log."""
    predicted = model(log.observations)
    everybody = np.arange(len(log))
    return Judged(
        importance_weights(rows, log.actions, log.propensities),
        predicted[everybody, log.actions],
        (rows * predicted).sum(axis=1),
        1.0 - rows[:, 0],
    )


def joined(halves: list[Judged]) -> Judged:
    """Both halves, each judged by what was learnt on the other."""
    return Judged(
        *(np.concatenate([getattr(half, name) for half in halves]) for name in Judged.__slots__)
    )


@dataclass(frozen=True, slots=True)
class Worth:
    """Net reward a decision of a policy, three ways."""

    ips: Estimate
    snips: Estimate
    dr: Estimate
    contacted: float
    """Share of the decisions that are contacts."""


def worth(judged: Judged, rewards: Floats, users: NDArray[np.int64]) -> Worth:
    """The estimates of one policy."""
    effective = check_weights(judged.weights, 0.0).effective
    values = (
        ips(judged.weights, rewards),
        snips(judged.weights, rewards),
        doubly_robust(judged.weights, rewards, judged.taken, judged.expected),
    )
    by_ips, by_snips, by_model = (interval(*value, users, effective) for value in values)
    return Worth(by_ips, by_snips, by_model, float(judged.contacted.mean()))


def gain(one: Judged, other: Judged, rewards: Floats, users: NDArray[np.int64]) -> Estimate:
    """How much more one policy is worth than another, doubly robust: influences subtract."""
    value, influence = doubly_robust(one.weights, rewards, one.taken, one.expected)
    less, other_influence = doubly_robust(other.weights, rewards, other.taken, other.expected)
    effective = min(check_weights(judged.weights, 0.0).effective for judged in (one, other))
    return interval(value - less, influence - other_influence, users, effective)
