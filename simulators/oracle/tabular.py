"""A world small enough to be written out: every state, every chance, the exact optimum.

A preset is finite when everybody is alike, fatigue only counts the contacts since midnight,
discounts leave no habit, nobody opts out, refuses an offer or leaves, and no rule remembers more
than the contacts of the day. The state is then (hour of the week, scene), the stage of the need,
and the contacts since midnight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import spsolve

from envs.catalogue import Catalogue
from envs.clock import DAY, hour_of_week, parse_time, utc_offset_seconds
from envs.errors import InputError
from simulators.hidden import stage
from simulators.journey import LATEST_ENTRY_S
from simulators.oracle.criterion import GAMMA, flow
from simulators.oracle.grid import Grid, Nodes
from simulators.oracle.known_rules import KnownRules
from simulators.oracle.reactions import Nature, Reactions, served, start_stages
from simulators.oracle.week import Week
from simulators.population import Traits
from simulators.presets import Preset
from simulators.scenes import HOURS
from simulators.world import SyntheticWorld

Floats = NDArray[np.float64]
DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class States:
    """The states that occur, numbered; arrays [S]."""

    pair: NDArray[np.int64]
    """Of hour and scene, as the week numbers them."""
    stage: NDArray[np.int64]
    contacts: NDArray[np.int64]
    """Since midnight."""
    number: NDArray[np.int64]
    """State by pair, stage and contacts, -1 where none occurs, int64 [pairs, G, most + 1]."""

    @classmethod
    def of(cls, week: Week, stages: int, most: int) -> Self:
        """All stages, with as many contacts as there can have been opportunities since midnight."""
        contacts = _most_contacts(week, most)
        pair, kind, count = np.meshgrid(
            np.arange(len(week)), np.arange(stages), np.arange(most + 1), indexing="ij"
        )
        occurs = count <= contacts[:, None, None]
        number = np.where(occurs, np.cumsum(occurs).reshape(occurs.shape) - 1, -1)
        return cls(pair[occurs], kind[occurs], count[occurs], number)

    def __len__(self) -> int:
        return len(self.pair)


def _most_contacts(week: Week, most: int) -> NDArray[np.int64]:
    """Opportunities there can have been since midnight before each pair, int64 [pairs]."""
    before = np.zeros(len(week), np.int64)
    for _ in range(most):
        for pair, stays in enumerate(week.stays):
            hour = int(week.hour[pair])
            for stay in stays:
                if hour % 24 + stay.hours < 24:
                    then = hour + stay.hours
                    onward = week.turns[then][stay.row] > 0
                    rows = np.arange(week.first[then], week.first[then + 1])[onward]
                    before[rows] = np.maximum(before[rows], min(before[pair] + 1, most))
    return before


@dataclass(frozen=True, slots=True)
class Solution:
    """Values of a policy, or of the best one."""

    values: Floats
    """Discounted cents from the beginning of the hour on, float64 [S]."""
    actions: NDArray[np.int64]
    """int64 [S]"""
    residual: float
    """Largest violation of the Bellman equation, cents."""


@dataclass(frozen=True, slots=True)
class FiniteModel:
    """The decision problem in arrays; A actions, S states."""

    states: States
    week: Week
    rewards: Floats
    """Mean cents of a step, float64 [A, S]; -inf where the rules refuse."""
    onward: tuple[sparse.csr_array, ...]
    """By action: chance of the next state times the discount until then, [S, S]."""
    start: Floats
    """The same from the world's start, float64 [S]."""
    gamma: float
    """Discount a day."""

    def best(self) -> Solution:
        """The optimum: policies are valued exactly and improved until none is better."""
        actions = np.zeros(len(self.states), np.int64)
        while True:
            values = self.values_of(actions)
            worth = self.worth(values)
            better = worth.max(axis=0) > worth[actions, np.arange(len(actions))] + 1e-10
            if not better.any():
                residual = float(np.abs(worth.max(axis=0) - values).max())
                return Solution(values, actions, residual)
            actions = np.where(better, worth.argmax(axis=0), actions)

    def myopic(self) -> NDArray[np.int64]:
        """The actions that earn most in the present step, int64 [S]."""
        actions: NDArray[np.int64] = self.rewards.argmax(axis=0)
        return actions

    def worth(self, values: Floats) -> Floats:
        """Of every action, when ``values`` are to come, float64 [A, S]."""
        return np.stack(
            [
                reward + onward @ values
                for reward, onward in zip(self.rewards, self.onward, strict=True)
            ]
        )

    def values_of(self, actions: NDArray[np.int64]) -> Floats:
        """Values of always taking these actions, float64 [S]."""
        return self.values_under(np.eye(len(self.onward))[actions])

    def values_under(self, chances: Floats) -> Floats:
        """Values of drawing every action with these chances, float64 [S, A]; returns [S]."""
        chosen = sum(
            sparse.diags_array(chance) @ onward
            for chance, onward in zip(chances.T, self.onward, strict=True)
        )
        rewards = (chances * np.where(chances > 0, self.rewards.T, 0.0)).sum(axis=1)
        matrix = sparse.eye_array(len(chances)) - chosen
        values: Floats = spsolve(matrix.tocsc(), rewards)
        return values

    def value_cents(self, values: Floats) -> float:
        """From the world's start, cents a user-week."""
        minutes = float(np.mean(self.gamma ** (np.arange(LATEST_ENTRY_S) / DAY)))
        return flow(float(self.start @ values) * minutes, gamma=self.gamma)

    def state_of(self, world: SyntheticWorld) -> NDArray[np.int64]:
        """The state each row of a world of this preset stands in, int64 [N]."""
        moment, hidden = world.moment(), world.hidden
        pair = self.week.number[hour_of_week(moment.local()), moment.scene]
        contacts = np.rint(hidden.fatigue).astype(np.int64)
        return self.states.number[pair, stage(hidden).astype(np.int64), contacts]

    def names(self, catalogue: Catalogue, preset: Preset) -> list[str]:
        """What each state is, for people, such as "Tue 18 h, home_evening, idle, 1 contact"."""
        stages = ["idle", "idle and served", "ripe and served"]
        stages += [f"in need of {category}" for category in preset.categories]
        states, week = self.states, self.week
        return [
            f"{DAYS[int(week.hour[pair]) // 24]} {int(week.hour[pair]) % 24} h, "
            f"{catalogue.scenes[int(week.scene[pair])].name}, {stages[kind]}, "
            f"{contacts} contact{'' if contacts == 1 else 's'}"
            for pair, kind, contacts in zip(states.pair, states.stage, states.contacts, strict=True)
        ]


def finite_model(
    preset: Preset, catalogue: Catalogue, start: str, gamma: float = GAMMA
) -> FiniteModel:
    """The model of a finite preset, every chance asked of the world's own parts.

    Raises:
        InputError: the preset is not finite.
    """
    reason = _why_not(preset, catalogue)
    if reason is not None:
        raise InputError(
            f"preset {preset.name!r} has no finite state: {reason}; the preset tabular has one"
        )
    return _Builder(preset, catalogue, start, gamma).model()


def is_finite(preset: Preset, catalogue: Catalogue) -> bool:
    """Whether the hidden state of a preset is finite."""
    return _why_not(preset, catalogue) is None


def _why_not(preset: Preset, catalogue: Catalogue) -> str | None:
    """The first reason why the hidden state is not finite, None where it is."""
    kinds, rules = preset.archetypes, KnownRules(catalogue)
    weights = {preset.channels[channel.name].weight for channel in catalogue.channels}
    consents = {channel.consent for channel in catalogue.channels}
    reasons = {
        "there is more than one kind of people": len(kinds) > 1,
        "people of a kind differ": max(preset.spread, preset.needs_spread, preset.taste_spread) > 0,
        "people differ in their consents": consents != {"assumed"},
        "fatigue outlasts a midnight": kinds[0].forgiving > 0,
        "contacts tire in different measure": weights != {1.0},
        "discounts leave a habit": preset.reference_learning > 0,
        "people opt out": kinds[0].temper > 0,
        "people leave": preset.leaving_per_day * kinds[0].departing > 0,
        "refusals are remembered": preset.not_interested * catalogue.cool_down_days > 0,
        "caps look back beyond midnight": any(name.startswith("cap:") for name in rules.left_out),
        "money binds": preset.budget_cents_per_user_week is not None,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


class _Builder:
    """Writes out the model of one preset."""

    def __init__(self, preset: Preset, catalogue: Catalogue, start: str, gamma: float) -> None:
        nature, rules = Nature.of(preset, catalogue), KnownRules(catalogue)
        traits = Traits.centre(preset, 0)
        weights, none = nature.behaviour.weight[1:], np.zeros(1, np.float32)
        grid = Grid.of(Nodes(), traits, weights, none, rules.contacts_a_day)
        now = np.asarray([parse_time(start)], np.int32)
        hour = int(hour_of_week(now + utc_offset_seconds(preset.time_zone, now))[0])
        self._week = Week.of(nature.path, int(traits.routine[0]), hour)
        self._reactions = Reactions(nature, grid, traits)
        self._traits, self._gamma = traits, gamma
        self._allowed = rules.table[self._week.hour % 24, self._week.scene]
        self._limit = rules.contacts_a_day
        self._states = States.of(self._week, nature.stages, len(grid.fatigue) - 1)

    def model(self) -> FiniteModel:
        """All of it."""
        contacted, served = self._dynamics(1), self._served()
        rewards, onward = [self._silence()], [self._dynamics(0)]
        for action in range(1, self._allowed.shape[1]):
            sale, reward = self._contact(action, rewards[0])
            sold = sparse.diags_array(sale) @ (served @ contacted)
            onward.append(sparse.csr_array(sparse.diags_array(1 - sale) @ contacted + sold))
            rewards.append(reward)
        return FiniteModel(
            self._states,
            self._week,
            np.asarray(rewards),
            tuple(onward),
            self._start(),
            self._gamma,
        )

    def _silence(self) -> Floats:
        """Mean cents of a step with no contact, float64 [S]."""
        ripening = [
            sum(stay.chance * chance for stay, chance in zip(stays, chances, strict=True))
            for stays, chances in zip(
                self._week.stays, self._reactions.ripening(self._week), strict=True
            )
        ]
        states = self._states
        over = self._reactions.over_cents[states.stage, states.contacts].astype(np.float64)
        cents: Floats = over * np.asarray(ripening)[states.pair]
        return cents

    def _contact(self, action: int, silence: Floats) -> tuple[Floats, Floats]:
        """Chance of a sale and mean cents of a step with a contact, both float64 [S].

        The cents are -inf where the rules refuse it.
        """
        states, reactions, week = self._states, self._reactions, self._week
        sale = np.zeros(len(states))
        allowed = self._allowed[states.pair, action]
        if self._limit is not None:
            allowed &= states.contacts < self._limit
        moments = {
            (h % 24, s) for h, s in zip(week.hour.tolist(), week.scene.tolist(), strict=True)
        }
        for hour, scene in moments:
            here = (week.hour[states.pair] % 24 == hour) & (week.scene[states.pair] == scene)
            here = np.flatnonzero(here & allowed)
            if len(here):
                table = reactions.moments(hour, scene, np.asarray([action])).sale[action]
                sale[here] = table[states.stage[here], states.contacts[here]]
        worth = float(reactions.sale_cents[action])
        reward = silence + sale * (worth - silence) - float(reactions.send_cents[action])
        return sale, np.where(allowed, reward, -np.inf)

    def _served(self) -> sparse.csr_array:
        """From each state to the same with its need met, [S, S]."""
        states = self._states
        met = served(self._reactions.stages)[states.stage]
        after = states.number[states.pair, met, states.contacts]
        size = len(states)
        return sparse.csr_array((np.ones(size), (np.arange(size), after)), shape=(size, size))

    def _dynamics(self, added: int) -> sparse.csr_array:
        """Chance of the next state times the discount, after ``added`` contacts, [S, S]."""
        states, week = self._states, self._week
        ripening = self._reactions.ripening(week)
        rows, columns, chances = [], [], []
        for pair in range(len(week)):
            mine = np.flatnonzero(states.pair == pair)
            for stay, ripe in zip(week.stays[pair], ripening[pair], strict=True):
                then = (int(week.hour[pair]) + stay.hours) % HOURS
                midnight = int(week.hour[pair]) % 24 + stay.hours >= 24
                contacts = np.zeros_like(mine) if midnight else states.contacts[mine] + added
                moving = self._reactions.moving(ripe)[states.stage[mine]]  # [mine, G]
                turns = week.turns[then][stay.row]
                onward = np.arange(week.first[then], week.first[then + 1])
                chance = moving[:, :, None] * turns * (stay.chance * self._discount(stay.hours))
                kinds = np.arange(moving.shape[1])
                most = states.number.shape[2] - 1
                after = states.number[
                    onward, kinds[:, None], np.minimum(contacts, most)[:, None, None]
                ]
                row = np.broadcast_to(mine[:, None, None], chance.shape)
                some = chance > 0
                rows.append(row[some])
                columns.append(after[some])
                chances.append(chance[some])
        size = len(states)
        where = (np.concatenate(rows), np.concatenate(columns))
        return sparse.csr_array((np.concatenate(chances), where), shape=(size, size))

    def _start(self) -> Floats:
        week, start = self._week, np.zeros(len(self._states))
        stages = start_stages(self._traits)
        for stay in week.start:
            then = (week.start_hour + stay.hours) % HOURS
            onward = np.arange(week.first[then], week.first[then + 1])
            chance = stay.chance * self._discount(stay.hours) * week.turns[then][stay.row]
            np.add.at(start, self._states.number[onward][:, :, 0], np.outer(chance, stages))
        return start

    def _discount(self, hours: int) -> float:
        return float(self._gamma ** (hours / 24))
