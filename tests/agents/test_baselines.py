import numpy as np
import pytest

from agents.baselines import Rule, RuleBook, constants, make_baseline
from envs.catalogue import load_catalogue
from envs.encoding import Encoding
from envs.errors import InputError

CATALOGUE = load_catalogue()
NAMES = Encoding(CATALOGUE).names
ACTIONS = len(CATALOGUE.actions)
EVERY = ["silence", "uniform", "rule_book", "constant:gift/mini_program"]


def seen(**features: float) -> np.ndarray:
    """One observation with these features and 0 elsewhere; '__' stands for ':' or '='."""
    row = np.zeros((1, len(NAMES)), np.float32)
    for name, value in features.items():
        row[0, NAMES.index(name)] = value
    return row


def chosen(observation: np.ndarray, forbidden: tuple[str, ...] = ()) -> str:
    mask = np.ones((1, ACTIONS), bool)
    for name in forbidden:
        mask[0, CATALOGUE.action_index(name)] = False
    row = make_baseline("rule_book", CATALOGUE).probabilities(observation, mask)
    return CATALOGUE.actions[int(row[0].argmax())].name


@pytest.mark.parametrize("name", EVERY)
def test_every_baseline_keeps_to_the_mask_and_its_rows_sum_to_one(name: str) -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((500, ACTIONS)) < 0.3
    mask[:, 0] = True
    observations = rng.random((500, len(NAMES))).astype(np.float32)
    rows = make_baseline(name, CATALOGUE).probabilities(observations, mask)
    assert (rows[~mask] == 0).all()
    np.testing.assert_allclose(rows.sum(axis=1), 1.0)


def test_a_constant_is_silent_where_its_action_is_forbidden() -> None:
    action = CATALOGUE.action_index("gift/sms")
    mask = np.ones((2, ACTIONS), bool)
    mask[1, action] = False
    rows = make_baseline("constant:gift/sms", CATALOGUE).probabilities(np.zeros((2, 1)), mask)
    assert rows.argmax(axis=1).tolist() == [action, 0]


def test_there_is_one_constant_for_each_action_but_silence() -> None:
    assert [c.action for c in constants(CATALOGUE)] == list(range(1, ACTIONS))


@pytest.mark.parametrize(
    ("features", "forbidden", "action"),
    [
        ({"scene=supermarket": 1.0}, (), "off5/mini_program"),
        ({"scene=supermarket": 1.0}, ("off5/mini_program",), "off5/in_app"),
        ({"scene=night": 1.0}, (), "silence"),
        ({"scene=night": 1.0, "recency:carted": 0.9}, (), "off5/in_app"),
        ({"scene=night": 1.0, "recency:carted": 0.3}, (), "silence"),
        ({"scene=home_evening": 1.0}, (), "off20/email"),
        ({"scene=home_evening": 1.0, "recency:bought": 0.1}, (), "content/email"),
        ({"scene=supermarket": 1.0, "recency:bought": 0.5}, (), "silence"),
        ({"scene=supermarket": 1.0, "recency:contacted/sms": 0.6}, (), "silence"),
        ({"scene=commute": 1.0}, ("content/push",), "silence"),
    ],
)
def test_the_rule_book_says(
    features: dict[str, float], forbidden: tuple[str, ...], action: str
) -> None:
    assert chosen(seen(**features), forbidden) == action


def test_a_rule_book_of_nothing_that_the_business_has_is_refused() -> None:
    with pytest.raises(InputError, match="does not have"):
        RuleBook(CATALOGUE, (Rule("loyalty_points", ("push",)),))


@pytest.mark.parametrize("name", ["nobody", "constant:gift/pigeon"])
def test_an_unknown_baseline_is_refused_by_name(name: str) -> None:
    with pytest.raises(InputError, match=name.removeprefix("constant:")):
        make_baseline(name, CATALOGUE)
