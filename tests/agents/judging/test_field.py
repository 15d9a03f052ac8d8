import numpy as np

from agents.baselines import Constant, make_baseline
from agents.judging.field import Field, best_constant, play, summary
from envs.catalogue import load_catalogue

CATALOGUE = load_catalogue()
FIELD = Field(CATALOGUE, users=40, days=3)


def test_a_policy_against_itself_gains_exactly_nothing() -> None:
    silence = make_baseline("silence", CATALOGUE)
    outcomes = {"silence": play(FIELD, silence), "again": play(FIELD, silence)}
    gain = summary(outcomes)["again"]["gain_over_silence"]
    assert gain == {"mean": 0.0, "low": 0.0, "high": 0.0}


def test_every_seed_plays_all_users_once_more() -> None:
    uniform = make_baseline("uniform", CATALOGUE)
    first, second = (play(Field(CATALOGUE, users=20, days=3, seeds=(s,)), uniform) for s in (3, 4))
    both = play(Field(CATALOGUE, users=20, days=3, seeds=(3, 4)), uniform)
    np.testing.assert_array_equal(both.value, np.concatenate([first.value, second.value]))
    np.testing.assert_array_equal(both.spend, np.concatenate([first.spend, second.spend]))


def test_the_best_constant_is_the_one_that_makes_the_most_of_other_people() -> None:
    names = ("content/mini_program", "off20/email", "gift/in_app")
    candidates = [Constant(CATALOGUE.action_index(name), f"constant:{name}") for name in names]
    best = best_constant(FIELD, candidates)
    others = Field(CATALOGUE, users=40, days=3, first_user=1_000_000)
    values = {constant.name: play(others, constant).value.mean() for constant in candidates}
    assert best.name == max(values, key=lambda name: values[name])
