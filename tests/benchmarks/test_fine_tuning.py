from pathlib import Path

import numpy as np

from agents.judging.field import Field, play
from agents.policy import load_policy
from benchmarks.fine_tuning import changed_catalogue
from envs.catalogue import load_catalogue


def test_the_other_shop_has_other_actions_and_the_world_plays_in_it(tmp_path: Path) -> None:
    own, other = load_catalogue(), load_catalogue(changed_catalogue(tmp_path))
    names = [{action.name for action in catalogue.actions} for catalogue in (own, other)]
    assert {"off5/push", "off10/sms"} <= names[0] - names[1]
    assert {"off15/push", "treat/mini_program"} <= names[1] - names[0]
    assert {"silence", "gift/mini_program"} <= names[0] & names[1]
    field = Field(other, users=20, days=2.0)
    treated = play(field, load_policy("constant:treat/mini_program", other))
    assert np.isfinite(treated.value).all() and treated.spend.sum() > 0
