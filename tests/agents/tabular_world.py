"""What a policy sees in every state of the preset tabular, and what it is worth there, exactly."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import spsolve

from agents.policy import Policy
from envs.clock import DAY, HOUR, parse_time
from envs.decisions import EventKind, Events, Moment
from envs.encoding import Encoding
from envs.rules import Rules
from envs.users import UserState, advance
from simulators.oracle.tabular import FiniteModel, finite_model
from simulators.presets import find_preset
from simulators.world import START

PRESET: Final = find_preset("tabular")
CATALOGUE: Final = PRESET.load_catalogue()


@cache
def model() -> FiniteModel:
    return finite_model(PRESET, CATALOGUE, START)


@cache
def standing() -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Observation and mask of a user in each state, encoded as everywhere."""
    states, week = model().states, model().week
    everyone = np.arange(len(states))
    now = (parse_time(START) + week.hour[states.pair] * HOUR).astype(np.int32)
    moment = Moment(week.scene[states.pair].astype(np.int16), now, np.zeros(len(now), np.int32))
    users = UserState.empty(CATALOGUE, len(states))
    told = states.stage[:, None].astype(np.float32)
    advance(users, Events.of(everyone, EventKind.DESCRIBED, now, attributes=told))
    for number in range(int(states.contacts.max())):
        rows = np.flatnonzero(states.contacts > number)
        early = now[rows] // DAY * DAY + number
        advance(users, Events.of(rows, EventKind.CONTACTED, early, 0, 0, 0))
    mask = Rules(CATALOGUE).refusals(users, moment, np.inf) == 0
    return Encoding(CATALOGUE).encode(users, moment), mask


def visits(actions: NDArray[np.int64]) -> NDArray[np.float64]:
    """Discounted visits to each state from the start, when these actions are taken."""
    finite = model()
    chosen = sum(
        sparse.diags_array((actions == action).astype(float)) @ onward
        for action, onward in enumerate(finite.onward)
    )
    return spsolve((sparse.eye_array(len(actions)) - chosen).T.tocsc(), finite.start)


def share_of_gap(policy: Policy) -> float:
    """Of what the optimum gains over silence, exactly."""
    finite, alone = model(), np.zeros(len(model().states), np.int64)
    silence = finite.value_cents(finite.values_of(alone))
    optimum = finite.value_cents(finite.best().values)
    value = finite.value_cents(finite.values_under(policy.probabilities(*standing())))
    return (value - silence) / (optimum - silence)
