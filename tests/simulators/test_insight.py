"""What a critic is told is what the world then does."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.insight import FATIGUE, Burden, insight_names
from simulators.make import offer_vector_env
from simulators.presets import find_preset, preset_names


@pytest.mark.parametrize("preset", preset_names())
def test_prospects_are_what_the_step_then_adds_lastingly(preset: str) -> None:
    env = offer_vector_env(300, preset, budget_price=(0.0, 2.0), hidden=True)
    observation, info = env.reset(seed=0)
    rng, contacts = np.random.default_rng(0), 0
    for _ in range(12):
        mask = observation["action_mask"] > 0
        assert (info["prospects"][~mask] == 0).all() and (info["prospects"][:, 0] == 0).all()
        actions = _any(rng, mask)
        promised = info["prospects"][np.arange(300), actions]
        observation, _, terminated, truncated, info = env.step(actions)
        came = info["expected_cents"] - info["silence_cents"] - info["displaced_cents"]
        came -= info["budget_price"] * info["expected_spend_cents"]
        np.testing.assert_allclose(promised, came, rtol=1e-4, atol=1e-3)
        contacts += int((actions > 0).sum())
        if (terminated | truncated).any():
            break
    assert contacts > 100


def _any(rng: np.random.Generator, mask: np.ndarray) -> np.ndarray:
    return np.where(mask, rng.random(mask.shape), -1.0).argmax(axis=1)


def test_a_contact_adds_its_burden_to_what_is_hidden() -> None:
    preset = find_preset("default")
    catalogue = preset.load_catalogue()
    burden, fatigue = Burden.of(catalogue, preset), insight_names(catalogue, preset).index(FATIGUE)
    env = offer_vector_env(200, hidden=True)
    observation, info = env.reset(seed=1)
    rng, before = np.random.default_rng(1), info["hidden"]
    actions = _any(rng, observation["action_mask"] > 0)
    start = env.world.moment()
    *_, info = env.step(actions)
    same_day = env.world.moment().local() // 86400 == start.local() // 86400
    expected = before + np.asarray(burden.hidden)[np.asarray(burden.group)[actions]]
    assert same_day.sum() > 20
    np.testing.assert_allclose(
        info["hidden"][same_day, fatigue], expected[same_day, fatigue], rtol=1e-6
    )
    assert before.shape[1] == len(insight_names(catalogue, preset))


def test_without_being_asked_for_nothing_hidden_is_told() -> None:
    _, info = offer_vector_env(3).reset(seed=0)
    assert not {"hidden", "prospects"} & set(info)
