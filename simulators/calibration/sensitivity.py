"""How the ranking of simple policies moves when each assumed number is halved and doubled.

All policies are played side by side by the rules of the catalogue, on the same people with the
same luck, and judged by conditional means. Myopic ones know the hidden state and ask a price for
each unit of fatigue; they are yardsticks, not policies that could be served.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from envs.catalogue import Catalogue
from envs.clock import DAY
from envs.decisions import Policy, draw_actions
from envs.encoding import Encoding
from envs.rules import Rules
from simulators.calibration.fitting import changed
from simulators.calibration.trials import local_hour
from simulators.draws import Purpose
from simulators.journey import Journey
from simulators.presets import Archetype, ChannelNature, Preset, SceneNature, find_preset
from simulators.replay import LoadPolicy
from simulators.value import Estimate
from simulators.world import SyntheticWorld

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rows = NDArray[np.int64]
Row = TypeVar("Row", Archetype, ChannelNature, SceneNature)

SILENCE: Final = "silence"
PLAYED: Final = (
    SILENCE,
    "uniform",
    "rule_book",
    "constant:content/push",
    "constant:content/email",
    "constant:off5/in_app",
    "constant:off20/email",
    "constant:gift/mini_program",
)
PRICES: Final = (0.0, 15.0, 40.0)
"""Cents a unit of fatigue that myopic policies ask; 0: plainly myopic."""
USERS, DAYS = 200, 28
FACTORS: Final = {"halved": 0.5, "doubled": 2.0}
AS_FACTORS: Final = {"needs_per_week", "basket_cents", "deal_liking", "tiring"}
"""Columns of the archetypes that one factor of the preset multiplies: that is moved instead."""
KEPT: Final = {"reference_kept", "forgiving"}
"""Shares that are kept: what is lost of them is halved and doubled."""
SHARES: Final = {
    *("loyalty", "temper", "delivered", "seen", "clicked", "consenting", "browsing"),
    *("stock_up", "idle_clicks", "misfit", "reference_learning", "dismissed", "not_interested"),
    *("leaving_per_day", "return_per_week", "returned", "service_contacts", "idle_browsing"),
    *("displaced", "carting", "idle_carting", "favouring", "idle_favouring", "click_to_buy"),
}
"""Chances: doubled at most to 1."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How policies fare in one world."""

    number: str
    """What was moved."""
    how: str
    best: str
    gain: Estimate
    """Of the best over silence, cents a user-week, paired."""
    swaps: int
    """Pairs of policies in another order than before."""
    ranking: tuple[str, ...]
    """From the best to the worst."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The world as it is, and moved."""

    base: Answer
    moved: tuple[Answer, ...]

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """Number, how it was moved, best policy, its gain, and swaps: text for tables."""
        return [
            (
                answer.number,
                answer.how,
                answer.best,
                f"{answer.gain.mean:.1f} ({answer.gain.low:.1f} to {answer.gain.high:.1f})",
                str(answer.swaps),
            )
            for answer in (self.base, *self.moved)
        ]

    def table(self) -> Table:
        """For the terminal."""
        table = Table("number", "", "best", "gain over silence (95 %)", "swaps")
        for row in self.rows():
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """For the document, with the order of the world as it is."""
        order = " > ".join(f"`{name}`" for name in self.base.ranking)
        same = sum(answer.best == self.base.best for answer in self.moved)
        lines = [
            f"As it is: {order}. The best stays the best in {same} of {len(self.moved)} cases.",
            "",
            "| number | | best | gain over silence (95 %) | swaps |",
            "|---|---|---|---|---|",
        ]
        for number, how, best, gain, swaps in self.rows():
            lines.append(f"| {number} | {how} | `{best}` | {gain} | {swaps} |")
        return "\n".join(lines)


def sensitivity(
    load_policy: LoadPolicy,
    seed: int,
    share: float = 1.0,
    progress: Callable[[float], None] | None = None,
) -> Sensitivity:
    """Halve and double each assumed number of the default preset.

    Args:
        load_policy: finds the policies by name.
        seed: of all luck.
        share: of the usual number of users.
        progress: told the share done.
    """
    preset = find_preset("default")
    catalogue = preset.load_catalogue()
    users = max(int(USERS * share), 20)
    policies = {name: load_policy(name, catalogue) for name in PLAYED}
    values = _play(preset, catalogue, policies, users, seed)
    base = _answer("as it is", "", values, _ranking(values))
    moved = []
    cases = [(number, how) for number in assumed(preset) for how in FACTORS]
    for done, (number, how) in enumerate(cases):
        if progress is not None:
            progress(done / len(cases))
        world = times(preset, number, FACTORS[how])
        values = _play(world, catalogue, policies, users, seed)
        moved.append(_answer(number, how, values, base.ranking))
    return Sensitivity(base, tuple(moved))


def assumed(preset: Preset) -> list[str]:
    """What is assumed: scalars by name, and columns of tables such as ``channels.*.seen``."""
    found: dict[str, None] = {}
    for name, source in preset.sources.items():
        if not source.startswith("assumed"):
            continue
        table, *inner = name.split(".")
        moved = f"{table}.*.{inner[-1]}" if len(inner) > 1 else name
        if isinstance(_some(preset, moved), float):
            found[moved] = None
    return list(found)


def _some(preset: Preset, number: str) -> object:
    """One value of a number or column; None for what cannot be halved."""
    table, *inner = number.split(".")
    value = getattr(preset, table)
    if not inner:
        return value
    column = inner[-1]
    if table == "archetypes":
        numbers = {f.name for f in fields(Archetype)} - AS_FACTORS - {"weight", "name"}
        return getattr(value[0], column) if column in numbers else None
    return getattr(next(iter(value.values())), column) if isinstance(value, Mapping) else None


def times(preset: Preset, number: str, factor: float) -> Preset:
    """The preset with an assumed number, or the assumed rows of a column, times a factor."""
    table, *inner = number.split(".")
    if not inner:
        return changed(preset, table, _times(table, getattr(preset, table), factor))
    column = inner[-1]

    def moved(name: str, row: Row) -> Row:
        if not preset.sources[f"{table}.{name}.{column}"].startswith("assumed"):
            return row
        return changed(row, column, _times(column, getattr(row, column), factor))

    if table == "archetypes":
        return replace(preset, archetypes=tuple(moved(k.name, k) for k in preset.archetypes))
    rows = {name: moved(name, row) for name, row in getattr(preset, table).items()}
    return changed(preset, table, rows)


def _times(name: str, value: float, factor: float) -> float:
    """A number times a factor; shares stay below 1, and of shares that are kept the loss moves."""
    if name in KEPT:
        return max(1 - (1 - value) * factor, 0.0)
    return min(value * factor, 1.0 if name in SHARES else np.inf)


def _ranking(values: dict[str, Floats]) -> tuple[str, ...]:
    return tuple(sorted(values, key=lambda name: -float(values[name].mean())))


def _answer(number: str, how: str, values: dict[str, Floats], before: tuple[str, ...]) -> Answer:
    ranking = _ranking(values)
    place = {name: i for i, name in enumerate(before)}
    swaps = sum(
        place[first] > place[second]
        for i, first in enumerate(ranking)
        for second in ranking[i + 1 :]
    )
    gain = Estimate.of(values[ranking[0]] - values[SILENCE])
    return Answer(number, how, ranking[0], gain, swaps, ranking)


def _play(
    preset: Preset, catalogue: Catalogue, policies: Mapping[str, Policy], users: int, seed: int
) -> dict[str, Floats]:
    """Cents a user-week of each policy by user, as conditional means, float64 [users]."""
    names = [*policies, *(f"myopic, price {price:g}" for price in PRICES)]
    world = SyntheticWorld(users * len(names), seed, preset, catalogue)
    everybody = np.arange(users * len(names))
    world.restart(everybody, everybody % users)
    rules, encoding = Rules(catalogue), Encoding(catalogue)
    until = world.start_s + DAYS * DAY
    total = np.zeros(len(everybody))
    while (active := (world.moment().now < until) & ~world.departed).any():
        moment = world.moment()
        allowed = rules.refusals(world.users, moment, world.budget_left()) == 0
        seen = encoding.encode(world.users, moment, 0.0)
        draw = world.uniform(Purpose.ACTION)
        actions = np.zeros(len(everybody), np.int64)
        for i, policy in enumerate(policies.values()):
            own = slice(i * users, (i + 1) * users)
            chances = policy.probabilities(seen[own], allowed[own])
            actions[own] = draw_actions(chances, draw[own])
        first = len(policies) * users
        actions[first:] = _myopic(world, catalogue, allowed, everybody[first:], users)
        step = world.step(actions, active)
        total += np.where(active, step.expected_cents, 0.0)
    weekly = total.reshape(len(names), users) / (DAYS / 7)
    return dict(zip(names, weekly, strict=True))


def _myopic(
    world: SyntheticWorld, catalogue: Catalogue, allowed: Flags, rows: Rows, users: int
) -> Rows:
    """The best mean gain of the present step less the price of the fatigue, int64 [rows].

    ``rows`` are as many times ``users`` as there are prices, in their order.
    """
    who, action = np.nonzero(allowed[rows][:, 1:])
    action += 1
    gain = _gains(world, rows[who], action)
    price = np.asarray(PRICES)[who // users]
    worth = np.zeros((len(rows), len(catalogue.actions)))
    worth[who, action] = gain - price * world.behaviour.weight[action]
    worth[~allowed[rows]] = 0.0
    best: Rows = worth.argmax(axis=1)
    return best


def _gains(world: SyntheticWorld, rows: Rows, actions: Rows) -> Floats:
    """As ``SyntheticWorld.action_gains``, for pairs of a row and an action, float64 [M]."""
    moment = world.moment()
    journey = Journey.drawn(world.path, world.traits.routine, moment, world.luck())
    ripening = world.behaviour.ripening(world.traits, journey.exposure)
    silence = world.expectations.silence(world.traits, world.hidden, ripening)
    hour, scene = local_hour(moment).take(rows), moment.scene.take(rows)
    chances = world.behaviour.funnel(world.traits, world.hidden, rows, scene, hour, actions)
    return world.expectations.gain(
        world.traits, world.hidden, rows, actions, chances, silence.take(rows)
    )
