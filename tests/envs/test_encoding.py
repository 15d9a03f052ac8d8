"""What a policy sees."""

from datetime import UTC, datetime

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.catalogue import DEFAULT_CATALOGUE, load_catalogue, parse_catalogue
from envs.clock import DAY, to_seconds
from envs.decisions import EventKind, Events, Moment
from envs.encoding import Encoding
from envs.users import UserState, advance

CATALOGUE = load_catalogue()
ENCODING = Encoding(CATALOGUE)
START = to_seconds(datetime(2025, 1, 6, tzinfo=UTC))


def lived(seed: int, n: int) -> tuple[UserState, Moment]:
    """Users with a random past."""
    rng = np.random.default_rng(seed)
    users = UserState.empty(CATALOGUE, n)
    size = 40 * n
    kinds = rng.integers(0, 15, size)
    told = rng.integers(0, 3, (size, len(CATALOGUE.attributes))).astype(np.float32)
    advance(
        users,
        Events.of(
            rng.integers(0, n, size),
            kinds,
            START + rng.integers(0, 30 * DAY, size),
            rng.integers(0, 12, size),
            rng.integers(0, 5, size),
            rng.integers(0, 6, size),
            rng.integers(0, 9000, size),
            rng.random(size),
            0,
            told,
        ),
    )
    now = (START + 30 * DAY + rng.integers(0, DAY, n)).astype(np.int32)
    return users, Moment(rng.integers(0, 12, n).astype(np.int16), now, np.full(n, 3600, np.int32))


def test_every_feature_has_one_name() -> None:
    users, moment = lived(0, 5)
    assert ENCODING.encode(users, moment).shape == (5, ENCODING.width)
    assert len(set(ENCODING.names)) == ENCODING.width == len(ENCODING.names)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 10))
def test_one_user_alone_and_among_many_give_the_same_bits(seed: int, price: float) -> None:
    users, moment = lived(seed, 37)
    together = ENCODING.encode(users, moment, price)
    assert np.isfinite(together).all()
    for row in range(0, 37, 6):
        rows = np.asarray([row])
        alone = ENCODING.encode(users.take(rows), moment.take(rows), price)
        assert alone.tobytes() == together[row].tobytes()


def test_the_budget_price_is_seen() -> None:
    users, moment = lived(0, 3)
    column = ENCODING.names.index("budget_price")
    assert ENCODING.encode(users, moment, 2.5)[:, column].tolist() == [2.5] * 3


def test_unknown_attributes_are_all_zero_and_known_ones_are_not() -> None:
    users = UserState.empty(CATALOGUE, 1)
    moment = Moment(np.zeros(1, np.int16), np.full(1, START, np.int32), np.zeros(1, np.int32))
    columns = [k for k, name in enumerate(ENCODING.names) if name.startswith("attribute")]
    assert not ENCODING.encode(users, moment)[0, columns].any()
    told = np.full((1, len(CATALOGUE.attributes)), np.nan, np.float32)
    told[0, :2] = [2.0, 50_000.0]
    advance(users, Events.of([0], EventKind.DESCRIBED, START, attributes=told))
    seen = ENCODING.encode(users, moment)[0, columns]
    assert seen[:5].tolist() == [0.0, 0.0, 1.0, 0.25, 1.0] and not seen[5:].any()


def test_the_hash_follows_the_catalogue() -> None:
    other = parse_catalogue(DEFAULT_CATALOGUE.read_text().replace("margin: 0.35", "margin: 0.4"))
    assert Encoding(other).hash != ENCODING.hash
    assert Encoding(load_catalogue()).hash == ENCODING.hash
