import json
import random

import pytest

from benchmarks.mutants import cut, doubled, flipped, mutant, nested, strewn, swapped

CONTENT = bytes(range(200))
VALUE = {"events": [{"kind": "bought", "amount_cents": 3}], "more": {"a": 1}}


@pytest.mark.parametrize("way", [flipped, cut, doubled, strewn, mutant])
def test_a_mutant_differs_and_the_same_seed_makes_it_again(way):
    made = [way(CONTENT, random.Random(seed)) for seed in range(50)]
    assert made == [way(CONTENT, random.Random(seed)) for seed in range(50)]
    assert sum(one != CONTENT for one in made) > 45
    assert isinstance(way(b"", random.Random(1)), bytes)


def test_a_swap_leaves_the_original_alone_and_reaches_every_part():
    before = json.dumps(VALUE)
    made = [swapped(VALUE, random.Random(seed)) for seed in range(300)]
    assert json.dumps(VALUE) == before
    assert any(not isinstance(one, dict) for one in made)
    whole = [one for one in made if isinstance(one, dict)]
    assert any("events" not in one for one in whole)
    assert any(
        one.get("more") == {"a": 1} and one.get("events") != VALUE["events"] for one in whole
    )
    assert any(isinstance(one.get("more"), dict) and one["more"] != {"a": 1} for one in whole)


def test_lists_in_lists_are_valid_up_to_where_recursion_ends():
    text = nested("events")
    assert text.startswith(b'{"events":[[') and text.endswith(b"]]}")
    with pytest.raises(RecursionError):
        json.loads(text)
