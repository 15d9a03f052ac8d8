"""The published moments: well formed, enough of them, and what their public files say."""

from __future__ import annotations

from pathlib import Path

import pytest

from envs.errors import InputError
from simulators.calibration.published import FITTED, HELD_OUT, moments, published
from simulators.calibration.sources import READERS, recomputed

DATA = Path(__file__).parents[3] / ".." / "shared" / "data"


def test_every_value_lies_in_its_interval() -> None:
    for moment in moments():
        assert moment.low <= moment.value <= moment.high, moment.name


def test_there_are_enough_moments_from_enough_sources_and_some_are_held_out() -> None:
    held = [moment for moment in moments() if moment.expected]
    assert len(held) >= 18
    assert len({moment.source for moment in held}) >= 5
    assert sum(moment.role == HELD_OUT for moment in held) >= 4
    assert sum(moment.role == FITTED for moment in held) >= 4


def test_a_moment_without_an_interval_may_be_off_by_15_percent() -> None:
    moment = published("price_elasticity")
    assert (moment.low, moment.high) == pytest.approx((-2.53 * 1.15, -2.53 * 0.85))
    assert moment.holds(-2.2) and not moment.holds(-2.0)


def test_a_moment_that_nobody_published_is_refused() -> None:
    with pytest.raises(InputError, match="no published moment 'luck'"):
        published("luck")


@pytest.mark.parametrize("file", READERS)
def test_the_constants_are_what_the_public_files_say(file: str) -> None:
    if not (DATA / file).exists():
        pytest.skip(f"../shared/data/{file} is not beside this checkout")
    found = READERS[file](DATA / file)
    assert found
    for name, estimate in found.items():
        moment = published(name)
        computed = (estimate.mean, estimate.low, estimate.high)
        assert (moment.value, moment.low, moment.high) == pytest.approx(
            computed, rel=1e-3, abs=2e-5
        )


def test_a_folder_without_the_files_gives_nothing(tmp_path: Path) -> None:
    assert recomputed(tmp_path) == {}
