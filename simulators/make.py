"""The registered environments: offer decisions in the synthetic world."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from envs.catalogue import Catalogue, load_catalogue
from envs.offer_env import OfferEnv, OfferVectorEnv
from simulators.presets import Preset
from simulators.world import START, SyntheticWorld


def world_factory(
    preset: str | Preset = "default", catalogue: Catalogue | None = None, start: str = START
) -> Callable[[int, int], SyntheticWorld]:
    """How to make a synthetic world, given the number of rows and the seed."""
    known = load_catalogue() if catalogue is None else catalogue

    def make(num_users: int, seed: int) -> SyntheticWorld:
        return SyntheticWorld(num_users, seed, preset, known, start)

    return make


def offer_vector_env(
    num_envs: int = 1,
    preset: str | Preset = "default",
    catalogue: str | Catalogue | None = None,
    start: str = START,
    days: float = 28.0,
    budget_price: float = 0.0,
    budget_left_cents: float = float("inf"),
) -> OfferVectorEnv:
    """``gymnasium.make_vec("simulators:SceneLift-v0", vectorization_mode="vector_entry_point")``.

    Args:
        num_envs: users side by side.
        preset: name of a preset of the world, or one.
        catalogue: path of a catalogue file, or one; the default when left out.
        start: ISO 8601 time with zone.
        days: length of an episode.
        budget_price: price of spend in the reward, 0 or more.
        budget_left_cents: what every decision may still spend.

    Raises:
        InputError: any of these is wrong.
    """
    make_world = world_factory(preset, _catalogue(catalogue), start)
    return OfferVectorEnv(make_world, num_envs, days, budget_price, budget_left_cents)


def offer_env(
    preset: str | Preset = "default",
    catalogue: str | Catalogue | None = None,
    start: str = START,
    days: float = 28.0,
    budget_price: float = 0.0,
    budget_left_cents: float = float("inf"),
) -> OfferEnv:
    """``gymnasium.make("simulators:SceneLift-v0")``; arguments as for ``offer_vector_env``."""
    return OfferEnv(
        world_factory(preset, _catalogue(catalogue), start),
        days=days,
        budget_price=budget_price,
        budget_left_cents=budget_left_cents,
    )


def _catalogue(given: str | Catalogue | None) -> Catalogue | None:
    return load_catalogue(Path(given)) if isinstance(given, str) else given
