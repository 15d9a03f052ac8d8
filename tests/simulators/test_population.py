from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from scipy.stats import chisquare, spearmanr

from simulators.draws import TRAITS, Luck, user_keys
from simulators.population import FAVOURITE_RIGHT, Traits, described
from simulators.presets import find_preset, preset_names
from simulators.world import SyntheticWorld


def luck_of(users: np.ndarray, seed: int = 0) -> Luck:
    return Luck(user_keys(seed, users), np.full(len(users), TRAITS))


def test_a_user_is_the_same_person_in_any_batch() -> None:
    whole = SyntheticWorld(50, seed=3)
    lone = SyntheticWorld(1, seed=3)
    lone.restart(np.asarray([0]), np.asarray([41]))
    for field in fields(Traits):
        own, other = getattr(lone.traits, field.name)[0], getattr(whole.traits, field.name)[41]
        assert np.array_equal(own, other)
    assert lone.users.attributes[0].tolist() == whole.users.attributes[41].tolist()
    assert lone.moment().now[0] == whole.moment().now[41]


def test_archetypes_come_in_their_shares() -> None:
    # a fair draw fails once in 1e6 runs
    preset = find_preset("default")
    traits = Traits.drawn(preset, luck_of(np.arange(50_000)))
    counts = np.bincount(traits.archetype, minlength=len(preset.archetypes))
    weights = np.asarray([kind.weight for kind in preset.archetypes])
    assert chisquare(counts, weights / weights.sum() * 50_000).pvalue > 1e-6


@pytest.mark.parametrize("name", preset_names())
def test_traits_stay_in_their_ranges(name: str) -> None:
    traits = Traits.drawn(find_preset(name), luck_of(np.arange(20_000)))
    assert (traits.loyalty > 0).all() and (traits.loyalty < 1).all()
    for field in fields(Traits):
        values = getattr(traits, field.name)
        assert np.isfinite(values).all() and (values >= 0).all()
    assert (traits.forgiving <= 1).all()
    assert np.allclose(traits.category_shares.sum(axis=1), 1)


def test_without_spread_all_of_a_kind_are_alike() -> None:
    traits = Traits.drawn(find_preset("small"), luck_of(np.arange(1000)))
    for kind in np.unique(traits.archetype):
        assert len(np.unique(traits.needs_per_week[traits.archetype == kind])) == 1


def test_the_mean_person_lies_between_all_typical_ones() -> None:
    preset = find_preset("default")
    centres = [Traits.centre(preset, kind) for kind in range(len(preset.archetypes))]
    mean = Traits.mean(preset)
    for field in fields(Traits):
        values = [getattr(centre, field.name) for centre in centres]
        value = getattr(mean, field.name)
        assert (np.min(values, axis=0) <= value).all() and (value <= np.max(values, axis=0)).all()
    needs = [kind.weight * kind.needs_per_week for kind in preset.archetypes]
    assert np.isclose(mean.needs_per_week[0], preset.needs_factor * sum(needs))


def test_people_without_spread_are_typical_of_their_kind() -> None:
    preset = find_preset("small")
    traits = Traits.drawn(preset, luck_of(np.arange(100)))
    for kind in (0, 1):
        centre, row = Traits.centre(preset, kind), int(np.argmax(traits.archetype == kind))
        for field in fields(Traits):
            if field.name != "consents":
                drawn = getattr(traits, field.name)[row]
                assert np.allclose(drawn, getattr(centre, field.name)[0])


def test_attributes_tell_something_of_the_traits() -> None:
    # rank correlations near .8 and .7 with 5,000 users: the bounds are tens of errors away
    preset = find_preset("default")
    catalogue, luck = preset.load_catalogue(), luck_of(np.arange(5000))
    traits = Traits.drawn(preset, luck)
    told = described(catalogue, preset, traits, luck)
    assert told is not None
    spend = told[:, catalogue.attribute_index("past_spend_cents")]
    tier = told[:, catalogue.attribute_index("member_tier")]
    worth = traits.needs_per_week * traits.loyalty * traits.basket_cents
    assert spearmanr(spend, worth).statistic > 0.6
    assert spearmanr(tier, worth).statistic > 0.4
    assert set(np.unique(tier)) == {0, 1, 2}


def test_the_favourite_category_is_mostly_told_right() -> None:
    # a share beyond 5 errors of its binomial law happens once in 1.7e6 runs
    preset, n = find_preset("default"), 20_000
    catalogue, luck = preset.load_catalogue(), luck_of(np.arange(n))
    traits = Traits.drawn(preset, luck)
    told = described(catalogue, preset, traits, luck)
    assert told is not None
    right = told[
        :, catalogue.attribute_index("favourite_category")
    ] == traits.category_shares.argmax(1)
    assert (
        abs(right.mean() - FAVOURITE_RIGHT)
        < 5 * (FAVOURITE_RIGHT * (1 - FAVOURITE_RIGHT) / n) ** 0.5
    )


def test_channels_that_need_consent_have_it_from_some() -> None:
    preset = find_preset("default")
    catalogue, traits = preset.load_catalogue(), Traits.drawn(preset, luck_of(np.arange(5000)))
    for index, channel in enumerate(catalogue.channels):
        agreed = (traits.consents >> np.uint16(index) & 1).mean()
        if channel.consent == "required":
            # beyond 5 errors once in 1.7e6 runs
            share = preset.channels[channel.name].consenting
            assert abs(agreed - share) < 5 * (share * (1 - share) / 5000) ** 0.5
        else:
            assert agreed == 1
