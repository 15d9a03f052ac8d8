from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest

from agents.judging.shares import Shares
from envs.errors import InputError
from simulators.oracle.course import Course, Ran
from simulators.oracle.grid import Nodes
from simulators.oracle.judging import Setting
from simulators.oracle.panel import Panel
from simulators.presets import find_preset

DEFAULT = find_preset("default")
CATALOGUE = DEFAULT.load_catalogue()
PEOPLE, COPIES = 7, 60
PANEL = replace(Panel.drawn(DEFAULT, CATALOGUE, 0, 1, COPIES), shares=np.full(PEOPLE, 1 / PEOPLE))
COURSE = Course(
    Setting(DEFAULT, CATALOGUE, 0, 200.0, PANEL, Nodes()),
    (0,),
    np.full(PEOPLE, 121.0),
    np.full(PEOPLE, 100.0),
)


def ran(values: np.ndarray) -> Ran:
    none = np.zeros(len(values))
    return Ran(values, values, none, none)


def shares(**values: np.ndarray) -> Shares:
    return Shares.of(COURSE, {name: ran(of) for name, of in values.items()})


def drawn(luck: np.random.Generator, share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Silence, the oracle and one who closes a share of the gap, all with common luck."""
    silence = luck.normal(100, 30, PEOPLE * COPIES)
    gain = luck.normal(20, 10, PEOPLE * COPIES)
    return silence, silence + gain, silence + share * gain + luck.normal(0, 4, len(gain))


def test_silence_closes_nothing_and_the_oracle_all() -> None:
    silence, oracle, _ = drawn(np.random.default_rng(0), 0.5)
    found = shares(silence=silence, oracle=oracle)
    for name, closed in (("silence", 0.0), ("oracle", 1.0)):
        row = found.row(name, "silence", "oracle")
        for column in ("gap_closed", "expected_gap_closed"):
            assert row[column] == {"mean": closed, "low": closed, "high": closed}


@pytest.mark.slow
def test_the_interval_of_a_share_covers_it() -> None:
    """500 courses, 95 % intervals: outside of 453 to 495 once in 10,000 times at most."""
    luck, covered = np.random.default_rng(1), 0
    for _ in range(500):
        silence, oracle, half = drawn(luck, 0.5)
        found = shares(silence=silence, oracle=oracle, half=half)
        closed = found.row("half", "silence", "half")["gap_closed"]
        assert isinstance(closed, dict)
        covered += closed["low"] < 0.5 < closed["high"]
    assert 453 <= covered <= 495


@pytest.mark.slow
def test_the_interval_over_training_seeds_covers_the_mean_of_all_seeds() -> None:
    """500 times 4 seeds that differ and share the users' luck: at least 453 of them covered."""
    luck, covered = np.random.default_rng(2), 0
    for _ in range(500):
        silence, oracle, _ = drawn(luck, 0.5)
        gain = oracle - silence
        seeds = {
            f"q={number}": silence + luck.normal(0.6, 0.05) * gain + luck.normal(0, 4, len(gain))
            for number in range(4)
        }
        group = shares(silence=silence, oracle=oracle, **seeds).over_seeds([*seeds], "silence")
        closed = group["gap_closed"]
        assert isinstance(closed, dict)
        assert closed["sd_between_training_seeds"] > 0
        covered += closed["low"] < 0.6 < closed["high"]
    assert covered >= 453


def test_training_seeds_are_told_from_users_luck() -> None:
    """Policies that are one and the same differ in nothing; only the users' luck is left."""
    silence, oracle, half = drawn(np.random.default_rng(3), 0.5)
    found = shares(silence=silence, oracle=oracle, a=half, b=half)
    group, alone = found.over_seeds(["a", "b"], "silence"), found.row("a", "silence", "a")
    closed = group["gap_closed"]
    assert isinstance(closed, dict) and isinstance(alone["gap_closed"], dict)
    assert closed["sd_between_training_seeds"] == 0
    assert {name: closed[name] for name in ("mean", "low", "high")} == pytest.approx(
        alone["gap_closed"]
    )


def test_the_best_rival_is_the_one_worth_most_and_nothing_is_a_share_of_a_loser() -> None:
    silence, oracle, half = drawn(np.random.default_rng(4), 0.5)
    found = shares(silence=silence, oracle=oracle, good=half, bad=silence - 5)
    assert found.best(["good", "bad"]) == "good"
    assert found.row("oracle", "bad", "bad")["expected_share_of_best_rival"] is None
    of_good = found.row("oracle", "bad", "good")["expected_share_of_best_rival"]
    assert isinstance(of_good, dict) and of_good["low"] > 1


def test_each_seed_of_the_luck_is_one_more_play_of_the_same_individuals() -> None:
    silence, oracle, half = drawn(np.random.default_rng(5), 0.5)
    twice = replace(
        COURSE, seeds=(0, 1), setting=replace(COURSE.setting, panel=replace(PANEL, copies=30))
    )
    of = MappingProxyType({"silence": ran(silence), "oracle": ran(oracle), "half": ran(half)})
    once = Shares.of(COURSE, of)
    assert Shares.of(twice, of).row("half", "half", "half") == once.row("half", "half", "half")


def test_without_a_gap_there_is_no_share() -> None:
    silence, _, half = drawn(np.random.default_rng(6), 0.5)
    with pytest.raises(InputError, match="no gap to close"):
        shares(silence=silence, oracle=silence, half=half)
