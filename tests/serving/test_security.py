"""Keys, hosts, and names that do not reveal the user."""

import pytest

from envs.errors import InputError
from serving.security import BUCKETS, Keys, Naming, Role, bucket_of, require_loopback, user_of

NAMING = Naming(b"a secret of the tests only")


def test_keys_are_read_with_their_roles():
    keys = Keys.parse("app:first-key, analyst:second:key ,admin:third-key,")
    assert keys.role_of("first-key") is Role.APP
    assert keys.role_of("second:key") is Role.ANALYST
    assert keys.role_of("third-key") is Role.ADMIN
    assert keys.role_of("first-ke") is None
    assert keys.role_of("") is None


@pytest.mark.parametrize("text", ["first-key", "king:first-key", "app:", "app:short", ":first-key"])
def test_what_is_no_key_is_refused_without_telling_it(text):
    with pytest.raises(InputError, match="SCENELIFT_API_KEYS: entry 1") as caught:
        Keys.parse(text)
    assert "first-key" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.5.5.5"])
def test_without_keys_this_machine_may_be_listened_on(host):
    assert require_loopback(host, Keys(())) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", ""])
def test_without_keys_no_other_host_is_listened_on(host):
    with pytest.raises(InputError, match="no API keys"):
        require_loopback(host, Keys(()))
    require_loopback(host, Keys.parse("app:some-key-of-ours"))


def test_a_decision_carries_its_user_and_so_its_bucket():
    user = NAMING.user("u1")
    decision = NAMING.decision(user, "r1")
    assert user_of(decision) == user
    assert NAMING.decision(user, "r1") == decision != NAMING.decision(user, "r2")
    assert NAMING.decision(NAMING.user("u2"), "r1") != decision


def test_names_depend_on_the_secret_and_hide_the_id():
    other = Naming(b"another secret of the tests")
    assert NAMING.user("u1") != other.user("u1")
    assert "u1" not in NAMING.user("u1")
    assert NAMING.event_key("a", "e1") != other.event_key("a", "e1")


def test_users_spread_over_all_buckets_and_draws_over_the_unit_interval():
    users = [NAMING.user(f"u{number}") for number in range(5000)]
    assert {bucket_of(user) for user in users} == set(range(BUCKETS))
    draws = [NAMING.uniform(user) for user in users]
    assert min(draws) >= 0 and max(draws) < 1
    # 5,000 uniform draws leave the mean outside 0.5 +- 0.025 with chance 1e-9.
    assert abs(sum(draws) / len(draws) - 0.5) < 0.025
