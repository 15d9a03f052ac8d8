from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch

from agents.columns import MASK, OBSERVATIONS
from agents.learning.step_memory import Steps
from agents.learning.table_learner import TableModule
from agents.policies.cells import Cells
from tests.agents.rationing import (
    CONTACT,
    FORBIDDEN,
    MISTAKE,
    OPTIMUM,
    PAYS,
    SILENT,
    STATES,
    allowed,
    every_state,
)

GAMMA = 0.9


def make(epsilon: float = 0.0) -> TableModule:
    return TableModule(
        observation_space=gym.spaces.Dict(
            {OBSERVATIONS: gym.spaces.Box(-1, 1, (6,)), MASK: gym.spaces.Box(0, 1, (4,), np.int8)}
        ),
        action_space=gym.spaces.Discrete(4),
        model_config={
            "cells": Cells(np.arange(6.0), -1, 0, 6),
            "epsilon": epsilon,
            "silence_share": 0.5,
        },
    )


def every_step(pay: np.ndarray = PAYS) -> Steps:
    """Each allowed action in each state of the rationing problem, once."""
    rows = []
    for cell, (scene, fresh) in enumerate(STATES):
        for action in (SILENT, MISTAKE, *([CONTACT] if fresh else [])):
            cents = pay[scene] * (action == CONTACT) - 50.0 * (action == MISTAKE)
            later = (scene + 1) % 3
            ready = 1 if later == 0 else fresh and int(action != CONTACT)
            rows.append((cell, action, cents, GAMMA, 2 * later + ready, ready))
    cells, actions, cents, discounts, later, ready = map(np.asarray, zip(*rows, strict=True))
    return Steps(cells, actions, cents, discounts, later, allowed(ready))


def solved(steps: Steps) -> np.ndarray:
    """Value iteration, plainly, as the yardstick; nan where nothing was tried."""
    values = np.full((6, 4), np.nan)
    values[steps.cells, steps.actions] = 0.0
    for _ in range(400):
        tried = np.where(np.isnan(values), -np.inf, values)
        later = np.where(steps.next_masks, tried[steps.next_cells], -np.inf).max(axis=1)
        values[steps.cells, steps.actions] = steps.rewards + steps.discounts * later
    return values


def test_replaying_every_step_solves_what_was_lived_through() -> None:
    module, steps = make(), every_step()
    module.learn(steps, sweeps=2_000)
    known = ~np.isnan(solved(steps))
    np.testing.assert_allclose(module.values[known], solved(steps)[known], atol=0.02)
    assert module.policy(0.0).probabilities(*every_state()).argmax(axis=1).tolist() == OPTIMUM


def test_the_mask_binds_what_is_hoped_of_the_next_situation() -> None:
    """The forbidden action would pay; nobody may hope for it."""
    steps = every_step()
    forbidden = Steps(
        *(np.append(getattr(steps, name), value) for name, value in (
            ("cells", 0), ("actions", FORBIDDEN), ("rewards", 1e6), ("discounts", GAMMA),
            ("next_cells", 2),
        )),
        np.vstack([steps.next_masks, steps.next_masks[:1]]),
    )  # fmt: skip
    module = make()
    module.learn(forbidden, sweeps=2_000)
    known = ~np.isnan(solved(steps))
    np.testing.assert_allclose(module.values[known], solved(steps)[known], atol=0.02)


def test_the_end_of_a_life_is_worth_nothing() -> None:
    steps = every_step()
    ended = Steps(
        steps.cells, steps.actions, steps.rewards, 0.0 * steps.discounts, steps.next_cells,
        steps.next_masks,
    )  # fmt: skip
    module = make()
    module.learn(ended, sweeps=10)
    np.testing.assert_allclose(module.values[steps.cells, steps.actions], steps.rewards)


def test_what_was_never_tried_is_thought_as_good_as_the_best_and_is_tried_soon() -> None:
    module, steps = make(), every_step()
    some = np.flatnonzero(steps.actions != CONTACT)
    columns = (steps.cells, steps.actions, steps.rewards, steps.discounts, steps.next_cells)
    module.learn(Steps(*(c[some] for c in columns), steps.next_masks[some]), sweeps=500)
    assert (module.values[:, CONTACT] == module.values[:, SILENT]).all()
    observations, mask = every_state()
    batch = {
        OBSERVATIONS: torch.from_numpy(np.tile(observations, (200, 1))),
        MASK: torch.from_numpy(np.tile(mask, (200, 1))),
    }
    chosen = module.forward_exploration(batch, rng=np.random.default_rng(0))["actions"].numpy()
    assert (chosen == CONTACT).any() and (chosen != FORBIDDEN).all()
    assert batch[MASK].numpy()[np.arange(len(chosen)), chosen].all()


def test_close_calls_are_explored_and_settled_ones_are_not() -> None:
    module = make()
    module.learn(every_step(), sweeps=500)
    module.errors[:] = 0.0
    module.errors[0, [SILENT, MISTAKE]] = 1e6  # of the first cell nothing is certain
    observations = np.repeat(every_state()[0], 300, axis=0)
    mask = np.repeat(every_state()[1], 300, axis=0)
    batch = {OBSERVATIONS: torch.from_numpy(observations), MASK: torch.from_numpy(mask)}
    chosen = module.forward_exploration(batch, rng=np.random.default_rng(1))["actions"].numpy()
    sure = module.forward_inference(batch)["actions"].numpy()
    assert {SILENT, MISTAKE} <= set(chosen[:300].tolist())
    assert np.array_equal(chosen[300:], sure[300:])


def test_blind_actions_are_silence_as_often_as_asked() -> None:
    """40 % of 20,000 are blind, half of them silence, the rest one of three: 5 sigma."""
    module = make(epsilon=0.4)
    module.learn(every_step(), sweeps=500)
    module.errors[:] = 0.0
    n, best = 20_000, CONTACT
    observations, mask = every_state()
    ready = STATES.index((2, 1))
    batch = {
        OBSERVATIONS: torch.from_numpy(np.repeat(observations[[ready]], n, axis=0)),
        MASK: torch.from_numpy(np.repeat(mask[[ready]], n, axis=0)),
    }
    chosen = module.forward_exploration(batch, rng=np.random.default_rng(2))["actions"].numpy()
    expected = {SILENT: 0.4 * (0.5 + 0.5 / 3), MISTAKE: 0.4 * 0.5 / 3, best: 0.6 + 0.4 * 0.5 / 3}
    for action, chance in expected.items():
        spread = 5 * np.sqrt(chance * (1 - chance) / n)
        assert (chosen == action).mean() == pytest.approx(chance, abs=spread)


def test_state_is_handed_over_in_float64_without_the_memory() -> None:
    module, runner = make(), make()
    module.learn(every_step(PAYS / 3), sweeps=500)
    state = module.get_state(inference_only=True)
    assert set(state) == {"values", "errors"}
    runner.set_state(state)
    assert runner.values.dtype == np.float64
    assert np.array_equal(runner.values, module.values)
    whole = make()
    whole.set_state(module.get_state())
    assert np.array_equal(whole.memory.rewards, module.memory.rewards)
