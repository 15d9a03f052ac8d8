"""How people react: the funnel of a contact, and what they do with no contact at all.

Everything here is a chance, a pure function of traits, hidden state, scene, hour and action; the
world draws from them. Subsets of users are passed as rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.clock import DAY, HOUR, modulo
from envs.decisions import Moment
from envs.errors import InputError
from simulators.hidden import Hidden
from simulators.population import Traits
from simulators.presets import GROUPS, INTERRUPTING, Preset
from simulators.scenes import around_the_clock

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

SURE: Final = np.float32(0.95)
"""No chance of the funnel exceeds it."""


@dataclass(frozen=True, slots=True)
class Chances:
    """The funnel of M contacts, each chance given the one before; float32 [M]."""

    see: Floats
    click: Floats
    """Given seen."""
    sell: Floats
    """Given clicked: buys because of it, now or later."""
    opt_out: Floats
    """Given seen: leaves all channels of the group."""
    refuse: Floats
    """Given seen and not clicked: wants no more of this offer."""

    def sale(self) -> Floats:
        """The contact sells, float32 [M]."""
        return self.see * self.click * self.sell


class Behaviour:
    """The reactions of a preset's people to a catalogue's actions."""

    def __init__(self, catalogue: Catalogue, preset: Preset) -> None:
        """Tables by action, and by hour and scene.

        Raises:
            InputError: a channel, scene or category that the preset does not know.
        """
        _require_known(catalogue, preset)
        self.preset = preset
        self._actions, self._scenes = len(catalogue.actions), len(catalogue.scenes)
        natures = [preset.channels[part.name] for part in catalogue.channels]
        channel, offer = catalogue.action_channel, catalogue.action_offer

        def by_channel(name: str) -> Floats:
            return _by_action([float(getattr(nature, name)) for nature in natures], channel)

        self.group = by_channel("group").astype(np.int64)
        """Group of each action's channel, int64 [A]."""
        self.interrupts = self.group == INTERRUPTING
        self.group_channels = _group_channels(self.group, channel)
        """Bits of all channels of that group, uint16 [A]."""
        self.clicked, self.weight = by_channel("clicked"), by_channel("weight")
        self.discount = _by_action([part.discount for part in catalogue.offers], offer)
        self.gift = _by_action([float(part.kind == "gift") for part in catalogue.offers], offer)
        self._prepare_categories(catalogue)
        self._prepare_scenes(catalogue, by_channel("delivered") * by_channel("seen"))
        self._nuisance = (
            np.outer(
                [preset.scenes[scene.name].nuisance for scene in catalogue.scenes],
                by_channel("nuisance"),
            )
            .astype(np.float32)
            .reshape(-1)
        )  # [S * A]

    def _prepare_categories(self, catalogue: Catalogue) -> None:
        """How well each action's offer fits a need of each category, [A * K]."""
        of, preset = catalogue.action_offer, self.preset
        known = {name: number for number, name in enumerate(preset.categories)}
        about = np.asarray([known.get(offer.category or "", -1) for offer in catalogue.offers])
        about = np.where(of < 0, -1, about[of])
        self._particular = about >= 0
        fits = ~self._particular[:, None] | (about[:, None] == np.arange(len(known)))
        self._fit = np.where(fits, 1.0, preset.misfit).astype(np.float32)

    def _prepare_scenes(self, catalogue: Catalogue, seen: Floats) -> None:
        """Tables by hour of the day and scene."""
        preset = self.preset
        natures = [preset.scenes[scene.name] for scene in catalogue.scenes]
        attention = np.where(
            self.interrupts,
            np.asarray([nature.interrupting for nature in natures])[:, None],
            np.asarray([nature.waiting for nature in natures])[:, None],
        )  # [S, A]
        hours = around_the_clock(preset.attention_by_hour)
        self._seen = _flat(hours[:, None, None] * attention * seen)  # [24 * S * A]
        browsing = np.asarray([nature.browsing for nature in natures])
        browsing = np.outer(around_the_clock(preset.browsing_by_hour), browsing)
        browsing = preset.browsing_factor * browsing
        curious = np.asarray([preset.idle_browsing, 1.0])
        moved = np.asarray([1.0, preset.displaced])
        self._browsing = np.minimum(
            _flat(browsing[..., None, None] * curious[:, None] * moved), SURE
        )  # [24 * S, open need, prompted]
        intent = np.asarray([nature.intent for nature in natures])
        sell = preset.click_to_buy * preset.contact_effect * intent**preset.place_pull
        stages = np.asarray([0.0, preset.stock_up, 1.0])  # met already, none open, open
        self._selling = np.minimum(_flat(np.outer(sell, stages)), SURE)  # [S * 3]

    def heeds_reference(self) -> bool:
        """Whether the discount that users are used to ever moves."""
        return bool(self.discount.any()) and self.preset.reference_learning > 0

    def funnel(
        self,
        traits: Traits,
        hidden: Hidden,
        rows: Rows,
        scene: NDArray[np.int16],
        hour: NDArray[np.int32],
        actions: NDArray[np.int64],
    ) -> Chances:
        """The funnel of contacts.

        ``rows`` are the users contacted, int64 [M]; scene, local hour of the day and actions, none
        silent, are [M] too.
        """
        fatigue = hidden.fatigue.take(rows)
        ripe, served = hidden.ripe.take(rows), hidden.served.take(rows)
        open_need = ripe > served
        annoyed = np.exp(np.float32(self.preset.annoyance) * fatigue)
        return Chances(
            self._see(traits, rows, scene, hour, actions, fatigue),
            self._click(traits, hidden, rows, actions, open_need),
            self._selling.take(scene * np.int64(3) + np.where(served, 0, ripe + np.int8(1))),
            np.minimum(self._opt_out(traits, rows, scene, actions) * annoyed, SURE),
            np.minimum(np.float32(self.preset.not_interested) * annoyed, SURE),
        )

    def _see(
        self,
        traits: Traits,
        rows: Rows,
        scene: NDArray[np.int16],
        hour: NDArray[np.int32],
        actions: NDArray[np.int64],
        fatigue: Floats,
    ) -> Floats:
        """Attention at the hour in the scene, reach of the user, dulled by fatigue."""
        reach = np.where(
            self.interrupts.take(actions),
            traits.reach_interrupting.take(rows),
            traits.reach_waiting.take(rows),
        )
        place = (hour * np.int64(self._scenes) + scene) * self._actions + actions
        dulled = np.exp(-traits.tiring.take(rows) * fatigue)
        chance: Floats = np.minimum(self._seen.take(place) * reach * dulled, SURE)
        return chance

    def _click(
        self,
        traits: Traits,
        hidden: Hidden,
        rows: Rows,
        actions: NDArray[np.int64],
        open_need: NDArray[np.bool_],
    ) -> Floats:
        """The appeal of the offer; without an open need people are merely curious."""
        chance = self.clicked.take(actions) * self.appeal(traits, hidden, rows, actions)
        chance *= np.where(open_need, np.float32(1), np.float32(self.preset.idle_clicks))
        particular = np.flatnonzero(self._particular.take(actions))
        if len(particular):
            chance[particular] *= self._fitting(
                traits,
                hidden,
                rows.take(particular),
                actions.take(particular),
                open_need.take(particular),
            )
        certain: Floats = np.minimum(chance, SURE)
        return certain

    def _fitting(
        self,
        traits: Traits,
        hidden: Hidden,
        rows: Rows,
        actions: NDArray[np.int64],
        open_need: NDArray[np.bool_],
    ) -> Floats:
        """How well the offer fits the need that is open, or else what the user buys on average."""
        categories = self._fit.shape[1]
        needed = self._fit.take(actions * categories + hidden.category.take(rows))
        usual = traits.category_shares.take(rows, axis=0) * self._fit.take(actions, axis=0)
        fitting: Floats = np.where(open_need, needed, usual.sum(axis=1))
        return fitting

    def appeal(
        self, traits: Traits, hidden: Hidden, rows: Rows, actions: NDArray[np.int64]
    ) -> Floats:
        """Response relative to plain content for somebody used to list prices, float32 [M].

        A discount counts by what it exceeds the usual one, and saturates; less than the usual one
        disappoints.
        """
        surplus = self.discount.take(actions) - hidden.reference_discount.take(rows)
        gained = 1 - np.exp(np.maximum(surplus, 0) / np.float32(-self.preset.discount_scale))
        appeal = 1 + traits.deal_liking.take(rows) * gained
        appeal += traits.gift_liking.take(rows) * self.gift.take(actions)
        appeal += np.float32(self.preset.habit_loss) * np.minimum(surplus, 0)
        chance: Floats = np.maximum(appeal, np.float32(0))
        return chance

    def _opt_out(
        self, traits: Traits, rows: Rows, scene: NDArray[np.int16], actions: NDArray[np.int64]
    ) -> Floats:
        """Temper, times the nuisance of the channel and of the scene."""
        nuisance = self._nuisance.take(scene * np.int64(self._actions) + actions)
        chance: Floats = traits.temper.take(rows) * nuisance
        return chance

    def tire(
        self, hidden: Hidden, rows: Rows, actions: NDArray[np.int64], seen: NDArray[np.bool_]
    ) -> None:
        """What contacts leave behind, in place: they tire, and a discount seen is got used to.

        ``rows`` hold no user twice; actions and seen are [M] too.
        """
        hidden.fatigue[rows] += self.weight.take(actions)
        usual = hidden.reference_discount.take(rows)
        deeper = np.maximum(self.discount.take(actions) - usual, 0) * seen
        learning = np.float32(self.preset.reference_learning)
        hidden.reference_discount[rows] = usual + learning * deeper

    def ripening(self, traits: Traits, exposure: Floats) -> Floats:
        """Chance that the need moves on, float32 [N].

        A need takes two moves, ripe and over, hence the factor 2; ``exposure`` is the share of a
        week's needs that falls into the time.
        """
        chance: Floats = 1 - np.exp(np.float32(-2) * exposure * traits.needs_per_week)
        return chance

    def loyal(self, traits: Traits, hidden: Hidden) -> Floats:
        """Chance that a need which is over was met here with no contact, float32 [N]."""
        habit = 1 - np.float32(self.preset.loyalty_loss) * hidden.reference_discount
        chance: Floats = traits.loyalty * np.maximum(habit, np.float32(0))
        return chance

    def leaving(
        self, traits: Traits, hidden: Hidden, elapsed_days: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Chance that the user leaves for good in the meantime, float64 [N]."""
        growth = 1 + np.float32(self.preset.leaving_growth) * hidden.fatigue
        growth *= traits.departing
        return self.preset.leaving_per_day * growth * elapsed_days

    def browsing(self, hidden: Hidden, moment: Moment) -> Floats:
        """Chance to look around in the app, float32 [N].

        For a day after a seen contact it is less: it is the contact that opened the app.
        """
        hour = modulo(moment.local() // np.int32(HOUR), 24)
        place = hour * np.int32(self._scenes) + moment.scene
        prompted = moment.now - hidden.prompted_at < np.int32(DAY)
        state = (hidden.ripe > hidden.served) * np.int32(2) + prompted
        return self._browsing.take(place * np.int32(4) + state)

    def carting(self, hidden: Hidden, rows: Rows) -> Floats:
        """Chance to put something into the basket when looking around, float32 [M]."""
        return self._when_looking(hidden, rows, self.preset.carting, self.preset.idle_carting)

    def favouring(self, hidden: Hidden, rows: Rows) -> Floats:
        """Chance to keep a favourite when looking around, float32 [M]."""
        return self._when_looking(hidden, rows, self.preset.favouring, self.preset.idle_favouring)

    def _when_looking(self, hidden: Hidden, rows: Rows, needed: float, idle: float) -> Floats:
        chance: Floats = np.where(hidden.open_need(rows), np.float32(needed), np.float32(idle))
        return chance


def _by_action(values: list[float], of: NDArray[np.int16]) -> Floats:
    """The value of each action's offer or channel, 0 for silence, float32 [A]."""
    return np.where(of < 0, 0.0, np.asarray(values)[of]).astype(np.float32)


def _group_channels(group: Rows, channel: NDArray[np.int16]) -> NDArray[np.uint16]:
    """Bit c is set when channel c is of the same group as the action's, uint16 [A]."""
    bits = np.zeros(len(GROUPS), np.uint16)
    for own, number in zip(group[1:].tolist(), channel[1:].tolist(), strict=True):
        bits[own] |= np.uint16(1 << number)
    return np.where(channel < 0, 0, bits[group]).astype(np.uint16)


def _flat(table: NDArray[np.float64]) -> Floats:
    return np.ascontiguousarray(table, np.float32).reshape(-1)


def _require_known(catalogue: Catalogue, preset: Preset) -> None:
    for part in catalogue.channels:
        if part.name not in preset.channels:
            raise InputError(
                f"channel {part.name!r} has no nature in the synthetic world: use channels "
                f"among {', '.join(preset.channels)}, or a logged world"
            )
    for scene in catalogue.scenes:
        if scene.name not in preset.scenes:
            raise InputError(
                f"scene {scene.name!r} has no nature in the synthetic world: use scenes among "
                f"{', '.join(preset.scenes)}, or a logged world"
            )
    if catalogue.categories not in ((), preset.categories):
        raise InputError(
            f"categories {list(catalogue.categories)} are not those of preset {preset.name!r}: "
            f"use {list(preset.categories)}, or none"
        )
