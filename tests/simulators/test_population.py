from __future__ import annotations

from dataclasses import fields

import numpy as np
from scipy.stats import chisquare, spearmanr

from envs.catalogue import load_catalogue
from simulators.draws import TRAITS, Luck, user_keys
from simulators.population import Traits, consenting, described
from simulators.presets import PRESETS, find_preset
from simulators.world import SyntheticWorld


def luck_of(users: np.ndarray, seed: int = 0) -> Luck:
    return Luck(user_keys(seed, users), np.full(len(users), TRAITS))


def test_a_user_is_the_same_person_in_any_batch() -> None:
    whole = SyntheticWorld(50, seed=3)
    lone = SyntheticWorld(1, seed=3)
    lone.restart(np.asarray([0]), np.asarray([41]))
    for field in fields(Traits):
        assert getattr(lone.traits, field.name)[0] == getattr(whole.traits, field.name)[41]
    assert lone.users.attributes[0].tolist() == whole.users.attributes[41].tolist()
    assert lone.moment().now[0] == whole.moment().now[41]


def test_archetypes_come_in_their_shares() -> None:
    # a fair draw fails once in 1e6 runs
    preset = find_preset("default")
    traits = Traits.drawn(preset, luck_of(np.arange(50_000)))
    counts = np.bincount(traits.archetype, minlength=len(preset.archetypes))
    weights = np.asarray([kind.weight for kind in preset.archetypes])
    assert chisquare(counts, weights / weights.sum() * 50_000).pvalue > 1e-6


def test_traits_stay_in_their_ranges() -> None:
    traits = Traits.drawn(find_preset("default"), luck_of(np.arange(20_000)))
    assert (traits.loyalty > 0).all() and (traits.loyalty < 1).all()
    for field in fields(Traits):
        values = getattr(traits, field.name)
        assert np.isfinite(values).all() and (values >= 0).all()


def test_without_spread_all_of_a_kind_are_alike() -> None:
    traits = Traits.drawn(PRESETS["small"], luck_of(np.arange(1000)))
    for kind in np.unique(traits.archetype):
        assert len(np.unique(traits.needs_per_week[traits.archetype == kind])) == 1


def test_attributes_tell_something_of_the_traits() -> None:
    # rank correlations near .8 and .7 with 5,000 users: the bounds are tens of errors away
    catalogue = load_catalogue()
    luck = luck_of(np.arange(5000))
    traits = Traits.drawn(find_preset("default"), luck)
    told = described(catalogue, traits, luck)
    assert told is not None
    spend = told[:, catalogue.attribute_index("past_spend_cents")]
    tier = told[:, catalogue.attribute_index("member_tier")]
    worth = traits.needs_per_week * traits.loyalty * traits.basket_cents
    assert spearmanr(spend, worth).statistic > 0.6
    assert spearmanr(tier, worth).statistic > 0.4
    assert set(np.unique(tier)) == {0, 1, 2}


def test_only_channels_that_need_consent_are_agreed_to() -> None:
    catalogue = load_catalogue()
    agreed = consenting(catalogue, luck_of(np.arange(5000)))
    needed = np.asarray([channel.consent == "required" for channel in catalogue.channels])
    assert not agreed[:, ~needed].any()
    assert (agreed[:, needed].mean(axis=0) > 0.2).all() and not agreed[:, needed].all()
