from pathlib import Path

import numpy as np
import pytest

from agents.judging.entries import entries, groups
from agents.policy import QNetworkPolicy, save_bundle
from envs.catalogue import load_catalogue
from envs.encoding import Encoding
from envs.errors import InputError
from envs.lineage import lineage

CATALOGUE = load_catalogue()
WIDTH, ACTIONS = Encoding(CATALOGUE).width, len(CATALOGUE.actions)


def saved(path: Path, seed: int) -> str:
    weights = np.random.default_rng(seed).normal(size=(WIDTH, ACTIONS)).astype(np.float32)
    layer = weights.astype(np.float64), np.zeros(ACTIONS)
    save_bundle(path, QNetworkPolicy((layer,), floor=0.05), CATALOGUE, lineage(seed), {})
    return str(path)


def test_a_name_that_comes_once_names_its_policy(tmp_path: Path) -> None:
    path = saved(tmp_path / "q", 3)
    found = entries([f"deep={path}", "constant:gift/in_app"], CATALOGUE, ())
    assert [entry.name for entry in found] == ["deep", "constant:gift/in_app"]
    assert groups(found) == {}


def test_a_name_that_comes_again_names_a_group(tmp_path: Path) -> None:
    first, second = saved(tmp_path / "q0", 0), saved(tmp_path / "q1", 1)
    given = [f"deep={first}", f"deep={second}", "alone=uniform"]
    found = entries(given, CATALOGUE, ())
    assert [entry.name for entry in found] == [given[0], given[1], "alone"]
    assert groups(found) == {"deep": given[:2]}


def test_an_equals_sign_in_a_path_is_no_name(tmp_path: Path) -> None:
    path = saved(tmp_path / "lr=0.1", 3)
    [entry] = entries([path + "/"], CATALOGUE, ())
    assert (entry.name, entry.group) == (path, "")


def test_a_trained_policy_says_where_it_comes_from(tmp_path: Path) -> None:
    trained, baseline = entries([saved(tmp_path / "q", 3), "uniform"], CATALOGUE, ())
    origin = trained.origin()["bundle"]
    assert isinstance(origin, dict)
    assert origin["seed"] == 3 and origin["catalogue_hash"] == CATALOGUE.hash
    assert origin["lineage"]["seed"] == 3 and origin["encoding_hash"]
    assert baseline.origin() == {}


def test_a_baseline_that_takes_part_anyway_is_not_entered_twice() -> None:
    assert entries(["silence", "uniform"], CATALOGUE, ("silence", "uniform")) == []


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["a=uniform", "a=uniform"], "a=uniform is given twice"),
        (["oracle=uniform"], "oracle names a policy already"),
        (["uniform=rule_book", "uniform"], "uniform names a policy already"),
        (["=uniform"], "no NAME=POLICY"),
        (["deep="], "no NAME=POLICY"),
        (["deep=nowhere"], "no policy 'nowhere'"),
    ],
)
def test_what_cannot_be_told_apart_or_loaded_is_refused(given: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        entries(given, CATALOGUE, ("oracle",))
