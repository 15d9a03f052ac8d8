"""Policies that target, and what a log says of them, on campaigns whose truth is known."""

from pathlib import Path

import numpy as np
import pytest

from agents.logs.estimators import doubly_robust
from benchmarks import campaigns
from benchmarks.campaigns import MAPPINGS, MEASURES, net
from benchmarks.targeting import (
    constant,
    gain,
    joined,
    judged_rows,
    regression,
    targeted,
    worth,
)
from envs.catalogue import load_catalogue
from envs.encoding import Encoding
from simulators.logs.importing import import_campaign
from simulators.logs.logged import Log

CATALOGUE = load_catalogue(MAPPINGS / "hillstrom.yaml")
WIDTH = Encoding(CATALOGUE).width
DATA = Path("../shared/data")


def chances(observations: np.ndarray) -> np.ndarray:
    """Of a visit, [N, 3]: the second mail is worth it for the half whose first feature is 1."""
    likes = observations[:, 0]
    return np.stack([0.2 + 0 * likes, 0.2 + 0 * likes, 0.2 + 0.4 * likes], axis=1)


def campaign(n: int, seed: int) -> Log:
    rng = np.random.default_rng(seed)
    observations = np.zeros((n, WIDTH), np.float32)
    observations[:, 0] = rng.integers(2, size=n)
    actions = rng.integers(3, size=n)
    chance = chances(observations)[np.arange(n), actions]
    return Log(
        catalogue=CATALOGUE,
        decision_ids=np.asarray([f"d{seed}-{i}" for i in range(n)], object),
        user_ids=np.asarray([f"u{seed}-{i}" for i in range(n)], object),
        times=np.zeros(n, np.int32),
        scenes=np.zeros(n, np.int16),
        actions=actions,
        propensities=np.full(n, 1 / 3),
        observations=observations,
        mask=np.ones((n, 3), np.bool_),
        rewards=(rng.random(n) < chance).astype(float) - 0.1 * (actions > 0),
        attributes=np.full((n, len(CATALOGUE.attributes)), np.nan),
        degraded=np.zeros(n, np.bool_),
        outcomes={},
    )


@pytest.mark.parametrize(("reach", "contacted"), [("pays", 0.5), ("everybody", 1.0)])
def test_a_policy_contacts_as_many_as_it_says(reach: str, contacted: float) -> None:
    known, judged = campaign(4_000, 0), campaign(4_000, 1)
    rows = targeted(lambda x: chances(x) - [0.0, 0.1, 0.1], reach, known, judged)
    likes = judged.observations[:, 0] == 1
    assert (rows[likes, 2] == 1).all()
    assert rows[~likes, 0].mean() == (1.0 if reach == "pays" else 0.0)
    assert (rows.sum(axis=1) == 1).all()
    assert 1 - rows[:, 0].mean() == pytest.approx(contacted, abs=0.05)


def test_half_is_decided_by_the_customers_of_the_training_half() -> None:
    known, judged = campaign(1_000, 0), campaign(1_000, 1)
    order = np.arange(1_000, dtype=np.float32)
    known.observations[:, 0], judged.observations[:, 0] = order, order + 250
    rows = targeted(lambda x: np.stack([0 * x[:, 0], x[:, 0]], axis=1), "half", known, judged)
    assert 1 - rows[:, 0].mean() == pytest.approx(0.75, abs=0.01)


def test_the_estimates_cover_the_truth_and_the_gain_is_seen() -> None:
    """True values: half visit at .6 - .1, half at .2: .35; the mail for everybody .4 - .1 = .3."""
    known, judged = campaign(20_000, 0), campaign(20_000, 1)
    model = regression(known)
    rows = targeted(model, "pays", known, judged)
    policy = judged_rows(rows, judged, model)
    arm = judged_rows(constant(2, "everybody", judged), judged, model)
    users = np.arange(len(judged))
    found = worth(policy, judged.rewards, users)
    for estimate in (found.ips, found.snips, found.dr):  # five standard errors at most
        assert abs(estimate.value - 0.35) < 2.5 * (estimate.high - estimate.low) / 2
    over = gain(policy, arm, judged.rewards, users)
    assert abs(over.value - 0.05) < 2.5 * (over.high - over.low) / 2
    assert over.low > 0


def test_a_model_that_is_wrong_does_not_move_the_doubly_robust_value_but_a_right_one_calms_it() -> (
    None
):
    log = campaign(20_000, 2)
    rows = constant(2, "everybody", log)
    widths = []
    for model in (lambda x: chances(x) * 0 + 3.0, lambda x: chances(x) - [0.0, 0.1, 0.1]):
        judged = judged_rows(rows, log, model)
        value, influence = doubly_robust(judged.weights, log.rewards, judged.taken, judged.expected)
        deviation = influence.std() / np.sqrt(len(log))
        assert abs(value - 0.3) < 5 * deviation
        widths.append(deviation)
    assert widths[1] < widths[0]


def test_half_of_the_customers_by_lot_are_worth_half_of_the_gain() -> None:
    log = campaign(5_000, 3)
    model = regression(log)
    of = {
        name: judged_rows(rows, log, model)
        for name, rows in {
            "none": constant(0, "everybody", log),
            "half": constant(1, "half", log),
            "all": constant(1, "everybody", log),
        }.items()
    }
    users = np.arange(len(log))
    none, half, everybody = (worth(of[name], log.rewards, users).ips.value for name in of)
    assert half == pytest.approx((none + everybody) / 2)
    assert joined([of["half"], of["all"]]).contacted.mean() == 0.75


def test_a_folder_without_a_campaign_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["campaigns", "--data", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        campaigns.main()
    assert "holds none of hillstrom.csv.gz, drinkless_mrt.csv.gz" in capsys.readouterr().err


@pytest.mark.parametrize("measure", MEASURES, ids=lambda m: f"{m.campaign} {m.outcome}")
def test_the_net_reward_is_what_came_less_what_the_contact_cost(measure: campaigns.Measure) -> None:
    path = DATA / measure.csv
    if not path.is_file():
        pytest.skip(f"{path} is not beside this checkout")
    log = import_campaign(MAPPINGS / f"{measure.campaign}_mapping.yaml", path)
    rewards = net(log, measure).rewards
    silent = log.actions == 0
    np.testing.assert_array_equal(
        rewards[silent], measure.worth * log.outcomes[measure.outcome][silent]
    )
    assert (rewards[~silent].min()) == pytest.approx(-measure.cost)
