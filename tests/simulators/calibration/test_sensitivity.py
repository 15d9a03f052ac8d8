"""Halving and doubling what is assumed."""

from __future__ import annotations

import pytest

from agents.policy import load_policy
from simulators.calibration.sensitivity import PLAYED, PRICES, assumed, sensitivity, times
from simulators.presets import find_preset


def test_what_is_assumed_is_moved_and_what_is_fitted_is_not() -> None:
    preset = find_preset("default")
    found = assumed(preset)
    assert "tiring_factor" in found and "contact_effect" in found and "scenes.*.intent" in found
    fitted = {name for name, source in preset.sources.items() if source.startswith("fitted")}
    assert fitted and not fitted & set(found)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_column_moves_where_it_is_assumed(factor: float) -> None:
    preset = find_preset("default")
    moved = times(preset, "channels.*.seen", factor)
    assert moved.channels["push"].seen == preset.channels["push"].seen  # fitted
    assert moved.channels["sms"].seen == min(preset.channels["sms"].seen * factor, 1.0)
    assert moved.channels["sms"].clicked == preset.channels["sms"].clicked


def test_of_a_share_that_is_kept_the_loss_moves() -> None:
    preset = find_preset("default")
    for factor in (0.5, 2.0):
        moved = times(preset, "reference_kept", factor)
        assert 1 - moved.reference_kept == pytest.approx(factor * (1 - preset.reference_kept))


@pytest.mark.slow
def test_the_ranking_names_every_policy_and_the_best_gains_over_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "simulators.calibration.sensitivity.assumed", lambda preset: ["contact_effect"]
    )
    found = sensitivity(load_policy, seed=1, share=0.1)
    assert len(found.base.ranking) == len(PLAYED) + len(PRICES)
    assert found.base.gain.low > 0 and found.base.swaps == 0
    halved, doubled = found.moved
    assert halved.gain.mean < found.base.gain.mean < doubled.gain.mean
    assert "contact_effect | doubled" in found.markdown()
