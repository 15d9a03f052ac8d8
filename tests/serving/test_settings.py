"""What the environment may say."""

import stat

import pytest

from envs.errors import InputError
from serving.settings import Settings, run_secret

SECRET = "a secret of the tests only"


def test_settings_are_read_from_the_environment():
    settings = Settings.read(
        {
            "SCENELIFT_TIME_ZONE": "Europe/Berlin",
            "SCENELIFT_REDIS_TIMEOUT_MS": "25",
            "SCENELIFT_OUTCOME_DAYS": "1.5",
            "SCENELIFT_API_KEYS": f"app:{'0' * 64}",
        },
        "redis://127.0.0.1:1/0",
        SECRET,
    )
    assert (settings.time_zone, settings.redis_timeout_ms) == ("Europe/Berlin", 25)
    assert (settings.outcome_days, settings.decision_days) == (1.5, 30)
    assert settings.api_keys == f"app:{'0' * 64}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIME_ZONE", "Mars/Phobos"),
        ("REDIS_TIMEOUT_MS", "fast"),
        ("REDIS_TIMEOUT_MS", "0"),
        ("USER_DAYS", "-1"),
        ("DECISION_DAYS", "1.5"),
        ("OUTCOME_DAYS", "nan"),
        ("MAX_BODY_BYTES", ""),
        ("RATE_LIMIT", "-1"),
        ("LOCATION", "exact"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(name, value):
    with pytest.raises(InputError, match=f"SCENELIFT_{name}"):
        Settings.read({f"SCENELIFT_{name}": value}, "redis://127.0.0.1:1/0", SECRET)


def test_the_secret_is_made_once_and_only_the_owner_may_read_it(tmp_path):
    first = run_secret({}, tmp_path)
    assert run_secret({}, tmp_path) == first
    assert len(first) == 64
    assert stat.S_IMODE((tmp_path / "user_secret").stat().st_mode) == 0o600


def test_a_given_secret_goes_before_the_kept_one(tmp_path):
    assert run_secret({"SCENELIFT_USER_SECRET": SECRET}, tmp_path) == SECRET
    assert not (tmp_path / "user_secret").exists()


@pytest.mark.parametrize("secret", ["short", "x" * 65])
def test_a_secret_of_a_wrong_length_is_refused(tmp_path, secret):
    with pytest.raises(InputError, match="16 to 64"):
        run_secret({"SCENELIFT_USER_SECRET": secret}, tmp_path)


def test_a_secret_that_was_spoilt_is_refused(tmp_path):
    (tmp_path / "user_secret").write_text("")
    with pytest.raises(InputError, match="user_secret"):
        run_secret({}, tmp_path)
