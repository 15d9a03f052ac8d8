"""The fit: what is shown to it, that it finds what it looks for, and the file it writes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from simulators.calibration.experiments import figures
from simulators.calibration.fitted_file import fitted_numbers, write_fitted
from simulators.calibration.fitting import BLOCKS, PRESETS, fit, misses, read_number, with_number
from simulators.calibration.published import FITTED, moments, published
from simulators.presets import find_preset

LAGS = next(block for block in BLOCKS if block.name == "lags")


def test_every_fitted_moment_belongs_to_one_block_and_no_other_is_shown_to_the_fit() -> None:
    shown = Counter(name for block in BLOCKS for name in block.moments)
    assert set(shown) == {moment.name for moment in moments() if moment.role == FITTED}
    assert set(shown.values()) == {1}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_a_block_has_no_more_numbers_than_moments(block) -> None:
    assert len(block.numbers) <= len(block.moments)
    for number in block.numbers:
        preset = find_preset(number.section)
        assert number.low <= read_number(preset, number.path) <= number.high


def test_no_number_is_fitted_twice() -> None:
    fitted = Counter((n.section, n.path) for block in BLOCKS for n in block.numbers)
    assert set(fitted.values()) == {1}


@pytest.mark.parametrize("path", ["misfit", "channels.push.seen", "needs_by_hour.18"])
def test_a_number_can_be_replaced_by_its_path(path: str) -> None:
    preset = find_preset("default")
    changed = with_number(preset, path, 0.123)
    assert read_number(changed, path) == 0.123
    assert with_number(changed, path, read_number(preset, path)) == preset or "hour" in path


def test_misses_are_counted_in_half_intervals() -> None:
    moment = published("price_elasticity")
    assert misses({moment.name: moment.high}) == pytest.approx([1.0])
    assert misses({moment.name: moment.low}) == pytest.approx([-1.0])


def test_a_fit_finds_the_numbers_from_anywhere() -> None:
    # lags depend on nothing but the two numbers, so every start has to come to the same
    far = replace(find_preset("default"), later_share=0.8, later_days=1.0)
    done, presets = fit(seed=9, starts=3, share=0.2, blocks=(LAGS,))
    assert max(done[0].costs) < 0.5  # one half interval from the published values
    assert done[0].spread < 0.02
    found = figures(LAGS.moments, presets, seed=10)
    assert np.abs(misses(found)).max() < 1
    assert np.abs(misses(figures(LAGS.moments, {"default": far}, seed=10))).min() > 1


def test_what_follows_the_default_takes_its_fitted_numbers() -> None:
    _, presets = fit(seed=9, starts=1, share=0.2, blocks=(LAGS,))
    assert set(presets) == set(PRESETS)
    assert len({(preset.later_share, preset.later_days) for preset in presets.values()}) == 1


def test_the_file_says_what_each_number_was_fitted_to(tmp_path: Path) -> None:
    done, presets = fit(seed=9, starts=1, share=0.2, blocks=(LAGS,))
    path = tmp_path / "fitted.yaml"
    write_fitted(fitted_numbers(done, presets), path)
    written = yaml.safe_load(path.read_text())
    assert written["default"]["later_share"]["is"] == done[0].values[0]
    source = "fitted: redeemed_the_same_day, later_within_7_days"
    assert written["default"]["later_days"]["source"] == source
    assert [file.name for file in tmp_path.iterdir()] == ["fitted.yaml"]
