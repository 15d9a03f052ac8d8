"""The synthetic world: one step of every user's life, told as a numbered story."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue, load_catalogue
from envs.clock import DAY, NEVER, parse_time, utc_offset_seconds
from envs.decisions import EventKind, Events, Moment, Step
from envs.rewards import RewardParts
from envs.users import UserState, advance
from simulators.baskets import Baskets
from simulators.behaviour import Behaviour
from simulators.contacts import Contacts
from simulators.draws import TRAITS, Luck, Purpose, user_keys
from simulators.expectations import Expectations
from simulators.hidden import Hidden, Nights
from simulators.journey import Journey
from simulators.population import Traits, consenting, described
from simulators.presets import Preset, find_preset
from simulators.reports import Reports
from simulators.scenes import ScenePath

START: Final = "2025-01-06T00:00:00Z"
"""A Monday."""

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]
Chance = NDArray[np.float32]


class SyntheticWorld:
    """Users who live through scenes, buy, tire of contacts and leave.

    Rows hold persons; a person is a function of (seed, user id, preset), whatever the row.
    """

    def __init__(
        self,
        num_users: int,
        seed: int = 0,
        preset: str | Preset = "default",
        catalogue: Catalogue | None = None,
        start: str = START,
    ) -> None:
        """Put persons 0 to ``num_users`` - 1 into the rows.

        Args:
            num_users: rows, N.
            seed: of all luck.
            preset: name of one, or one.
            catalogue: the default one when left out.
            start: ISO 8601 with zone; everybody sleeps until the morning after.

        Raises:
            InputError: preset, scene, channel or time that the world does not know.
        """
        self.preset = find_preset(preset) if isinstance(preset, str) else preset
        self.catalogue = load_catalogue() if catalogue is None else catalogue
        self.seed = seed
        self.start, self.start_s = start, parse_time(start)
        self._path = ScenePath.of(self.catalogue)
        self._behaviour = Behaviour(self.catalogue, self.preset)
        self._baskets = Baskets(self.catalogue, self.preset.basket_spread)
        self._expectations = Expectations(self.catalogue, self._behaviour, self._baskets)
        self._nights = Nights(self.preset)
        self._reports = Reports(self.catalogue, self._baskets)
        self._make_room(num_users)
        everybody = np.arange(num_users)
        self.restart(everybody, everybody)

    def _make_room(self, n: int) -> None:
        self.users = UserState.empty(self.catalogue, n)
        self.traits, self.hidden = Traits.empty(n), Hidden.empty(n)
        self.departed = np.zeros(n, np.bool_)
        self._keys = np.zeros(n, np.uint64)
        self._opportunity = np.zeros(n, np.int64)
        self._scene = np.zeros(n, np.int16)
        self._now = np.full(n, self.start_s, np.int32)
        self._offset = np.zeros(n, np.int32)
        self._introduction = Events.concatenate([])

    def restart(self, rows: Rows, user_ids: NDArray[np.int64]) -> None:
        """Put persons into rows, each asleep at the start and then at the first opportunity."""
        self._keys[rows] = user_keys(self.seed, user_ids)
        luck = Luck(self._keys.take(rows), np.full(len(rows), TRAITS))
        traits = Traits.drawn(self.preset, luck)
        self.traits.put(rows, traits)
        self.hidden.restart(rows, luck.uniform(Purpose.STAGE) < 0.5)
        self.departed[rows] = False
        self._opportunity[rows] = 0
        start = np.full(len(rows), self.start_s, np.int32)
        offset = utc_offset_seconds(self.preset.time_zone, start)
        asleep = Moment(np.full(len(rows), self._path.night, np.int16), start, offset)
        journey = Journey.drawn(self._path, traits.routine, asleep, luck)
        self._scene, self._now = self._scene.copy(), self._now.copy()  # moments were handed out
        self._scene[rows], self._now[rows] = journey.scene, journey.then
        self._offset = utc_offset_seconds(self.preset.time_zone, self._now)
        self.users.clear(rows)
        self._introduction = self._introduced(rows, traits, luck)
        advance(self.users, self._introduction)

    def _introduced(self, rows: Rows, traits: Traits, luck: Luck) -> Events:
        start, keys = np.int32(self.start_s), self._keys.take(rows) | np.uint64(1)
        told = described(self.catalogue, traits, luck)
        parts = []
        if told is not None:
            parts.append(Events.of(rows, EventKind.DESCRIBED, start, key=keys, attributes=told))
        for channel, agreed in enumerate(consenting(self.catalogue, luck).T):
            own = keys[agreed] ^ np.uint64(2 * channel + 2)
            parts.append(
                Events.of(rows[agreed], EventKind.OPTED_IN, start, channel=channel, key=own)
            )
        return Events.concatenate(parts)

    def introduction(self) -> Events:
        """What the application tells of the persons of the latest restart before they act.

        Attributes and consents; ``users`` has them already, a service has to be told.
        """
        return self._introduction

    def time_zones(self) -> list[str]:
        """IANA name of each row's time zone, [N]."""
        return [self.preset.time_zone] * len(self.departed)

    def moment(self) -> Moment:
        """The opportunity each row stands at."""
        return Moment(self._scene, self._now, self._offset)

    def latent(self) -> dict[str, NDArray[np.generic]]:
        """The hidden state by name, for traces and planners; arrays [N], copies."""
        hidden = {field.name: getattr(self.hidden, field.name) for field in fields(self.hidden)}
        columns = {"archetype": self.traits.archetype, **hidden}
        return {name: values.copy() for name, values in columns.items()}

    def uniform(self, purpose: Purpose) -> NDArray[np.float64]:
        """The luck of every row at its present opportunity, float64 [N]."""
        return Luck(self._keys, self._opportunity).uniform(purpose)

    def action_gains(self) -> NDArray[np.float64]:
        """Mean net value of the present step beyond silence, for every action, float64 [N, A].

        It knows the hidden state and looks one step ahead only: a yardstick, not a policy.
        """
        moment, luck = self.moment(), Luck(self._keys, self._opportunity)
        journey = Journey.drawn(self._path, self.traits.routine, moment, luck)
        ripening = self._behaviour.ripening(self.traits, journey.exposure)
        silence = self._expectations.silence(self.traits, self.hidden, ripening)
        n, contacts = len(silence), len(self.catalogue.actions) - 1
        rows, actions = np.repeat(np.arange(n), contacts), np.tile(np.arange(contacts) + 1, n)
        scene = moment.scene.take(rows)
        chances = self._behaviour.funnel(self.traits, self.hidden, rows, scene, actions)
        gain = self._expectations.gain(self.traits, rows, actions, chances, silence.take(rows))
        return np.hstack([np.zeros((n, 1)), gain.reshape(n, contacts)])

    def step(self, actions: NDArray[np.int64], active: Flags | None = None) -> Step:
        """Play one action for every active row and move it to its next opportunity.

        Args:
            actions: int64 [N]; the caller keeps to the rules.
            active: rows that move, bool [N]; all when left out. The departed never move.
        """
        active = ~self.departed if active is None else active & ~self.departed
        moment, luck = self.moment(), Luck(self._keys, self._opportunity)
        parts = RewardParts.zeros(len(active))
        # 1. Users see the contact or not, click it or not, and may settle a purchase.
        contacts = self._contacts(moment, actions, active, luck)
        # 2. It is settled which scene comes next, and when: contacts have no say in it.
        journey = Journey.drawn(self._path, self.traits.routine, moment, luck)
        journey = journey.only(active, moment)
        ripening = self._behaviour.ripening(self.traits, journey.exposure)
        silence = self._expectations.silence(self.traits, self.hidden, ripening)
        expected = self._expectations.action(self.traits, contacts, silence)
        # 3. A purchase settled by the contact meets the need, the open one or the next.
        self._settle(moment, contacts, luck, parts)
        # 4. Some look around in the app, the more so with a need open.
        looks = self._look(moment, active, luck)
        # 5. Needs ripen, and are met: here, elsewhere, or they were met before.
        unprompted = self._live_on(moment, contacts, ripening, luck, parts)
        # 6. The contact tires, and costs a channel now and then.
        self._tire(contacts, parts)
        # 7. Settled purchases are made when their time has come.
        due = np.flatnonzero(active & self.hidden.promises_before(journey.then))
        made = self._reports.kept(self.hidden, due)
        # 8. Some leave for good; some come back to a channel they had left.
        elapsed_days = (journey.then - moment.now) / DAY
        self._leave(active, elapsed_days, luck)
        returned = self._return(active, elapsed_days, journey, luck)
        # 9. Midnights pass, and everybody enters the next scene.
        self._nights.pass_over(self.hidden, moment.local(), journey.then + moment.utc_offset_s)
        self._arrive(journey, active)
        # 10. The service learns of it: the contacts first, then what the application reports.
        answers = self._reports.answers(moment, contacts)
        events = Events.concatenate([*answers, *looks, unprompted, made, returned])
        advance(self.users, self._reports.contacted(moment, contacts))
        advance(self.users, events)
        return Step(parts, events, elapsed_days, self.departed.copy(), expected, silence)

    def _contacts(
        self, moment: Moment, actions: NDArray[np.int64], active: Flags, luck: Luck
    ) -> Contacts:
        rows = np.flatnonzero((actions > 0) & active)
        chosen = actions.take(rows)
        scene = moment.scene.take(rows)
        chances = self._behaviour.funnel(self.traits, self.hidden, rows, scene, chosen)
        return Contacts.played(self.preset, rows, chosen, chances, luck.take(rows))

    def _settle(self, moment: Moment, contacts: Contacts, luck: Luck, parts: RewardParts) -> None:
        """Note purchases that contacts made: valued now, made now or later."""
        sold = np.flatnonzero(contacts.sold)
        rows, actions = contacts.rows.take(sold), contacts.actions.take(sold)
        price = self._price(rows, luck)
        off = self._baskets.taken_off(price, actions)
        parts.margin_cents[rows] = self._baskets.margin(price)
        parts.offer_cost_cents[rows] = off + self._baskets.gift_cents.take(actions)
        times = moment.now.take(rows) + contacts.delay_s.take(sold)
        self.hidden.promise(rows, actions, times, price - off)

    def _price(self, rows: Rows, luck: Luck) -> NDArray[np.int32]:
        draw = luck.take(rows).uniform(Purpose.BASKET)
        return self._baskets.price(self.traits.basket_cents.take(rows), draw)

    def _look(self, moment: Moment, active: Flags, luck: Luck) -> list[Events]:
        chance = self._behaviour.browsing(self.hidden, moment.scene)
        rows = np.flatnonzero(active & (luck.uniform(Purpose.BROWSE) < chance))
        carting = self._behaviour.carting(self.hidden, rows)
        carted = rows[luck.take(rows).uniform(Purpose.CART) < carting]
        return self._reports.looked(moment, rows, carted)

    def _live_on(
        self, moment: Moment, contacts: Contacts, ripening: Chance, luck: Luck, parts: RewardParts
    ) -> Events:
        """Move needs on; a need that is over and not met before is met here by the loyal."""
        hidden = self.hidden
        moved = luck.uniform(Purpose.NEED) < ripening
        over = np.flatnonzero(moved & hidden.ripe)
        unmet = over[~hidden.served.take(over)]
        chance = self._unprompted(contacts, unmet)
        rows = unmet[luck.take(unmet).uniform(Purpose.BUY) < chance]
        hidden.served[over] = False
        hidden.ripe[moved] ^= True
        price = self._price(rows, luck)
        parts.margin_cents[rows] = self._baskets.margin(price)
        return self._reports.bought(moment, rows, price)

    def _unprompted(self, contacts: Contacts, rows: Rows) -> Chance:
        """Chance to buy with no contact's help, on the same draw that the contact failed.

        Whoever would have bought anyway is among the first to take an offer; so after a click
        that did not sell, the chance starts above the one that failed.
        """
        tried = np.zeros(len(self.departed), np.float32)
        tried[contacts.rows] = np.where(contacts.clicked, contacts.chances.sell, np.float32(0))
        tried = tried.take(rows)
        loyal = self._behaviour.loyal(self.traits, self.hidden).take(rows)
        return tried + (1 - tried) * loyal

    def _tire(self, contacts: Contacts, parts: RewardParts) -> None:
        rows, actions = contacts.rows, contacts.actions
        behaviour, expectations = self._behaviour, self._expectations
        weight, interrupts = behaviour.weight.take(actions), behaviour.interrupts.take(actions)
        depth = behaviour.discount.take(actions) * contacts.seen
        self.hidden.tire(rows, weight, interrupts, depth)
        parts.contact_cost_cents[rows] = expectations.send_cents.take(actions)
        lost = np.flatnonzero(contacts.opted_out)
        rows, actions = rows.take(lost), actions.take(lost)
        parts.opt_out_cost_cents[rows] = expectations.opt_out_cents.take(actions)
        channel = self.catalogue.action_channel.take(actions).astype(np.uint16)
        self.hidden.withdrawn[rows] |= np.uint16(1) << channel

    def _leave(self, active: Flags, elapsed_days: NDArray[np.float64], luck: Luck) -> None:
        """Nobody leaves with a purchase settled and not yet made."""
        chance = self._behaviour.leaving(self.hidden, elapsed_days)
        free = self.hidden.promised_at == NEVER
        self.departed |= active & free & (luck.uniform(Purpose.LEAVE) < chance)

    def _return(
        self, active: Flags, elapsed_days: NDArray[np.float64], journey: Journey, luck: Luck
    ) -> Events:
        """Users who left channels opt in to all of them again, just before the next scene."""
        without = np.flatnonzero(active & (self.hidden.withdrawn > 0))
        chance = self.preset.return_per_week / 7 * elapsed_days.take(without)
        rows = without[luck.take(without).uniform(Purpose.RETURN) < chance]
        withdrawn = self.hidden.withdrawn.take(rows)
        self.hidden.withdrawn[rows] = 0
        return self._reports.returned(withdrawn, rows, journey.then.take(rows) - np.int32(1))

    def _arrive(self, journey: Journey, active: Flags) -> None:
        self._scene, self._now = journey.scene, journey.then
        self._opportunity = self._opportunity + active
        self._offset = utc_offset_seconds(self.preset.time_zone, self._now)
