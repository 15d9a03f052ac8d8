import numpy as np
import pyarrow as pa
import pytest

from agents.baselines import Uniform, make_baseline
from agents.shipping.scoring import Scorer, user_numbers
from envs.catalogue import load_catalogue
from envs.decisions import Moment
from envs.rules import Rules
from envs.users import UserState
from simulators.user_columns import People

CATALOGUE = load_catalogue()


def people(n: int = 3000) -> People:
    """Strangers in any scene at any time of a week."""
    rng = np.random.default_rng(3)
    scenes = rng.integers(0, len(CATALOGUE.scenes), n).astype(np.int16)
    now = rng.integers(0, 7 * 86_400, n).astype(np.int32)
    ids = pa.array([f"customer {number}" for number in range(n)])
    moment = Moment(scenes, now, np.zeros(n, np.int32))
    return People(ids, UserState.empty(CATALOGUE, n), moment)


def some(everybody: People, rows: np.ndarray) -> People:
    ids = everybody.ids.take(pa.array(rows))
    return People(ids, everybody.users.take(rows), everybody.moment.take(rows))


def test_a_decision_is_the_same_alone_and_in_a_crowd() -> None:
    scorer, everybody = Scorer(CATALOGUE, Uniform(), seed=4), people()
    whole = scorer.decide(everybody)
    for rows in (np.asarray([17]), np.arange(2999, 1000, -7)):
        part = scorer.decide(some(everybody, rows))
        np.testing.assert_array_equal(part.actions, whole.actions[rows])
        np.testing.assert_array_equal(part.propensities, whole.propensities[rows])


def test_the_propensity_is_the_probability_of_the_action_among_the_allowed() -> None:
    everybody = people()
    decided = Scorer(CATALOGUE, Uniform()).decide(everybody)
    allowed = Rules(CATALOGUE).refusals(everybody.users, everybody.moment) == 0
    assert allowed[np.arange(len(everybody)), decided.actions].all()
    np.testing.assert_array_equal(decided.propensities, 1 / allowed.sum(axis=1))


def test_another_seed_is_other_luck_and_the_same_seed_the_same() -> None:
    everybody = people()
    first, again, other = (
        Scorer(CATALOGUE, Uniform(), seed).decide(everybody).actions for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_same_user_has_other_luck_at_another_time() -> None:
    everybody = people()
    later = Moment(
        everybody.moment.scene, everybody.moment.now + np.int32(1), everybody.moment.utc_offset_s
    )
    scorer = Scorer(CATALOGUE, Uniform())
    now, then = scorer.luck(everybody), scorer.luck(People(everybody.ids, everybody.users, later))
    assert not (now == then).any()


def test_luck_is_spread_evenly() -> None:
    n, cells = 100_000, 20
    ids = pa.array([str(number) for number in range(n)])
    moment = Moment(np.zeros(n, np.int16), np.zeros(n, np.int32), np.zeros(n, np.int32))
    luck = Scorer(CATALOGUE, Uniform()).luck(People(ids, UserState.empty(CATALOGUE, n), moment))
    counts = np.bincount((luck * cells).astype(int), minlength=cells)
    chi_square = ((counts - n / cells) ** 2 / (n / cells)).sum()
    assert chi_square < 50.8  # 1 in 10,000 for 19 degrees of freedom


def test_the_number_of_a_user_is_fixed_for_good() -> None:
    numbers = user_numbers(pa.array(["anna", "ben", "çelik"])).view(np.uint64)
    assert numbers.tolist() == [
        15826225260779138495,
        3514265858678427199,
        14345770570353550015,
    ]


@pytest.mark.parametrize("policy", ["silence", "constant:content/email"])
def test_a_table_of_decisions_names_what_was_decided(policy: str) -> None:
    scorer, everybody = Scorer(CATALOGUE, make_baseline(policy, CATALOGUE)), people(500)
    decided = scorer.decide(everybody)
    table = scorer.table(everybody, decided)
    names = [action.name for action in CATALOGUE.actions]
    assert table.column("user_id").to_pylist() == everybody.ids.to_pylist()
    assert table.column("action").to_pylist() == [names[a] for a in decided.actions]
    silent = decided.actions == 0
    assert [offer is None for offer in table.column("offer").to_pylist()] == silent.tolist()
    assert [channel is None for channel in table.column("channel").to_pylist()] == silent.tolist()
    assert set(table.column("policy").to_pylist()) == {policy}
