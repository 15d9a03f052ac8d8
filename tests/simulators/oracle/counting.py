"""Every hidden path of one person counted one by one: what a filter has to agree with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import exp

import numpy as np

from envs.clock import DAY, HOUR, parse_time
from envs.decisions import EventKind, Moment
from simulators.contacts import LATEST_DAYS, SOON_S
from simulators.hidden import Hidden, Nights, stage
from simulators.oracle.impressions import paid_chances
from simulators.oracle.reactions import Nature
from simulators.population import Traits
from simulators.scenes import SCENE_STEPS
from simulators.world import START

MIDNIGHT = parse_time(START)
"""Of the first Monday; hours are counted from it, in a world on universal time."""


@dataclass(frozen=True)
class Lived:
    """One step of one user as a service hears of it."""

    hours: float
    scene: str
    then: float
    next_scene: str
    action: str = "silence"
    told: tuple[EventKind, ...] = ()
    bought: tuple[tuple[float, str, int], ...] = ()
    """Hour, action it goes back to ("" for none), cents paid."""

    def paid(self, action: str, hour: float | None = None) -> int:
        """What was paid for a purchase that goes back to an action, 0 where there was none."""
        for at, of, cents in self.bought:
            if of == action and (hour is None or abs(at - hour) < 1e-6):
                return cents
        return 0


def moment_of(nature: Nature, hours: float, scene: str) -> Moment:
    return Moment(
        np.asarray([nature.catalogue.scene_index(scene)], np.int16),
        np.asarray([MIDNIGHT + round(hours * HOUR)], np.int32),
        np.zeros(1, np.int32),
    )


@dataclass(frozen=True)
class Need:
    """A hidden state that a history may have led to."""

    ripe: bool
    served: bool
    category: int
    sold: tuple[float, str] | None = None
    """Hour and action of the contact whose purchase is still to follow."""


class Counting:
    """The chances of one person to have lived a history, by the need that it led to."""

    def __init__(self, nature: Nature, person: Traits) -> None:
        self.nature, self.person, self.shares = nature, person, person.category_shares[0]
        self.hidden = Hidden.empty(1)
        self.paths: dict[Need, float] = defaultdict(float)
        self.paths[Need(False, False, 0)] = 0.5
        for category, share in enumerate(self.shares):
            self.paths[Need(True, False, category)] = 0.5 * float(share)

    def by_stage(self) -> np.ndarray:
        """Chance of each stage together with the history, float64 [S]."""
        chances = np.zeros(self.nature.stages)
        for need, chance in self.paths.items():
            self.put(need)
            chances[stage(self.hidden)[0]] += chance
        return chances

    def live(self, lived: Lived) -> None:
        """Every path goes on in every way that agrees with what was told."""
        self.before = moment_of(self.nature, lived.hours, lived.scene)
        self.after = moment_of(self.nature, lived.then, lived.next_scene)
        after: dict[Need, float] = defaultdict(float)
        for need, chance in self.paths.items():
            for then, part in self.ways(need, lived):
                after[then] += chance * part
        self.paths = after
        self.pass_on(lived)

    def put(self, need: Need) -> None:
        self.hidden.ripe[:], self.hidden.served[:] = need.ripe, need.served
        self.hidden.category[:] = need.category

    def ways(self, need: Need, lived: Lived) -> Iterator[tuple[Need, float]]:
        for answered, chance in self.answers(need, lived):
            looked = chance * self.looking(answered, lived)
            for moved, part in self.moves(answered, lived):
                for followed, late in self.follows(moved, lived):
                    yield followed, looked * part * late

    def answers(self, need: Need, lived: Lived) -> Iterator[tuple[Need, float]]:
        if lived.action == "silence":
            yield need, 1.0
            return
        self.put(need)
        see, click, sell, opt_out, refuse = self.funnel(lived)
        if EventKind.OPENED not in lived.told:
            yield need, 1 - see
            return
        calm = see * (1 - opt_out)
        if EventKind.CLICKED not in lived.told:
            yield need, calm * (1 - click) * (1 - refuse)
            return
        for after, chance in self.sales(need, lived):
            yield after, calm * click * (1 - sell if after is need else sell * chance)

    def funnel(self, lived: Lived) -> tuple[float, ...]:
        catalogue = self.nature.catalogue
        chances = self.nature.behaviour.funnel(
            self.person,
            self.hidden,
            np.zeros(1, np.int64),
            self.before.scene,
            np.asarray([int(lived.hours) % 24], np.int32),
            np.asarray([catalogue.action_index(lived.action)]),
        )
        names = ("see", "click", "sell", "opt_out", "refuse")
        return tuple(float(getattr(chances, name)[0]) for name in names)

    def sales(self, need: Need, lived: Lived) -> Iterator[tuple[Need, float]]:
        """Without a sale (the need itself), or with one at once or to follow."""
        at_once = lived.paid(lived.action, lived.hours + SOON_S / HOUR)
        forward = need.sold is not None and lived.paid(need.sold[1], lived.hours)
        told_forward = any(abs(at - lived.hours) < 1e-6 for at, _, _ in lived.bought)
        if not at_once and not told_forward:
            yield need, 1.0
        if bool(forward) != (need.sold is not None) or told_forward != bool(forward):
            return  # a sale makes an outstanding one follow at once
        chance = self.price(int(forward)) if forward else 1.0
        served, later = replace(need, served=True, sold=None), self.nature.preset.later_share
        if at_once:
            yield served, chance * (1 - later) * self.price(at_once)
        else:
            yield replace(served, sold=(lived.hours, lived.action)), chance * later

    def price(self, paid: int) -> float:
        basket = self.person.basket_cents.astype(np.float64)[None]
        return float(paid_chances(self.nature.preset, basket, np.asarray([float(paid)]))[0, 0])

    def looking(self, need: Need, lived: Lived) -> float:
        self.put(need)
        behaviour, hidden, me = self.nature.behaviour, self.hidden, np.zeros(1, np.int64)
        if EventKind.OPENED in lived.told:
            hidden.prompted_at[:] = self.before.now
        browsing = float(behaviour.browsing(hidden, self.before)[0])
        if EventKind.VIEWED not in lived.told:
            return 1 - browsing
        carting, favouring = behaviour.carting(hidden, me)[0], behaviour.favouring(hidden, me)[0]
        carted, favoured = (kind in lived.told for kind in (EventKind.CARTED, EventKind.FAVOURITED))
        chance = browsing * float(carting if carted else 1 - carting)
        return chance * float(favouring if favoured else 1 - favouring)

    def moves(self, need: Need, lived: Lived) -> Iterator[tuple[Need, float]]:
        path = self.nature.path
        clock = np.asarray([int(lived.hours)], np.int32)
        state = path.state(self.person.routine, clock, self.before.scene)
        exposure = path.exposure[state] * np.float32(int(lived.then) - int(lived.hours))
        ripening = float(self.nature.behaviour.ripening(self.person, exposure)[0])
        paid = lived.paid("")
        if not paid:
            yield need, 1 - ripening
        if need.ripe:
            loyal = float(self.nature.behaviour.loyal(self.person, self.hidden)[0])
            over = replace(need, ripe=False, served=False, category=0)
            if paid:
                yield over, 0.0 if need.served else ripening * loyal * self.price(paid)
            else:
                yield over, ripening * (1.0 if need.served else 1 - loyal)
        elif not paid:
            for category, share in enumerate(self.shares):
                yield replace(need, ripe=True, category=category), ripening * float(share)

    def follows(self, need: Need, lived: Lived) -> Iterator[tuple[Need, float]]:
        late = [
            (at, action, paid)
            for at, action, paid in lived.bought
            if action and at > lived.hours + 1e-6 and abs(at - lived.hours - SOON_S / HOUR) > 1e-6
        ]
        if need.sold is None:
            yield need, 0.0 if late else 1.0
            return
        clicked, action = need.sold
        mean = self.nature.preset.later_days

        def left(hour: float) -> float:
            days = min(max((hour - clicked - 1) / 24, 0), LATEST_DAYS)
            return exp(-days / mean) - exp(-LATEST_DAYS / mean)

        if not late:
            yield need, left(lived.then) / left(lived.hours)
            return
        [(at, told, paid)] = late
        density = exp(-(at - clicked - 1) / 24 / mean) if at >= clicked + 1 else 0.0
        chance = density / left(lived.hours) * self.price(paid)
        yield replace(need, sold=None), chance if told == action else 0.0

    def pass_on(self, lived: Lived) -> None:
        """What is the same on every path: fatigue, leaving, the way to the next scene, nights."""
        nature, hidden = self.nature, self.hidden
        if lived.action != "silence":
            action = np.asarray([nature.catalogue.action_index(lived.action)])
            seen = np.asarray([EventKind.OPENED in lived.told])
            nature.behaviour.tire(hidden, np.zeros(1, np.int64), action, seen)
        days = (self.after.now - self.before.now) / DAY
        chance = 1 - float(nature.behaviour.leaving(self.person, hidden, days)[0])
        path = nature.path
        arrival = np.asarray([int(lived.then) % 168], np.int32)
        state = int(path.state(self.person.routine, arrival, self.before.scene)[0])
        turns = path.turns[state * SCENE_STEPS : (state + 1) * SCENE_STEPS]
        chance *= float((turns == self.after.scene).mean())
        self.paths = {need: part * chance for need, part in self.paths.items()}
        Nights(nature.preset).pass_over(
            hidden, self.person, self.before.local(), self.after.local()
        )
