"""Keys, hosts, and names that do not reveal the user."""

from hashlib import sha256

import pytest

from envs.errors import InputError
from serving.security import (
    BUCKETS,
    Keys,
    Naming,
    Role,
    bucket_of,
    digest_of,
    entry_of,
    require_loopback,
    user_of,
)

NAMING = Naming(b"a secret of the tests only")


FIRST, SECOND, THIRD = (digest_of(key).hex() for key in ("first-key", "second:key", "third-key"))


def test_keys_are_read_with_their_roles_and_names():
    keys = Keys.parse(f"app:{FIRST}, analyst:{SECOND}:report ,ADMIN:{THIRD.upper()},")
    assert keys.find("first-key") == (Role.APP, digest_of("first-key"), FIRST)
    assert keys.find("second:key") == (Role.ANALYST, digest_of("second:key"), "report")
    assert keys.find("third-key").role is Role.ADMIN
    for wrong in ("first-ke", "first-key ", "", FIRST, "schl\u00fcssel", "\udcff", "x" * 10**6):
        assert keys.find(wrong) is None


def test_a_hash_can_be_made_with_the_tools_of_any_system():
    assert sha256(b"first-key").hexdigest() == FIRST
    assert Keys.parse(entry_of(Role.APP, "first-key", "shop")).find("first-key").name == "shop"


@pytest.mark.parametrize("order", [("app", "admin"), ("admin", "app")])
def test_a_key_entered_twice_has_its_strongest_role(order):
    keys = Keys.parse(",".join(f"{role}:{FIRST}" for role in order))
    assert keys.find("first-key").role is Role.ADMIN


@pytest.mark.promise("keys-hashed")
@pytest.mark.parametrize(
    "text",
    [
        *("first-key", "king:first-key", "app:", "app:first-key-in-plain", ":first-key"),
        *(f"app:{FIRST[:-1]}", f"app:{FIRST}0", f"king:{FIRST}", FIRST, f"app:{FIRST}:two words"),
        *(f"app:{FIRST[:-1]}\u0663", f"app:{FIRST}:a:b"),
    ],
)
def test_what_is_no_hash_is_refused_without_telling_it(text):
    with pytest.raises(InputError, match=r"SCENELIFT_API_KEYS: entry 1.*serving key") as caught:
        Keys.parse(text)
    assert "first-key" not in str(caught.value) and FIRST[:-1] not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.5.5.5"])
def test_without_keys_this_machine_may_be_listened_on(host):
    assert require_loopback(host, Keys(())) is None


@pytest.mark.promise("closed-by-default")
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", ""])
def test_without_keys_no_other_host_is_listened_on(host):
    with pytest.raises(InputError, match="no API keys"):
        require_loopback(host, Keys(()))
    require_loopback(host, Keys.parse(entry_of(Role.APP, "some-key-of-ours")))


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
