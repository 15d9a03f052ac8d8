"""The file of fitted numbers, ``stories/fitted.yaml``: written by the fit, read by presets."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from envs.aside import file_aside
from simulators.calibration.fitting import RHYTHM, Fitted, Number, read_number
from simulators.preset_files import FITTED, STORIES
from simulators.presets import Preset

FILE: Final = STORIES / FITTED
HEAD: Final = """\
# Numbers fitted to published moments (simulators/calibration/published.yaml), by preset; presets
# that are based on one take its numbers too. Written by
# `python -m simulators calibrate --fit`, never by hand.
"""


def fitted_numbers(done: list[Fitted], presets: dict[str, Preset]) -> dict[str, Any]:
    """The content of the file: each number with the moments it was fitted to."""
    content: dict[str, Any] = {}
    for fitted in done:
        source = "fitted: " + ", ".join(fitted.block.moments)
        for number, value in zip(fitted.block.numbers, fitted.values, strict=True):
            section = content.setdefault(number.section, {})
            if number.path.split(".")[0].endswith(RHYTHM):
                _put_table(section, number, presets[number.section], source)
            else:
                *outer, last = number.path.split(".")
                for name in outer:
                    section = section.setdefault(name, {})
                section[last] = {"is": value, "source": source}
    return content


def _put_table(section: dict[str, Any], number: Number, preset: Preset, source: str) -> None:
    """A rhythm is written whole, with the hour that the others are relative to."""
    name = number.path.split(".")[0]
    hours = sorted(int(hour) for hour in dict(getattr(preset, name)))
    table = {hour: float(f"{read_number(preset, f'{name}.{hour}'):.4g}") for hour in hours}
    section[name] = {"is": table, "source": source}


def write_fitted(content: dict[str, Any], path: Path = FILE) -> None:
    """Write the file at once or not at all."""
    text = HEAD + yaml.safe_dump(content, sort_keys=False, width=96, allow_unicode=True)
    with file_aside(path) as aside:
        aside.write_text(text)
