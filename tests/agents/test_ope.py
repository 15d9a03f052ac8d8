from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from agents.logs.estimators import (
    ESTIMATORS,
    Limits,
    check_weights,
    effective_sample_size,
    importance_weights,
    interval,
    ips,
    matching_weights,
    refusal,
    snips,
)
from agents.ope import OpeConfig, run_ope
from envs.catalogue import Catalogue, load_catalogue
from envs.encoding import Encoding
from envs.errors import InputError
from simulators.logs.logged import Log, write_log
from simulators.logs.served import Served, write_served

CHANCES = np.asarray([0.10, 0.15, 0.20])
"""Chance of a reward under each of three actions."""
POLICY = np.asarray([0.1, 0.2, 0.7])


def weights_and_rewards(generator: np.random.Generator, n: int) -> tuple[NDArray, NDArray]:
    """Decisions drawn at a third each, weighted for POLICY."""
    actions = generator.integers(0, 3, n)
    rewards = (generator.random(n) < CHANCES[actions]).astype(float)
    weights = importance_weights(np.tile(POLICY, (n, 1)), actions, np.full(n, 1 / 3))
    return weights, rewards


def test_both_estimators_agree_with_arithmetic_done_by_hand() -> None:
    weights, rewards = np.asarray([3.0, 0.0, 1.0, 2.0]), np.asarray([1.0, 1.0, 0.0, 1.0])
    assert ips(weights, rewards)[0] == pytest.approx((3 + 2) / 4)
    assert snips(weights, rewards)[0] == pytest.approx((3 + 2) / 6)
    assert effective_sample_size(weights) == pytest.approx(36 / 14)


def test_influences_add_up_to_nothing() -> None:
    weights, rewards = weights_and_rewards(np.random.default_rng(3), 500)
    for estimate in ESTIMATORS.values():
        assert estimate(weights, rewards)[1].mean() == pytest.approx(0.0, abs=1e-12)


def test_snips_of_a_constant_arm_is_the_mean_of_its_decisions() -> None:
    generator = np.random.default_rng(5)
    actions, rewards = generator.integers(0, 3, 300), generator.random(300)
    weights = matching_weights(np.ones(300, np.int64), actions, np.full(300, 1 / 3))
    assert snips(weights, rewards)[0] == pytest.approx(rewards[actions == 1].mean())


@pytest.mark.parametrize("kind", sorted(ESTIMATORS))
def test_95_percent_intervals_cover_the_true_value_95_percent_of_the_time(kind: str) -> None:
    # 600 independent logs: the covered count is below the bound with probability 1e-5 if the
    # true coverage is 95 %.
    generator, true_value, covered = np.random.default_rng(11), float(POLICY @ CHANCES), 0
    for _ in range(600):
        weights, rewards = weights_and_rewards(generator, 2000)
        effective = effective_sample_size(weights)
        value, influence = ESTIMATORS[kind](weights, rewards)
        estimate = interval(value, influence, np.arange(2000), effective)
        covered += estimate.low <= true_value <= estimate.high
    assert stats.binom.ppf(1e-5, 600, 0.95) <= covered <= stats.binom.ppf(1 - 1e-5, 600, 0.95)


def test_intervals_of_a_difference_cover_the_true_difference() -> None:
    # False-alarm rate 1e-5, as above.
    generator, covered = np.random.default_rng(13), 0
    true_value = float(POLICY @ CHANCES - CHANCES[2])
    for _ in range(600):
        actions = generator.integers(0, 3, 2000)
        rewards = (generator.random(2000) < CHANCES[actions]).astype(float)
        third = np.full(2000, 1 / 3)
        judged = snips(importance_weights(np.tile(POLICY, (2000, 1)), actions, third), rewards)
        arm = snips(matching_weights(np.full(2000, 2), actions, third), rewards)
        estimate = interval(judged[0] - arm[0], judged[1] - arm[1], np.arange(2000), 600.0)
        covered += estimate.low <= true_value <= estimate.high
    assert covered >= stats.binom.ppf(1e-5, 600, 0.95)


def test_repeating_every_decision_of_a_user_does_not_narrow_the_interval() -> None:
    weights, rewards = weights_and_rewards(np.random.default_rng(7), 1000)
    once = interval(*snips(weights, rewards), np.arange(1000), 500.0)
    again = interval(
        *snips(np.tile(weights, 10), np.tile(rewards, 10)), np.tile(np.arange(1000), 10), 500.0
    )
    assert again.high - again.low == pytest.approx(once.high - once.low)


def test_matching_weights_are_unbiased_for_the_policy_that_drew_the_actions() -> None:
    # The mean of 400,000 weighted rewards is off by 5 standard errors with probability 6e-7.
    generator, n = np.random.default_rng(17), 400_000
    actions = generator.integers(0, 3, n)
    rewards = (generator.random(n) < CHANCES[actions]).astype(float)
    served = generator.choice(3, n, p=POLICY)
    value, influence = ips(matching_weights(served, actions, np.full(n, 1 / 3)), rewards)
    assert abs(value - POLICY @ CHANCES) < 5 * influence.std() / np.sqrt(n)


def test_refusal_names_missing_support() -> None:
    check = check_weights(np.ones(1000), unsupported=0.2)
    assert "20.0% of the policy's choices" in str(refusal(check, Limits()))


def test_refusal_names_an_effective_sample_that_is_too_small() -> None:
    weights = np.zeros(1000)
    weights[:2] = 500.0
    assert "effective sample size 2.0 is below 100" in str(
        refusal(check_weights(weights, 0.0), Limits())
    )


def test_refusal_notices_propensities_that_are_wrong() -> None:
    weights, _ = weights_and_rewards(np.random.default_rng(19), 5000)
    assert refusal(check_weights(weights, 0.0), Limits()) is None
    assert "mean weight is 2." in str(refusal(check_weights(weights * 2, 0.0), Limits()))


def test_no_weight_at_all_is_refused() -> None:
    check = check_weights(np.zeros(50), 0.0)
    assert check.effective == 0.0
    assert refusal(check, Limits()) is not None


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue(Path("simulators/logs/campaigns/hillstrom.yaml"))


def make_log(catalogue: Catalogue, n: int, seed: int = 0, arms: int = 3) -> Log:
    generator = np.random.default_rng(seed)
    actions = generator.integers(0, arms, n)
    return Log(
        catalogue=catalogue,
        decision_ids=np.asarray([f"d{i}" for i in range(n)], object),
        user_ids=np.asarray([f"u{i}" for i in range(n)], object),
        times=np.arange(n, dtype=np.int32),
        scenes=np.zeros(n, np.int16),
        actions=actions,
        propensities=np.full(n, 1 / arms),
        observations=np.zeros((n, Encoding(catalogue).width), np.float32),
        mask=np.ones((n, 3), bool),
        rewards=(generator.random(n) < CHANCES[actions]).astype(float),
        attributes=np.full((n, len(catalogue.attributes)), np.nan),
        degraded=np.zeros(n, bool),
        reward_unit="visits",
    )


def test_the_command_prints_the_policy_beside_every_constant_arm(
    catalogue: Catalogue, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = make_log(catalogue, 3000)
    write_log(log, tmp_path / "log.parquet")
    run_ope(OpeConfig(tmp_path / "log.parquet", policy="constant:mens/email", json=True))
    result = json.loads(capsys.readouterr().out)
    assert [arm["policy"] for arm in result["arms"]] == ["silence", "mens/email", "womens/email"]
    mens = result["arms"][1]
    assert result["policy"]["snips"] == mens["snips"]
    assert mens["gain"]["value"] == 0.0
    assert mens["snips"]["value"] == pytest.approx(log.rewards[log.actions == 1].mean())
    assert result["policy"]["weights"]["effective"] == pytest.approx((log.actions == 1).sum())
    run_ope(OpeConfig(tmp_path / "log.parquet", policy="uniform"))
    assert "womens/email" in capsys.readouterr().out


def test_the_command_refuses_a_policy_that_the_log_cannot_support(
    catalogue: Catalogue, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_log(make_log(catalogue, 1000, arms=2), tmp_path / "log.parquet")
    with pytest.raises(InputError, match=r"refused: no support: 100\.0%"):
        run_ope(OpeConfig(tmp_path / "log.parquet", policy="constant:womens/email", json=True))
    result = json.loads(capsys.readouterr().out)
    assert result["policy"]["ips"] is None
    assert "no support" in result["policy"]["refused"]
    assert result["arms"][0]["snips"]["value"] > 0


def test_served_decisions_are_matched_by_user_and_time(
    catalogue: Catalogue, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = make_log(catalogue, 2000)
    write_log(log, tmp_path / "log.parquet")
    backwards = np.arange(1999, 0, -1)
    write_served(served_all("mens/email", log, backwards), tmp_path / "served.parquet", {"seed": 0})
    config = OpeConfig(tmp_path / "log.parquet", decisions=tmp_path / "served.parquet", json=True)
    run_ope(config)
    result = json.loads(capsys.readouterr().out)
    first = log.rewards[1:][log.actions[1:] == 1]
    assert result["policy"]["snips"]["value"] == pytest.approx(first.mean())
    assert result["decisions"] == 1999
    assert result["notes"] == ["1 decisions of the log were not served: left out"]


def test_degraded_decisions_are_not_the_policys_and_are_left_out(
    catalogue: Catalogue, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = make_log(catalogue, 2000)
    write_log(log, tmp_path / "log.parquet")
    served = served_all("mens/email", log, np.arange(2000))
    served.degraded[:500], served.actions[:500] = True, "silence"
    write_served(served, tmp_path / "served.parquet", {"seed": 0})
    run_ope(OpeConfig(tmp_path / "log.parquet", decisions=tmp_path / "served.parquet", json=True))
    result = json.loads(capsys.readouterr().out)
    assert result["notes"] == ["500 served decisions were degraded: left out"]
    own = log.rewards[500:][log.actions[500:] == 1]
    assert result["policy"]["snips"]["value"] == pytest.approx(own.mean())


def served_all(action: str, log: Log, rows: NDArray[np.int64]) -> Served:
    n = len(rows)
    return Served(
        user_ids=log.user_ids[rows],
        times=log.times[rows],
        actions=np.full(n, action, object),
        propensities=np.ones(n),
        decision_ids=np.asarray([str(i) for i in range(n)], object),
        policies=np.full(n, "test", object),
        degraded=np.zeros(n, bool),
    )


@pytest.mark.parametrize(
    ("action", "rows", "message"),
    [
        ("gift/push", [0, 1], "'gift/push' is not in the log"),
        ("silence", [0, 0], "'u0' was served twice"),
    ],
)
def test_served_decisions_that_do_not_fit_the_log_are_refused(
    catalogue: Catalogue, tmp_path: Path, action: str, rows: list[int], message: str
) -> None:
    log = make_log(catalogue, 200)
    write_log(log, tmp_path / "log.parquet")
    write_served(served_all(action, log, np.asarray(rows)), tmp_path / "s.parquet", {"seed": 0})
    with pytest.raises(InputError, match=message):
        run_ope(OpeConfig(tmp_path / "log.parquet", decisions=tmp_path / "s.parquet"))


def test_either_a_policy_or_decisions_must_be_given(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="either --policy or --decisions"):
        run_ope(OpeConfig(tmp_path / "log.parquet"))
