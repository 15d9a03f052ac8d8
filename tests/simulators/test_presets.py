from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from envs.errors import InputError
from simulators import preset_files
from simulators.presets import Preset, find_preset, preset_names

NOT_NUMBERS = {
    "name",
    "story",
    "time_zone",
    "catalogue",
    "need_told",
    "sources",
    "archetypes",
    "channels",
    "scenes",
}


@pytest.mark.parametrize("name", preset_names())
def test_every_number_of_a_preset_has_a_source(name: str) -> None:
    preset = find_preset(name)
    assert preset.story and preset.load_catalogue().actions
    numbers = {field.name for field in fields(Preset)} - NOT_NUMBERS
    unsourced = {part for part in numbers if part not in preset.sources}
    assert unsourced <= {"budget_cents_per_user_week"}
    for channel in preset.channels:
        assert preset.sources[f"channels.{channel}.seen"]
    for kind in preset.archetypes:
        assert preset.sources[f"archetypes.{kind.name}.temper"]


def test_the_presets_are_those_that_the_docs_name() -> None:
    assert set(preset_names()) == {"tabular", "small", "default", "sparse", "grocery", "budget"}


def test_a_file_says_only_what_differs_from_its_base() -> None:
    default, small = find_preset("default"), find_preset("small")
    assert [kind.name for kind in small.archetypes] == ["regular", "deal_seeker"]
    assert small.archetypes == default.archetypes[:2]
    assert small.channels == default.channels and small.spread == 0.0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for path in preset_files.STORIES.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "fitted.yaml").unlink(missing_ok=True)
    monkeypatch.setattr("simulators.preset_files.STORIES", tmp_path)
    monkeypatch.setattr("simulators.presets.STORIES", tmp_path)
    find_preset.cache_clear()
    yield tmp_path
    find_preset.cache_clear()


def test_fitted_numbers_replace_those_of_their_preset_and_of_what_is_based_on_it(
    folder: Path,
) -> None:
    (folder / "fitted.yaml").write_text(
        "default:\n  channels: {push: {seen: {is: 0.111, source: 'fitted: here'}}}\n"
        "small:\n  misfit: {is: 0.2, source: 'fitted: there'}\n"
    )
    default, small = find_preset("default"), find_preset("small")
    assert default.channels["push"].seen == small.channels["push"].seen == 0.111
    assert default.sources["channels.push.seen"] == "fitted: here"
    assert default.sources["channels.push.clicked"] == "assumed"
    assert small.misfit == 0.2 != default.misfit


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "spread: {is: -1, source: assumed}",
            r"mine\.yaml:3: spread: .* greater than or equal to 0",
        ),
        ("spread: 0.2", r"mine\.yaml:3: spread: no source"),
        ("sprad: {is: 0.2, source: assumed}", r"mine\.yaml:3: sprad: "),
        ("time_zone: Moon/Base", r"Moon/Base"),
        ("channels: {push: {seen: {is: 2, source: x}}}", r"mine\.yaml:3: channels\.push\.seen: "),
        ("spread: {", r"mine\.yaml:"),
        (
            "archetypes: {regular: {temper: {is: high, source: x}}}",
            r"mine\.yaml:3: archetypes\.regular\.temper: ",
        ),
        ("categories: {is: [all], source: assumed}", "tastes"),
    ],
)
def test_a_wrong_number_is_refused_by_file_line_and_field(
    folder: Path, line: str, message: str
) -> None:
    (folder / "mine.yaml").write_text(f"story: mine\nbased_on: default\n{line}\n")
    with pytest.raises(InputError, match=message) as error:
        find_preset("mine")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("base", ["atlantis", "mine"])
def test_a_base_that_is_none_is_refused_by_file_and_line(folder: Path, base: str) -> None:
    (folder / "mine.yaml").write_text(f"story: mine\nbased_on: {base}\n")
    with pytest.raises(InputError, match=rf"mine\.yaml:2: based_on: .*{base}"):
        find_preset("mine")


def test_a_preset_that_cannot_be_is_refused_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="Moon"):
        replace(find_preset("default"), time_zone="Moon/Base")


def test_an_unknown_preset_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="atlantis"):
        find_preset("atlantis")
