"""How people react: the funnel of a contact, and what they do with no contact at all.

Everything here is a chance, a pure function of traits, hidden state, scene and action; the world
draws from them. Subsets of users are passed as rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.clock import NEVER
from envs.errors import InputError
from simulators.hidden import Hidden
from simulators.population import Traits
from simulators.presets import CHANNELS, INTERRUPTING, SCENES, Preset

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
    """Given seen: leaves the channel."""
    refuse: Floats
    """Given seen and not clicked: wants no more of this offer."""

    def sale(self) -> Floats:
        """The contact sells, float32 [M]."""
        return self.see * self.click * self.sell


class Behaviour:
    """The reactions of a preset's people to a catalogue's actions."""

    def __init__(self, catalogue: Catalogue, preset: Preset) -> None:
        """Tables by action and by scene.

        Raises:
            InputError: a channel whose nature the world does not know.
        """
        for part in catalogue.channels:
            if part.name not in CHANNELS:
                raise InputError(
                    f"channel {part.name!r} has no nature in the synthetic world: use channels "
                    f"among {', '.join(CHANNELS)}, or a logged world"
                )
        self.preset = preset
        natures = [CHANNELS[part.name] for part in catalogue.channels]
        channel, offer = catalogue.action_channel, catalogue.action_offer

        def by_channel(name: str) -> Floats:
            return _by_action([float(getattr(nature, name)) for nature in natures], channel)

        self.interrupts = by_channel("group") == INTERRUPTING
        self.seen, self.clicked = by_channel("seen"), by_channel("clicked")
        self.weight, self.nuisance = by_channel("weight"), by_channel("nuisance")
        self.discount = _by_action([part.discount for part in catalogue.offers], offer)
        self.gift = _by_action([float(part.kind == "gift") for part in catalogue.offers], offer)
        scenes = [SCENES[scene.name] for scene in catalogue.scenes]
        self.attention = np.asarray(
            [[scene.waiting, scene.interrupting] for scene in scenes], np.float32
        ).reshape(-1)
        self.scene_nuisance = np.asarray([scene.nuisance for scene in scenes], np.float32)
        # a click in a shop sells more easily, but less so than needs are met there; assumed
        self.scene_intent = np.asarray([scene.intent**0.5 for scene in scenes], np.float32)
        self.scene_browsing = np.asarray([scene.browsing for scene in scenes], np.float32)

    def funnel(
        self,
        traits: Traits,
        hidden: Hidden,
        rows: Rows,
        scene: NDArray[np.int16],
        actions: NDArray[np.int64],
    ) -> Chances:
        """The funnel of contacts.

        ``rows`` are the users contacted, int64 [M]; scene and actions, none silent, are [M] too.
        """
        interrupts = self.interrupts.take(actions)
        fatigue = np.where(
            interrupts,
            hidden.fatigue_interrupting.take(rows),
            hidden.fatigue_waiting.take(rows),
        )
        open_need = hidden.open_need(rows)
        annoyed = np.exp(np.float32(self.preset.annoyance) * fatigue)
        return Chances(
            self._see(traits, rows, scene, actions, interrupts, fatigue),
            self._click(traits, hidden, rows, actions, open_need),
            self._sell(hidden, rows, scene, open_need),
            np.minimum(self._opt_out(traits, rows, scene, actions) * annoyed, SURE),
            np.minimum(np.float32(self.preset.not_interested) * annoyed, SURE),
        )

    def _see(
        self,
        traits: Traits,
        rows: Rows,
        scene: NDArray[np.int16],
        actions: NDArray[np.int64],
        interrupts: NDArray[np.bool_],
        fatigue: Floats,
    ) -> Floats:
        """Attention of the scene, reach of the user, dulled by fatigue."""
        reach = np.where(
            interrupts, traits.reach_interrupting.take(rows), traits.reach_waiting.take(rows)
        )
        attention = self.attention.take(scene * np.int16(2) + interrupts)
        dulled = np.exp(-traits.tiring.take(rows) * fatigue)
        chance: Floats = np.minimum(self.seen.take(actions) * attention * reach * dulled, SURE)
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
        appeal = self.appeal(traits, hidden, rows, actions)
        curious = np.where(open_need, np.float32(1), np.float32(self.preset.idle_clicks))
        chance: Floats = np.minimum(self.clicked.take(actions) * appeal * curious, SURE)
        return chance

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

    def _sell(
        self,
        hidden: Hidden,
        rows: Rows,
        scene: NDArray[np.int16],
        open_need: NDArray[np.bool_],
    ) -> Floats:
        """An open need is met now; without one the next may be met early; a met one never twice.

        Nobody settles a second purchase before the first is made.
        """
        preset = self.preset
        stage = np.where(open_need, np.float32(1), np.float32(preset.stock_up))
        stage *= ~(hidden.served.take(rows) | (hidden.promised_at.take(rows) != NEVER))
        sell = np.float32(preset.click_to_buy * preset.contact_effect)
        chance: Floats = np.minimum(sell * stage * self.scene_intent.take(scene), SURE)
        return chance

    def _opt_out(
        self, traits: Traits, rows: Rows, scene: NDArray[np.int16], actions: NDArray[np.int64]
    ) -> Floats:
        """Temper, times the nuisance of the channel and of the scene."""
        nuisance = self.nuisance.take(actions) * self.scene_nuisance.take(scene)
        chance: Floats = traits.temper.take(rows) * nuisance
        return chance

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

    def leaving(self, hidden: Hidden, elapsed_days: NDArray[np.float64]) -> NDArray[np.float64]:
        """Chance that the user leaves for good in the meantime, float64 [N]."""
        growth = 1 + np.float32(self.preset.leaving_growth) * hidden.fatigue()
        return self.preset.leaving_per_day * growth * elapsed_days

    def browsing(self, hidden: Hidden, scene: NDArray[np.int16]) -> Floats:
        """Chance to look around in the app, float32 [N]."""
        open_need = hidden.open_need(slice(None))
        curious = np.where(open_need, np.float32(1), np.float32(self.preset.idle_browsing))
        chance: Floats = self.scene_browsing.take(scene) * curious
        return chance

    def carting(self, hidden: Hidden, rows: Rows) -> Floats:
        """Chance to put something into the basket when looking around, float32 [M]."""
        preset, open_need = self.preset, hidden.open_need(rows)
        chance: Floats = np.where(
            open_need, np.float32(preset.carting), np.float32(preset.idle_carting)
        )
        return chance


def _by_action(values: list[float], of: NDArray[np.int16]) -> Floats:
    """The value of each action's offer or channel, 0 for silence, float32 [A]."""
    return np.where(of < 0, 0.0, np.asarray(values)[of]).astype(np.float32)
