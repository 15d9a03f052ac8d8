"""What is kept of the policies: changes are compared, made once, and drop what nothing uses."""

from contextlib import closing

import pytest

from serving.policies.lineup import MOST_LOADED, MOST_PAST, Lineup
from serving.policies.parcel import Parcel, unpack
from serving.policies.registry import Kept, Registry
from serving.store.keys import Space
from serving.words.failures import Failure
from tests.serving.bundles import save


@pytest.fixture
def space(catalogue):
    return Space(catalogue)


@pytest.fixture
def registry(redis_server, redis_client, space):
    with closing(Registry(space, redis_server.url)) as registry:
        yield registry


def baseline(catalogue, name):
    return unpack(Parcel.pack(name, catalogue), catalogue, name).loaded


@pytest.fixture
def lineup(catalogue):
    """Three baselines, of which one serves."""
    found = Lineup()
    for name in ("rule_book", "uniform", "silence"):
        found = found.load(name, baseline(catalogue, name))
    return found.promote("rule_book")


def refused(code):
    return pytest.raises(Failure, check=lambda failure: failure.code == code)


def test_a_line_up_is_kept_and_its_version_grows_with_each_change(registry, lineup):
    nothing = registry.read()
    assert nothing == Kept(0, "", Lineup())
    first = registry.write(nothing, lineup, "c1")
    assert first == Kept(1, "c1", lineup) == registry.read()
    second = registry.write(first, lineup.promote("uniform"), "c2")
    assert (second.version, second.lineup.serving) == (2, "uniform")
    assert second == registry.read()


def test_a_change_of_what_is_no_longer_kept_is_refused(registry, lineup):
    first = registry.write(registry.read(), lineup, "c1")
    second = registry.write(first, lineup.promote("uniform"), "c2")
    with refused("policies_changed"):
        registry.write(first, lineup.promote("silence"), "c3")
    assert registry.read() == second
    assert registry.done("c3") is None


def test_a_change_that_is_sent_again_is_made_once_and_gives_what_it_gave(registry, lineup):
    nothing = registry.read()
    first = registry.write(nothing, lineup, "c1")
    second = registry.write(first, lineup.promote("uniform"), "c2")
    assert registry.write(nothing, lineup, "c1") == first == registry.done("c1")
    assert registry.read() == second


def test_a_bundle_is_kept_as_long_as_it_is_loaded(registry, lineup, catalogue, tmp_path, space):
    parcel = Parcel.pack(str(save(tmp_path / "bundle", catalogue)), catalogue)
    loaded = unpack(parcel, catalogue, "bundle").loaded
    assert loaded.size_bytes == sum(file.stat().st_size for file in (tmp_path / "bundle").iterdir())
    twice = lineup.load("a", loaded).load("b", loaded)
    kept = registry.write(registry.read(), twice, "c1", parcel)
    assert registry.parcel(loaded) == parcel and registry.holds(parcel)
    kept = registry.write(kept, kept.lineup.drop("a"), "c2")
    assert registry.holds(parcel)
    registry.write(kept, kept.lineup.drop("b"), "c3")
    assert not registry.holds(parcel)


@pytest.mark.promise("cluster")
def test_everything_of_the_policies_lies_in_one_slot_of_a_cluster(space):
    keys = [space.policies(), space.policy_change("c"), space.bundle("h"), space.replicas()]
    assert {key[key.index("{") + 1 : key.index("}")] for key in keys} == {"policies"}


def test_replicas_tell_what_they_follow_until_they_leave(registry, lineup, redis_client, space):
    assert registry.follow("a", 0, False) == ""
    registry.write(registry.read(), lineup, "c1")
    assert registry.follow("b", 1, True) == "c1"
    told = [(one.replica, one.version, one.refused_policy) for one in registry.replicas()]
    assert told == [("a", 0, False), ("b", 1, True)]
    assert all(one.seen_s <= 60 for one in registry.replicas())
    registry.leave("a")
    redis_client.hset(space.replicas(), "long ago", "1000000000 1 0")
    assert [one.replica for one in registry.replicas()] == ["b"]
    registry.follow("b", 1, False)
    assert redis_client.hkeys(space.replicas()) == [b"b"]


def test_what_serves_goes_back_step_by_step(lineup):
    there = lineup.promote("uniform").promote("silence")
    assert there.past == ("uniform", "rule_book")
    back = there.roll_back()
    assert (back.serving, back.past) == ("uniform", ("rule_book",))
    first = back.roll_back()
    assert (first.serving, first.past) == ("rule_book", ())
    with refused("nothing_before"):
        first.roll_back()


def test_only_so_many_earlier_policies_are_remembered(lineup):
    for _ in range(MOST_PAST):
        lineup = lineup.promote("uniform").promote("rule_book")
    assert len(lineup.past) == MOST_PAST


def test_what_is_promoted_no_longer_shadows_or_takes_a_share(lineup):
    tried = lineup.shadow_with("uniform").share_with("uniform", 0.1)
    promoted = tried.promote("uniform")
    assert (promoted.shadow, promoted.canary) == (None, None)
    assert tried.promote("silence").roles()["shadow"] == "uniform"


@pytest.mark.parametrize(
    "change",
    [
        lambda lineup: lineup.drop("rule_book"),
        lambda lineup: lineup.shadow_with("uniform").drop("uniform"),
        lambda lineup: lineup.share_with("uniform", 0.0).drop("uniform"),
        lambda lineup: lineup.promote("uniform").drop("rule_book"),
        lambda lineup: lineup.shadow_with("rule_book"),
        lambda lineup: lineup.share_with("rule_book", 0.5),
        lambda lineup: lineup.load("rule_book", lineup.loaded["uniform"]),
    ],
)
def test_what_is_in_use_is_not_dropped_replaced_or_doubled(lineup, change):
    with refused("policy_in_use"):
        change(lineup)


@pytest.mark.parametrize(
    "change",
    [
        lambda lineup: lineup.drop("nobody"),
        lambda lineup: lineup.promote("nobody"),
        lambda lineup: lineup.shadow_with("nobody"),
        lambda lineup: lineup.share_with("nobody", 0.5),
    ],
)
def test_what_is_not_loaded_is_unknown(lineup, change):
    with refused("unknown_policy"):
        change(lineup)


def test_what_is_not_in_use_may_get_another_content(lineup, catalogue):
    assert lineup.load("silence", lineup.loaded["uniform"]).loaded["silence"].kind == "uniform"
    assert lineup.load("silence", lineup.loaded["silence"]) is lineup


def test_there_is_an_end_to_what_can_be_loaded(lineup):
    one = lineup.loaded["silence"]
    while len(lineup.loaded) < MOST_LOADED:
        lineup = lineup.load(f"n{len(lineup.loaded)}", one)
    with refused("too_many_policies"):
        lineup.load("one more", one)


def configured(catalogue, spec):
    return unpack(Parcel.pack(spec, catalogue), catalogue, spec, configured=True).loaded


def test_a_configuration_promotes_when_it_is_news_and_only_then(catalogue):
    first = Lineup().configure("rule_book", configured(catalogue, "rule_book"))
    assert first.serving == "rule_book"
    promoted = first.load("mine", baseline(catalogue, "uniform")).promote("mine")
    assert promoted.configure("rule_book", configured(catalogue, "rule_book")) is promoted
    spec = "constant:gift/push"
    other = promoted.configure(spec, configured(catalogue, spec))
    assert (other.serving, other.past) == ("constant-gift-push", ("mine", "rule_book"))


def test_configurations_of_long_ago_are_forgotten_and_what_callers_loaded_is_not(catalogue):
    lineup = Lineup().load("mine", baseline(catalogue, "uniform"))
    specs = [f"constant:{action.name}" for action in catalogue.actions[1 : MOST_PAST + 4]]
    for spec in specs:
        lineup = lineup.configure(spec, configured(catalogue, spec))
    assert len(lineup.loaded) <= MOST_PAST + 3
    assert "mine" in lineup.loaded


def test_a_configured_policy_whose_name_is_taken_gets_another(catalogue):
    taken = Lineup().load("rule_book", baseline(catalogue, "uniform")).promote("rule_book")
    lineup = taken.configure("rule_book", configured(catalogue, "rule_book"))
    assert lineup.serving.startswith("rule_book-")
    assert lineup.loaded[lineup.serving].kind == "rule_book"
