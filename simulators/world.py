"""The synthetic world: one step of every user's life, told as a numbered story."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.clock import DAY, HOUR, modulo, parse_time, utc_offset_seconds
from envs.decisions import Events, Moment, Step
from envs.rewards import RewardParts
from envs.users import UserState, advance
from simulators.baskets import Baskets
from simulators.behaviour import Behaviour, Chances
from simulators.contacts import Contacts
from simulators.disclosure import Disclosure
from simulators.draws import TRAITS, Luck, Purpose, user_keys
from simulators.expectations import Expectations
from simulators.hidden import OPEN_AT_FIRST, Hidden, Nights, category_of, live_on
from simulators.introduction import introduction
from simulators.journey import Journey
from simulators.partings import Partings
from simulators.population import Traits, described
from simulators.presets import Preset, find_preset
from simulators.purchases import Purchases
from simulators.purse import Purse
from simulators.reports import Reports
from simulators.scenes import ScenePath
from simulators.signals import Sensors, Signals

START: Final = "2025-01-06T00:00:00Z"
"""A Monday."""

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]


class SyntheticWorld:
    """Users who live through scenes, buy, tire of contacts and leave.

    Rows hold persons; a person is a function of (seed, user id, preset), whatever the row.

    ## People
    Each is of an archetype and spread around it (``population``): how often they need something
    and of which category, how much they buy, how loyal they are, what they like, how readily they
    see contacts, how fast these tire them and how slowly they forget, how easily they opt out or
    leave for good. Nothing of it changes, and no policy sees it.

    ## Scenes
    A semi-Markov path with an hour-of-week rhythm (``scenes``, ``journey``). Contacts have no say
    in it: two policies meet a user in the same scenes at the same times.

    ## Needs
    A clock apart from everything that is offered (``hidden``): a need ripens, has a category, and
    is over at its own time. Then it is met here with the chance of the user's loyalty, unless it
    was met before. So contacts move purchases here from elsewhere or from later, and make none.
    Where the preset says so, the application tells the stage of the need (``disclosure``).

    ## Contacts
    Delivered and seen, clicked, bought now or days later (``behaviour``, ``contacts``). Each adds
    to a fatigue that dulls the eye, annoys, and fades at local midnights; each discount seen moves
    the one the user is used to. An annoyed user opts out of the whole group of channels, those
    that interrupt or those that wait, and seldom comes back.

    ## Rewards
    Whole cents, when a purchase is settled, even if it is made and reported later. The margin of
    the basket, less the discount or the gift, less the price of the send, less the value lost with
    each channel opted out of. A basket that will be returned earns and costs nothing; its return is
    reported as REFUNDED, without a reward. Where the preset has a budget, ``budget_left`` is what
    may still be spent on each user.

    ## Luck
    Every draw is a function of (seed, user, opportunity, purpose) (``draws``): the same users live
    the same lives in any batch, and two policies meet the same luck.
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
            catalogue: the preset's own when left out.
            start: ISO 8601 with zone; everybody sleeps until the morning after.

        Raises:
            InputError: preset, scene, channel, category or time that the world does not know, or
                no attribute for what the preset tells.
        """
        self.preset = find_preset(preset) if isinstance(preset, str) else preset
        self.catalogue = self.preset.load_catalogue() if catalogue is None else catalogue
        self.seed = seed
        self.start, self.start_s = start, parse_time(start)
        self.path = ScenePath.of(self.catalogue, self.preset)
        self.behaviour = Behaviour(self.catalogue, self.preset)
        self.baskets = Baskets(self.catalogue, self.preset)
        self.expectations = Expectations(self.catalogue, self.behaviour, self.baskets)
        self.send_cents = self.expectations.send_cents
        """Price of each action's send, int32 [A]."""
        self._nights = Nights(self.preset)
        reports = self._reports = Reports(self.catalogue, self.baskets)
        self._purchases = Purchases(self.preset, self.baskets, reports)
        self._partings = Partings(self.behaviour, self.expectations, reports)
        self._sensors = Sensors(self.catalogue, self.preset, seed)
        self._disclosure = Disclosure.of(self.preset, self.catalogue, num_users)
        self._make_room(num_users)
        everybody = np.arange(num_users)
        self.restart(everybody, everybody)

    def _make_room(self, n: int) -> None:
        self.users = UserState.empty(self.catalogue, n)
        self.traits, self.hidden = Traits.empty(self.preset, n), Hidden.empty(n)
        self.departed = np.zeros(n, np.bool_)
        self.purse = Purse(n, self.preset.budget_cents_per_user_week, self.start_s)
        self._keys = np.zeros(n, np.uint64)
        self._opportunity = np.zeros(n, np.int32)
        self._scene = np.zeros(n, np.int16)
        self._now = np.full(n, self.start_s, np.int32)
        self._offset = np.zeros(n, np.int32)

    def restart(
        self, rows: Rows, user_ids: NDArray[np.int64], traits: Traits | None = None
    ) -> None:
        """Put persons into rows, each asleep at the start and then at the first opportunity.

        With ``traits`` (one row a person) they have these instead of their own, and their own luck.
        """
        self._keys[rows] = user_keys(self.seed, user_ids)
        luck = self._lasting_luck(rows)
        traits = Traits.drawn(self.preset, luck, self.catalogue) if traits is None else traits
        self.traits.put(rows, traits)
        ripe = luck.uniform(Purpose.STAGE) < OPEN_AT_FIRST
        self.hidden.restart(rows, ripe, category_of(traits, luck))
        self.departed = self.departed.copy()  # it was handed out
        self.departed[rows] = False
        self.purse.refill(rows)
        self._opportunity[rows] = 0
        start = np.full(len(rows), self.start_s, np.int32)
        offset = utc_offset_seconds(self.preset.time_zone, start)
        asleep = Moment(np.full(len(rows), self.path.night, np.int16), start, offset)
        journey = Journey.drawn(self.path, traits.routine, asleep, luck)
        self._scene, self._now = self._scene.copy(), self._now.copy()  # moments were handed out
        self._scene[rows], self._now[rows] = journey.scene, journey.then
        self._offset = self._offset.copy()
        self._offset[rows] = utc_offset_seconds(self.preset.time_zone, journey.then)
        self._luck = Luck(self._keys, self._opportunity)
        self.users.clear(rows)
        self._newest = rows
        advance(self.users, self._introduced(rows, traits, luck))

    def _lasting_luck(self, rows: Rows) -> Luck:
        return Luck(self._keys.take(rows), np.full(len(rows), TRAITS))

    def introduction(self) -> Events:
        """What the application tells of the persons of the latest restart before they act.

        Attributes and consents; ``users`` has them already, a service has to be told.
        """
        rows = self._newest
        return self._introduced(rows, self.traits.take(rows), self._lasting_luck(rows))

    def _introduced(self, rows: Rows, traits: Traits, luck: Luck) -> Events:
        told = described(self.catalogue, self.preset, traits, luck)
        if self._disclosure is not None:
            told = self._disclosure.introduce(rows, self.hidden, told)
        keys = self._keys.take(rows)
        return introduction(self.catalogue, rows, keys, traits, told, self.start_s)

    def time_zones(self) -> list[str]:
        """IANA name of each row's time zone, [N]."""
        return [self.preset.time_zone] * len(self.departed)

    def moment(self) -> Moment:
        """The opportunity each row stands at."""
        return Moment(self._scene, self._now, self._offset)

    def budget_left(self) -> float | NDArray[np.float64]:
        """What may still be spent on each user, cents, float64 [N]; infinite without a budget."""
        return self.purse.left(self._now)

    def signals(self) -> Signals:
        """What an app has of each row at its opportunity."""
        lasting = self.luck(TRAITS)
        return self._sensors.read(self.moment(), self.traits, self.hidden, self.luck(), lasting)

    def latent(self) -> dict[str, NDArray[np.generic]]:
        """The hidden state by name, for traces and planners; arrays [N], copies."""
        hidden = {field.name: getattr(self.hidden, field.name) for field in fields(self.hidden)}
        columns = {"archetype": self.traits.archetype, **hidden}
        return {name: values.copy() for name, values in columns.items()}

    def luck(self, opportunity: NDArray[np.int64] | int | None = None) -> Luck:
        """The luck of every row at an opportunity (int64 [N] or one); at the present one if None.

        Those below ``draws.TRAITS`` are never used here.
        """
        if opportunity is None:
            return self._luck
        at = np.broadcast_to(np.asarray(opportunity, np.int64), self._keys.shape)
        return Luck(self._keys, at)

    def uniform(self, purpose: Purpose) -> NDArray[np.float64]:
        """The luck of every row at its present opportunity, float64 [N]."""
        return self._luck.uniform(purpose)

    def prospects(
        self, rows: Rows, actions: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What contacts add beyond silence that lasts, and what they cost on average, float64 [M].

        As ``gains``, less what their sales take from later steps.
        """
        chances, silence = self._funnel(rows, actions)
        traits, hidden, means = self.traits, self.hidden, self.expectations
        silence = silence.take(rows)
        gain = means.gain(traits, hidden, rows, actions, chances, silence)
        gain -= chances.sale() * means.later(traits, hidden, rows, silence)
        return gain, means.cost(traits, rows, actions, chances)

    def gains(self, rows: Rows, actions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Mean net value of the present step beyond silence, of contacts, float64 [M].

        It knows the hidden state and looks one step ahead only: a yardstick, not a policy. Rows may
        hold a user more than once; actions are int64 [M], none silent.
        """
        chances, silence = self._funnel(rows, actions)
        means, silence = self.expectations, silence.take(rows)
        return means.gain(self.traits, self.hidden, rows, actions, chances, silence)

    def _funnel(
        self, rows: Rows, actions: NDArray[np.int64]
    ) -> tuple[Chances, NDArray[np.float64]]:
        """Chances of contacts, [M], and what silence would bring in the present step, [N]."""
        moment, luck = self.moment(), self._luck
        journey = Journey.drawn(self.path, self.traits.routine, moment, luck)
        ripening = self.behaviour.ripening(self.traits, journey.exposure)
        silence = self.expectations.silence(self.traits, self.hidden, ripening)
        hour, scene = _hour(moment).take(rows), moment.scene.take(rows)
        chances = self.behaviour.funnel(self.traits, self.hidden, rows, scene, hour, actions)
        return chances, silence

    def action_gains(self) -> NDArray[np.float64]:
        """``gains`` of every row and action, 0 for silence, float64 [N, A]."""
        n, contacts = len(self.departed), len(self.catalogue.actions) - 1
        rows, actions = np.repeat(np.arange(n), contacts), np.tile(np.arange(contacts) + 1, n)
        return np.hstack([np.zeros((n, 1)), self.gains(rows, actions).reshape(n, contacts)])

    def step(self, actions: NDArray[np.int64], active: Flags | None = None) -> Step:
        """Play one action for every active row and move it to its next opportunity.

        Args:
            actions: int64 [N]; the caller keeps to the rules.
            active: rows that move, bool [N]; all when left out. The departed never move.
        """
        active = ~self.departed if active is None else active & ~self.departed
        traits, hidden = self.traits, self.hidden
        moment, luck = self.moment(), self._luck
        parts = RewardParts.zeros(len(active))
        # 1. Users see the contact or not, click it or not, and may settle a purchase.
        contacts = self._contacts(moment, actions, active, luck)
        # 2. It is settled which scene comes next, and when: contacts have no say in it.
        journey = Journey.drawn(self.path, traits.routine, moment, luck).only(active, moment)
        elapsed_days = (journey.then - moment.now) / DAY
        ripening = self.behaviour.ripening(traits, journey.exposure)
        silence = self.expectations.silence(traits, hidden, ripening)
        expected = self.expectations.action(traits, hidden, contacts, silence)
        displaced = self.expectations.displaced(traits, hidden, contacts, silence)
        spend = self.expectations.spend(traits, contacts)
        # 3. A purchase settled by the contact meets the need, the open one or the next.
        forward = self._purchases.settle(moment, traits, hidden, contacts, luck, parts)
        # 4. Some look around in the app, more with a need open, less after a contact opened it.
        looks = self._look(moment, contacts, active, luck)
        # 5. Needs ripen, and are met: here, elsewhere, or they were met before.
        unmet = live_on(hidden, traits, ripening, luck)
        rows, own = self._buyers(contacts, unmet, luck)
        unprompted = self._purchases.unprompted(moment, traits, hidden, rows, own, parts)
        # 6. The contact tires, is got used to, and costs the channels of its group now and then.
        self.behaviour.tire(hidden, contacts.rows, contacts.actions, contacts.was_seen())
        parts.contact_cost_cents[contacts.rows] = self.send_cents.take(contacts.actions)
        opted_out = self._partings.opt_out(moment, traits, hidden, contacts, parts)
        # 7. Some leave for good; some come back to the channels they had left.
        leaving = self._partings.leave(traits, hidden, active, elapsed_days, luck)
        self.departed = self.departed | leaving
        staying = active & ~leaving
        opted_in = self._partings.come_back(hidden, staying, elapsed_days, journey.then, luck)
        # 8. Settled purchases are made when their time has come, and so are returns.
        made, refunded = self._purchases.come_due(hidden, active, leaving, journey.then)
        asked = self._purchases.ask([forward, unprompted, made], journey.then, luck)
        # 9. Midnights pass, and everybody enters the next scene.
        later = journey.then + moment.utc_offset_s
        self._nights.pass_over(hidden, traits, moment.local(), later)
        self.purse.spend(parts.spend_cents())
        self._arrive(journey, active)
        # 10. The service learns of it: the contacts first, then what the application reports.
        answers = self._reports.answers(moment, contacts)
        told = Events.concatenate(
            [answers, opted_out, forward, looks, unprompted, made, refunded, asked, opted_in]
        )
        if self._disclosure is not None:
            news = self._disclosure.news(hidden, staying, journey.then)
            told = Events.concatenate([told, news])
        advance(self.users, told)
        events = told.take(slice(len(contacts.rows), None))
        means = expected, silence, spend, displaced
        return Step(parts, events, elapsed_days, self.departed, *means)

    def _contacts(
        self, moment: Moment, actions: NDArray[np.int64], active: Flags, luck: Luck
    ) -> Contacts:
        rows = np.flatnonzero((actions > 0) & active)
        chosen = actions.take(rows)
        hour, scene = _hour(moment.take(rows)), moment.scene.take(rows)
        chances = self.behaviour.funnel(self.traits, self.hidden, rows, scene, hour, chosen)
        return Contacts.played(self.preset, rows, chosen, chances, luck.take(rows))

    def _look(self, moment: Moment, contacts: Contacts, active: Flags, luck: Luck) -> Events:
        prompted = contacts.rows.take(contacts.seen)
        self.hidden.prompted_at[prompted] = moment.now.take(prompted)
        looking = luck.uniform(Purpose.BROWSE) < self.behaviour.browsing(self.hidden, moment)
        rows = np.flatnonzero(looking & active)
        own = luck.take(rows)
        favoured = own.uniform(Purpose.FAVOUR) < self.behaviour.favouring(self.hidden, rows)
        carted = own.uniform(Purpose.CART) < self.behaviour.carting(self.hidden, rows)
        return self._reports.looked(moment, rows, rows[favoured], rows[carted])

    def _buyers(self, contacts: Contacts, unmet: Rows, luck: Luck) -> tuple[Rows, Luck]:
        """Who of those whose need is over unmet buys with no contact's help, and their luck.

        Whoever would have bought anyway is among the first to take an offer, on the same draw; so
        after a click that did not sell, the chance starts above the one that failed.
        """
        tried = np.zeros(len(self.departed), np.float32)
        tried[contacts.rows.take(contacts.clicked)] = contacts.chances.sell.take(contacts.clicked)
        tried = tried.take(unmet)
        loyal = self.behaviour.loyal(self.traits, self.hidden).take(unmet)
        own = luck.take(unmet)
        buying = np.flatnonzero(own.uniform(Purpose.BUY) < tried + (1 - tried) * loyal)
        return unmet.take(buying), own.take(buying)

    def _arrive(self, journey: Journey, active: Flags) -> None:
        self._scene, self._now = journey.scene, journey.then
        self._opportunity += active
        self._luck = Luck(self._keys, self._opportunity)
        self._offset = utc_offset_seconds(self.preset.time_zone, self._now)


def _hour(moment: Moment) -> NDArray[np.int32]:
    """Local hour of the day, int32 [N]."""
    return modulo(moment.local() // np.int32(HOUR), 24)
