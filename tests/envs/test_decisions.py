"""Drawing actions, and events as columns."""

import numpy as np
import pytest

from envs.decisions import Events, draw_actions


def test_draws_follow_their_row() -> None:
    """Chi-squared over five allowed actions; false alarms one in a thousand."""
    row = np.asarray([[0.1, 0.0, 0.4, 0.3, 0.15, 0.05]])
    uniforms = np.random.default_rng(0).random(200_000)
    drawn = draw_actions(np.repeat(row, len(uniforms), axis=0), uniforms)
    counts = np.bincount(drawn, minlength=6)
    expected = row[0] * len(uniforms)
    assert counts[1] == 0
    likely = expected > 0
    statistic = ((counts[likely] - expected[likely]) ** 2 / expected[likely]).sum()
    assert statistic < 18.47  # 99.9 % of chi-squared with 4 degrees


@pytest.mark.parametrize("uniform", [0.0, np.nextafter(1.0, 0.0)])
def test_an_action_of_probability_zero_is_never_drawn(uniform: float) -> None:
    rng = np.random.default_rng(1)
    rows = rng.random((1000, 9)) * (rng.random((1000, 9)) < 0.3)
    rows = rows[rows.sum(axis=1) > 0]
    rows /= rows.sum(axis=1, keepdims=True)
    drawn = draw_actions(rows, np.full(len(rows), uniform))
    assert (rows[np.arange(len(rows)), drawn] > 0).all()


def test_events_keep_their_order_when_joined() -> None:
    told = np.asarray([[1.0, np.nan]], np.float32)
    joined = Events.concatenate(
        [Events.of([3], 1, 5), Events.of([], 1, 5), Events.of([2], 15, 4, attributes=told)]
    )
    assert joined.row.tolist() == [3, 2]
    assert joined.attributes is not None
    assert np.isnan(joined.attributes[0]).all()
    assert joined.attributes[1, 0] == 1.0
    assert joined.take(np.asarray([1])).row.tolist() == [2]
