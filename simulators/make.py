"""The registered environments: offer decisions in the synthetic world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from envs.catalogue import Catalogue, load_catalogue
from envs.clock import parse_time
from envs.offer_env import OfferEnv, OfferVectorEnv
from simulators.insight import insight
from simulators.presets import Preset, find_preset
from simulators.stress.named import stressed
from simulators.world import START, SyntheticWorld


@dataclass(frozen=True, slots=True)
class SyntheticWorlds:
    """Makes synthetic worlds that differ in their rows and their luck alone."""

    preset: Preset
    catalogue: Catalogue
    start: str = START
    stress: tuple[str, ...] = ()

    def __call__(self, num_users: int, seed: int) -> SyntheticWorld:
        """A world with so many rows."""
        world = SyntheticWorld(num_users, seed, self.preset, self.catalogue, self.start)
        return stressed(world, self.stress)


def world_factory(
    preset: str | Preset = "default",
    catalogue: Catalogue | None = None,
    start: str = START,
    stress: Sequence[str] = (),
) -> SyntheticWorlds:
    """How to make a synthetic world, given the number of rows and the seed.

    Raises:
        InputError: a preset or a start that there is not.
    """
    parse_time(start)
    preset = find_preset(preset) if isinstance(preset, str) else preset
    known = preset.load_catalogue() if catalogue is None else catalogue
    return SyntheticWorlds(preset, known, start, tuple(stress))


def offer_vector_env(
    num_envs: int = 1,
    preset: str | Preset = "default",
    catalogue: str | Catalogue | None = None,
    start: str = START,
    days: float = 28.0,
    budget_price: float = 0.0,
    budget_left_cents: float = float("inf"),
    stress: Sequence[str] = (),
    hidden: bool = False,
    twins: bool = False,
) -> OfferVectorEnv:
    """``gymnasium.make_vec("simulators:SceneLift-v0", vectorization_mode="vector_entry_point")``.

    Args:
        num_envs: users side by side.
        preset: name of a preset of the world, or one.
        catalogue: path of a catalogue file, or one; the preset's when left out.
        start: ISO 8601 time with zone.
        days: length of an episode.
        budget_price: price of spend in the reward, 0 or more.
        budget_left_cents: what every decision may still spend.
        stress: what goes wrong, see ``simulators.stress.named``; the first is innermost.
        hidden: whether ``info`` has what ``insight`` says of users, for a critic in training.
        twins: whether every person is there twice, with the same luck.

    Raises:
        InputError: any of these is wrong.
    """
    make_world = world_factory(preset, _catalogue(catalogue), start, stress)
    told = insight if hidden else None
    return OfferVectorEnv(make_world, num_envs, days, budget_price, budget_left_cents, told, twins)


def offer_env(
    preset: str | Preset = "default",
    catalogue: str | Catalogue | None = None,
    start: str = START,
    days: float = 28.0,
    budget_price: float = 0.0,
    budget_left_cents: float = float("inf"),
    stress: Sequence[str] = (),
) -> OfferEnv:
    """``gymnasium.make("simulators:SceneLift-v0")``; arguments as for ``offer_vector_env``."""
    return OfferEnv(
        world_factory(preset, _catalogue(catalogue), start, stress),
        days=days,
        budget_price=budget_price,
        budget_left_cents=budget_left_cents,
    )


def _catalogue(given: str | Catalogue | None) -> Catalogue | None:
    return load_catalogue(Path(given)) if isinstance(given, str) else given
