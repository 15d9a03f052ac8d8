"""The price of a cent: the lowest that keeps to a budget, found and judged on different people."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from agents.__main__ import main
from agents.judging.pricing import CLOSE, Crowd, price_for
from agents.policies.q_network import QNetworkPolicy
from agents.policy import save_bundle
from envs.catalogue import load_catalogue
from envs.encoding import Encoding
from envs.errors import InputError
from simulators.presets import find_preset


def thrifty() -> QNetworkPolicy:
    """Gives gifts at hours that are worth more than a cent costs."""
    catalogue = load_catalogue()
    names = Encoding(catalogue).names
    weight = np.zeros((len(names), len(catalogue.actions)))
    gift = catalogue.action_index("gift/mini_program")
    weight[names.index("budget_price"), gift] = -1.0
    for name, worth in (("hour_sin", 0.6), ("hour_cos", 0.7), ("count:scene_entered", 0.11)):
        weight[names.index(name), gift] = worth
    return QNetworkPolicy(((weight, np.where(np.arange(weight.shape[1]) == gift, 0.5, 0.0)),), 0.0)


@pytest.mark.parametrize("budget", [0.5, 2.0, 7.9])
def test_the_price_makes_the_spend_the_budget(budget: float) -> None:
    price = price_for(budget, lambda price: 8.0 * np.exp(-price), 5.0)
    assert 8.0 * np.exp(-price) == pytest.approx(budget, rel=CLOSE)


def test_a_budget_that_is_not_spent_anyway_costs_nothing() -> None:
    assert price_for(9.0, lambda price: 8.0 * np.exp(-price), 5.0) == 0.0


def test_a_budget_below_the_least_spend_is_refused_with_the_remedy() -> None:
    with pytest.raises(InputError, match=r"budget 0.01 cannot be kept.*highest-budget-price"):
        price_for(0.01, lambda price: 8.0 * np.exp(-price), 5.0)


def test_the_spend_of_a_crowd_falls_with_the_price() -> None:
    preset = find_preset("default")
    crowd = Crowd(preset, preset.load_catalogue(), 100, 7.0, seed=3)
    spends = [crowd.spend(thrifty(), price) for price in (0.0, 0.4, 0.8, 5.0)]
    assert spends[0] > spends[1] > spends[2] > spends[3] == 0.0


@pytest.mark.slow
def test_the_command_finds_prices_and_judges_them_on_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_bundle(tmp_path / "thrifty", thrifty(), load_catalogue(), {"seed": 0}, {})
    arguments = ["price", str(tmp_path / "thrifty"), "--budgets", "8", "20", "--users", "150"]
    assert main([*arguments, "--days", "7", "--workers", "0", "--json"]) == 0
    low, high = json.loads(capsys.readouterr().out)["prices"]
    assert low["budget_price"] > high["budget_price"] > 0
    for row in (low, high):  # others than those searched on, and few of them
        assert row["spend_per_user_week_cents"] == pytest.approx(
            row["budget_cents_per_user_week"], rel=0.3
        )


@pytest.mark.parametrize("wrong", [["--budgets", "0"], ["--budgets", "1", "--highest", "-1"]])
def test_what_cannot_be_searched_is_refused_in_one_line(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["price", "silence", *wrong]) == 2
    assert "have to be above 0" in capsys.readouterr().err
