from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.policies.cells import MOST_VALUES, Cells
from envs.catalogue import Catalogue, load_catalogue, parse_catalogue
from envs.clock import HOUR, parse_time
from envs.decisions import EventKind, Events, Moment
from envs.encoding import Encoding
from envs.errors import InputError
from envs.users import UserState, advance
from tests.agents.tabular_world import CATALOGUE, model, standing, visits

MONDAY = parse_time("2025-01-06T00:00:00Z")
TUPLES = list(product(range(3), range(24), range(3), range(4), (-1, 0, 1, 2, 3)))
"""Scene, hour, contacts today, channels opted out of as bits, need (-1: not told)."""


def observed(tuples: list[tuple[int, ...]], day: int, shift: int = 0) -> np.ndarray:
    """What is seen of a user for each tuple, some of whom did other things as well."""
    scene, hour, contacts, left, need = np.asarray(tuples).T
    now = (MONDAY + day * 86400 + hour * HOUR + 3599).astype(np.int32)
    users = UserState.empty(CATALOGUE, len(tuples))
    rows = np.arange(len(tuples))
    told = np.where(need < 0, np.nan, need).astype(np.float32)[:, None]
    events = [Events.of(rows, EventKind.DESCRIBED, now, attributes=told)]
    events += [
        Events.of(rows[contacts > n], EventKind.CONTACTED, now[contacts > n] - n, 0, 0, 0)
        for n in range(2)
    ]
    events += [
        Events.of(rows[left >> channel & 1 == 1], EventKind.OPTED_OUT, MONDAY - 9, channel=channel)
        for channel in range(2)
    ]
    events.append(Events.of(rows[shift:], EventKind.BOUGHT, now[shift:] - 9, amount_cents=900))
    advance(users, Events.concatenate(events))
    moment = Moment(scene.astype(np.int16), now, np.zeros(len(tuples), np.int32))
    return Encoding(CATALOGUE).encode(users, moment)


def test_cells_number_what_can_be_seen_one_to_one() -> None:
    cells = Cells.of(CATALOGUE)
    numbers = cells.number(observed(TUPLES, day=0))
    assert cells.size == len(TUPLES)
    assert sorted(numbers.tolist()) == list(range(cells.size))


@settings(max_examples=20, deadline=None)
@given(
    some=st.lists(st.sampled_from(TUPLES), min_size=1, max_size=8),
    day=st.integers(0, 400),
    shift=st.integers(0, 8),
)
def test_a_cell_is_the_same_on_any_day_whatever_else_is_known(
    some: list[tuple[int, ...]], day: int, shift: int
) -> None:
    cells = Cells.of(CATALOGUE)
    usual = cells.number(observed(some, day=0, shift=len(some)))
    assert np.array_equal(cells.number(observed(some, day, shift)), usual)
    assert np.array_equal(
        np.equal.outer(usual, usual), np.asarray([[a == b for b in some] for a in some])
    )


def test_a_table_over_cells_can_hold_all_but_a_thousandth_of_the_optimum() -> None:
    """What it cannot hold is the day of the week: the best action of each cell, on average."""
    finite, best = model(), model().best()
    number = Cells.of(CATALOGUE).number(standing()[0])
    weights = visits(best.actions)
    worth = np.where(np.isfinite(finite.rewards), finite.worth(best.values), -1e6)
    sums = np.stack([np.bincount(number, weights * row) for row in worth])  # [A, cells]
    values = finite.values_of(sums.argmax(axis=0)[number])
    alone = finite.values_of(np.zeros(len(number), np.int64))
    gap = finite.value_cents(best.values) - finite.value_cents(alone)
    lost = finite.value_cents(best.values) - finite.value_cents(values)
    assert 0 < lost < 0.0015 * gap


def test_a_number_among_the_attributes_is_refused() -> None:
    with pytest.raises(InputError, match=r"'past_spend_cents' .* is a number.*use q"):
        Cells.of(load_catalogue())


def test_too_many_cells_are_refused() -> None:
    text = CATALOGUE.text + "".join(
        f"  - {{name: a{n}, kind: choice, values: [x, y, z]}}\n" for n in range(3)
    )
    catalogue: Catalogue = parse_catalogue(text)
    with pytest.raises(
        InputError, match=rf"276,480 cells times 7 .* {MOST_VALUES:,} values: use q"
    ):
        Cells.of(catalogue)
    plain = replace(catalogue, attributes=catalogue.attributes[:1])
    assert Cells.of(plain).size == len(TUPLES)
