"""What the business is paid."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from envs.rewards import RewardParts

CENTS = st.integers(0, 10_000)


@given(st.integers(-10_000, 10_000), CENTS, CENTS, CENTS, st.floats(0, 5))
def test_every_cent_is_in_exactly_one_part(
    margin: int, offer: int, contact: int, opt_out: int, price: float
) -> None:
    parts = RewardParts(*(np.asarray([x], np.int32) for x in (margin, offer, contact, opt_out)))
    net = margin - offer - contact - opt_out
    assert parts.net_cents()[0] == net
    assert parts.reward(0.0)[0] == net
    assert np.isclose(parts.reward(price)[0], net - price * (offer + contact))
