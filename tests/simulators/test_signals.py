from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from envs.clock import DAY
from envs.errors import InputError
from simulators.presets import find_preset, preset_names
from simulators.signals import FILE, MISSING, Sensors
from simulators.world import SyntheticWorld

CLOCK = ("hour", "weekday")
Columns = dict[str, NDArray[np.int8]]


def heard(first_user: int, users: int, steps: int) -> tuple[Columns, NDArray[np.int16], Columns]:
    """Signals, true scenes and true needs of users left in silence."""
    world = SyntheticWorld(users, seed=1)
    world.restart(np.arange(users), np.arange(first_user, first_user + users))
    ticks, scenes, needs = [], [], []
    for _ in range(steps):
        here = ~world.departed
        ticks.append({name: codes[here] for name, codes in world.signals().codes().items()})
        scenes.append(world.moment().scene[here])
        open_need = world.hidden.open_need(slice(None))
        needs.append(np.where(open_need, world.hidden.category, MISSING)[here])
        world.step(np.zeros(users, np.int64))
    columns = {name: np.concatenate([tick[name] for tick in ticks]) for name in ticks[0]}
    return columns, np.concatenate(scenes), {"need": np.concatenate(needs)}


@pytest.fixture(scope="module")
def lives() -> tuple[Columns, NDArray[np.int16], Columns]:
    return heard(0, 1500, 70)


def named_by_naive_bayes(
    lives: tuple[Columns, NDArray[np.int16], Columns], names: tuple[str, ...]
) -> tuple[float, float]:
    """How often the likeliest scene, and how often the commonest, is that of people never met."""
    (learnt, scene, _), (asked, truth, _) = lives, heard(10_000, 500, 70)
    scenes = int(scene.max()) + 1
    often = np.bincount(scene, minlength=scenes)
    score = np.tile(np.log(often + 1.0), (len(truth), 1))
    for name in names:
        table = np.ones((scenes, int(learnt[name].max()) + 2))
        np.add.at(table, (scene, learnt[name].astype(np.int64) + 1), 1)
        table /= table.sum(axis=1, keepdims=True)
        told = np.log(table[:, asked[name].astype(np.int64) + 1]).T
        score += np.where(asked[name][:, None] == MISSING, 0, told)
    return float((score.argmax(axis=1) == truth).mean()), float((truth == often.argmax()).mean())


@pytest.mark.slow
def test_signals_tell_the_scene_better_than_the_clock_and_far_from_surely(
    lives: tuple[Columns, NDArray[np.int16], Columns],
) -> None:
    # 35,000 opportunities of 500 people: a share's error is below .005, so each statement that
    # follows would fail by luck less than once in 1e6 runs
    names = tuple(lives[0])
    of_all, commonest = named_by_naive_bayes(lives, names)
    of_clock, _ = named_by_naive_bayes(lives, CLOCK)
    without_clock, _ = named_by_naive_bayes(lives, tuple(n for n in names if n not in CLOCK))
    assert commonest < 0.3
    assert without_clock > commonest + 0.15
    assert of_all > of_clock + 0.1
    assert of_all < 0.9


def test_what_users_do_not_permit_is_never_read_and_readings_fail_as_often_as_told() -> None:
    # shares of 3000 people and of their readings: beyond five errors once in 1e6 runs
    world = SyntheticWorld(3000, seed=2)
    place, motion = [], []
    for _ in range(30):
        codes = world.signals().codes()
        place.append(codes["place_type"] != MISSING)
        motion.append(codes["motion"] != MISSING)
        world.step(np.zeros(3000, np.int64))
    for read, granted, failing in ((place, 0.70, 0.10), (motion, 0.55, 0.15)):
        ever = np.any(read, axis=0)  # thirty readings do not all fail
        assert abs(ever.mean() - granted) < 5 * np.sqrt(granted * (1 - granted) / 3000)
        shares = np.mean(read, axis=0)[ever]
        assert abs(shares.mean() - (1 - failing)) < 5 * shares.std() / ever.sum() ** 0.5
    assert (np.any(place, axis=0) | ~np.any(motion, axis=0)).all()  # the permissions are nested


def test_the_screen_says_something_of_the_need(
    lives: tuple[Columns, NDArray[np.int16], Columns],
) -> None:
    # thousands of opportunities on each side; differences of tens of errors
    codes, _, told = lives
    need, page, category = told["need"], codes["page"], codes["category"]
    wanting = need != MISSING
    assert (page[wanting] != MISSING).mean() > (page[~wanting] != MISSING).mean() + 0.2
    shown = category != MISSING
    assert shown.any() and not shown[page == MISSING].any()
    right = category[shown & wanting] == need[shown & wanting]
    by_chance = np.bincount(need[wanting]).max() / wanting.sum()
    assert right.mean() > max(0.75, by_chance)


@pytest.mark.slow
def test_all_users_of_a_zone_have_one_weather_a_day_and_others_have_another() -> None:
    def weather(zone: str, seed: int) -> dict[int, int]:
        preset = replace(find_preset("default"), time_zone=zone)
        world = SyntheticWorld(20, seed, preset)
        seen: dict[int, int] = {}
        for _ in range(150):
            days = world.moment().local() // DAY
            for day, code in zip(days.tolist(), world.signals().weather.tolist(), strict=True):
                if code != MISSING:
                    assert seen.setdefault(day, code) == code
            world.step(np.zeros(20, np.int64))
        return seen

    berlin = weather("Europe/Berlin", 3)
    assert len(berlin) >= 14 and len(set(berlin.values())) > 1
    assert berlin != weather("Europe/Paris", 3)
    assert berlin != weather("Europe/Berlin", 4)
    assert berlin == weather("Europe/Berlin", 3)


def test_signals_are_the_same_for_any_batch_and_for_any_number_of_askings() -> None:
    def signals(rows: int, asked: int) -> list[list[int]]:
        told: list[list[int]] = []
        world = SyntheticWorld(rows, seed=5)
        for first in range(0, 12, rows):
            users = np.arange(first, first + rows)
            world.restart(np.arange(rows), users)
            for tick in range(25):
                for _ in range(asked):
                    codes = world.signals().codes()
                columns = np.stack(list(codes.values()), axis=1)
                told += [[int(u), tick, *c] for u, c in zip(users, columns.tolist(), strict=True)]
                world.step(np.zeros(rows, np.int64))
        return sorted(told)

    assert signals(12, 1) == signals(3, 2)


def test_the_clock_is_the_users_own_and_every_code_has_a_word() -> None:
    preset = replace(find_preset("default"), time_zone="Asia/Kolkata")
    world = SyntheticWorld(200, 6, preset)
    for _ in range(40):
        signals = world.signals()
        local = world.moment().local()
        assert np.array_equal(signals.hour, local // 3600 % 24)
        assert np.array_equal(signals.weekday, (local // DAY + 2) % 7)  # day 0 was a Wednesday
        for name, codes in signals.codes().items():
            assert codes.dtype == np.int8 and codes.min() >= MISSING
            if name not in CLOCK:
                assert codes.max() < len(signals.words[name])
        world.step(np.zeros(200, np.int64))


def test_a_phone_belongs_to_its_user() -> None:
    world = SyntheticWorld(100, 7)
    phones: list[set[int]] = [set() for _ in range(100)]
    for _ in range(40):
        for own, device in zip(phones, world.signals().device.tolist(), strict=True):
            if device in (0, 1):
                own.add(device)
        world.step(np.zeros(100, np.int64))
    assert world.signals().words["device"][:2] == ("android", "iphone")
    assert all(len(own) <= 1 for own in phones) and len(set.union(*phones)) == 2


def test_a_scene_without_readings_is_refused_by_name() -> None:
    world = SyntheticWorld(1)
    strange = world.catalogue.scenes[0].model_copy(update={"name": "moon"})
    catalogue = replace(world.catalogue, scenes=(strange, *world.catalogue.scenes[1:]))
    with pytest.raises(InputError, match=f"{FILE.name}.*'moon'"):
        Sensors(catalogue, world.preset, 0)


def test_every_signal_and_every_preset_is_documented() -> None:
    story = (Path(__file__).parents[2] / "docs" / "world.md").read_text(encoding="utf-8")
    names = [*SyntheticWorld(1).signals().codes(), *preset_names()]
    assert [name for name in names if f"`{name}`" not in story] == []
