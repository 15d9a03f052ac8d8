"""What followed on each decision of a small log, by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents import columns
from agents.logs.log_steps import read_steps
from agents.logs.transitions import (
    FOLLOWED,
    MASK,
    NEXT_MASK,
    NEXT_OBSERVATIONS,
    OBSERVATIONS,
    decisions,
    steps,
    transitions,
)
from agents.logs.transitions import Columns as Rows
from agents.policy import load_policy
from envs.catalogue import load_catalogue
from envs.clock import DAY
from envs.encoding import Encoding
from simulators.__main__ import main
from simulators.logs.logged import Log
from simulators.logs.pieces import survey
from simulators.make import world_factory
from simulators.rollout import rollout

CATALOGUE = load_catalogue(Path("simulators/logs/campaigns/hillstrom.yaml"))
WIDTH = Encoding(CATALOGUE).width


def small_log() -> Log:
    """Ann is decided for on days 3, 1 and 2, Bob once; row i is observed as i everywhere."""
    n = 4
    mask = np.ones((n, 3), np.bool_)
    mask[1, 2] = False
    return Log(
        catalogue=CATALOGUE,
        decision_ids=np.asarray(["a3", "a1", "b1", "a2"], object),
        user_ids=np.asarray(["ann", "ann", "bob", "ann"], object),
        times=(np.array([3.0, 1.0, 1.0, 2.5]) * DAY).astype(np.int32),
        scenes=np.zeros(n, np.int16),
        actions=np.array([1, 0, 2, 1]),
        propensities=np.array([0.25, 0.5, 0.125, 1.0]),
        observations=np.repeat(np.arange(n, dtype=np.float32), WIDTH).reshape(n, WIDTH),
        mask=mask,
        rewards=np.array([30.0, 10.0, 5.0, 20.0]),
        attributes=np.full((n, len(CATALOGUE.attributes)), np.nan),
        degraded=np.zeros(n, np.bool_),
    )


def seen(found: Rows, name: str = OBSERVATIONS) -> list[float]:
    return [float(row) for row in found[name][:, 0]]


def test_a_decision_is_followed_by_the_same_users_next_one() -> None:
    found = transitions(decisions(small_log()))
    assert seen(found) == [1.0, 3.0, 0.0, 2.0]  # ann by time, then bob
    assert found[FOLLOWED].tolist() == [True, True, False, False]
    assert seen(found, NEXT_OBSERVATIONS)[:2] == [3.0, 0.0]
    assert found["elapsed_days"][:2].tolist() == [1.5, 0.5]
    assert found["rewards"].tolist() == [10.0, 20.0, 30.0, 5.0]
    assert found["actions"].tolist() == [0, 1, 1, 2]
    assert found["propensities"].tolist() == [0.5, 1.0, 0.25, 0.125]
    assert found[MASK].tolist()[0] == [True, True, False]
    assert found[NEXT_MASK].tolist()[0] == [True, True, True]


def test_of_a_users_last_decision_nothing_is_learnt_where_users_come_back() -> None:
    found = steps(transitions(decisions(small_log())), sequential=True)
    assert seen(found) == [1.0, 3.0]
    assert not found["terminateds"].any()


def test_where_nobody_comes_back_every_decision_is_an_end() -> None:
    log = small_log().take(np.array([0, 2]))
    found = transitions(decisions(log))
    assert not found[FOLLOWED].any()
    alone = steps(found, sequential=False)
    assert seen(alone) == [0.0, 2.0]
    assert alone["terminateds"].all()


@pytest.mark.parametrize("spoilt", ["degraded", "unknown"])
def test_what_is_not_to_be_learnt_from_is_still_what_followed(spoilt: str) -> None:
    log = small_log()
    if spoilt == "degraded":
        log = replace(log, degraded=np.array([False, False, False, True]))
    else:
        log = replace(log, rewards=np.array([30.0, 10.0, 5.0, np.nan]))
    found = transitions(decisions(log))
    assert seen(found) == [1.0, 0.0, 2.0]
    assert seen(found, NEXT_OBSERVATIONS)[0] == 3.0
    assert found["elapsed_days"][0] == 1.5


def test_of_a_decision_written_twice_the_later_row_counts() -> None:
    first = small_log()
    again = replace(first.take(np.array([1])), rewards=np.array([99.0]))
    parts = [decisions(again, first=4), decisions(first)]  # read in any order
    both = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    found = transitions(both)
    assert seen(found) == [1.0, 3.0, 0.0, 2.0]
    assert found["rewards"][0] == 99.0


def test_the_columns_are_called_as_learners_call_them() -> None:
    from agents.logs import transitions as here

    for name in ("OBSERVATIONS", "MASK", "NEXT_OBSERVATIONS", "NEXT_MASK", "ELAPSED"):
        assert getattr(here, name) == getattr(columns, name)


def test_a_log_of_the_world_gives_the_steps_that_were_played(tmp_path: Path) -> None:
    given = ["log", "--preset", "small", "--users", "20", "--days", "2", "--seed", "3", "--json"]
    assert main([*given, "--out", str(tmp_path / "log")]) == 0
    found = read_steps(survey(tmp_path / "log"))
    (learnt,) = found.once(100_000, 0)
    world = world_factory("small")(20, 3)
    trace = rollout(world, load_policy("uniform", world.catalogue), np.arange(20), 2.0)
    user, days = trace.column("user"), trace.column("elapsed_days")
    followed = np.append(user[1:] == user[:-1], False)
    played = np.stack([trace.column("net_cents"), days], axis=1)[followed]
    steps_of_log = np.stack([learnt["rewards"], learnt["elapsed_days"]], axis=1)
    assert len(steps_of_log) == len(played) > 0
    for rows in (played, steps_of_log):
        rows[:] = rows[np.lexsort(rows.T)]
    np.testing.assert_allclose(steps_of_log, played, rtol=1e-12)
