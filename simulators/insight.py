"""What nobody can know of users, as numbers: for a critic in training, never for a policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.clock import DAY
from simulators.behaviour import Behaviour
from simulators.hidden import OPEN, stage
from simulators.population import Traits
from simulators.presets import Preset
from simulators.world import SyntheticWorld

Floats = NDArray[np.float32]

TYPICAL: Final = {
    "loyalty": 1.0,
    "deal_liking": 1.0,
    "gift_liking": 1.0,
    "reach_interrupting": 1.0,
    "reach_waiting": 1.0,
    "tiring": 0.1,
    "forgiving": 1.0,
    "temper": 0.01,
    "departing": 1.0,
}
"""Traits and their order of magnitude, by which they are divided."""
FATIGUE: Final = "fatigue"


def insight_names(catalogue: Catalogue, preset: Preset) -> tuple[str, ...]:
    """What each number of ``hidden`` is, [H]."""
    tastes = (f"taste:{name}" for name in preset.categories)
    held = (f"held:{channel.name}" for channel in catalogue.channels)
    stages = ("idle", "idle_served", "ripe_served", *(f"open:{name}" for name in preset.categories))
    return (
        "needs", "basket", *TYPICAL, *tastes, *held, *stages,
        "reference_discount", "prompted", FATIGUE,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Burden:
    """What a contact leaves behind at once, by channel; silence is number 0."""

    group: tuple[int, ...]
    """Of each action, [A]: 0 for silence, 1 + its channel for others."""
    hidden: tuple[tuple[float, ...], ...]
    """What is added to ``hidden`` by each group, [G][H]."""

    @classmethod
    def of(cls, catalogue: Catalogue, preset: Preset) -> Burden:
        """Each contact adds its weight to the fatigue."""
        names = insight_names(catalogue, preset)
        group = catalogue.action_channel + 1
        burdens = np.zeros((len(catalogue.channels) + 1, len(names)))
        burdens[group, names.index(FATIGUE)] = Behaviour(catalogue, preset).weight
        return cls(tuple(group.tolist()), tuple(map(tuple, burdens.tolist())))


def insight(world: SyntheticWorld, allowed: NDArray[np.bool_], price: Any) -> dict[str, Floats]:
    """What a critic is told of every row at its opportunity.

    Args:
        world: whose users are looked into.
        allowed: actions, bool [N, A].
        price: of a cent spent, one or float64 [N].

    Returns:
        ``hidden`` float32 [N, H], named by ``insight_names``, each about 1: logarithms of need
        rate and basket, other traits, tastes, channels held, stage of the need one-hot, the
        discount the user is used to, whether a contact was seen within a day, fatigue;
        ``prospects`` float32 [N, A]: cents that each allowed action adds on average beyond silence
        in this step, less what its sale takes from later ones and the price of its costs.
    """
    return {"hidden": _hidden(world), "prospects": _prospects(world, allowed, price)}


def _hidden(world: SyntheticWorld) -> Floats:
    traits, hidden = world.traits, world.hidden
    held = traits.consents & ~hidden.withdrawn
    channels = np.arange(len(world.catalogue.channels), dtype=np.uint16)
    stages = np.arange(OPEN + len(world.preset.categories))
    prompted = world.moment().now - hidden.prompted_at < np.int32(DAY)
    columns = [
        *_lasting(traits, world.catalogue.typical_basket_cents),
        *(held[:, None] >> channels & 1).T,
        *(stage(hidden)[:, None] == stages).T,
        hidden.reference_discount,
        prompted,
        hidden.fatigue,
    ]
    return np.stack([column.astype(np.float32) for column in columns], axis=1)


def _lasting(traits: Traits, typical_basket_cents: int) -> list[Floats]:
    basket = traits.basket_cents / max(typical_basket_cents, 1)
    scaled = [getattr(traits, name) / typical for name, typical in TYPICAL.items()]
    rates = np.log(np.maximum(traits.needs_per_week, 1e-3)), np.log(np.maximum(basket, 1e-3))
    return [*rates, *scaled, *traits.category_shares.T]


def _prospects(world: SyntheticWorld, allowed: NDArray[np.bool_], price: Any) -> Floats:
    rows, contacts = np.nonzero(allowed[:, 1:])
    gain, cost = world.prospects(rows, contacts + 1)
    prospects = np.zeros(allowed.shape, np.float32)
    prospects[rows, contacts + 1] = gain - np.broadcast_to(price, len(allowed)).take(rows) * cost
    return prospects
