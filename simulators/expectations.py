"""Mean net value of a step given the hidden state: for training and judging, never for a policy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from simulators.baskets import Baskets
from simulators.behaviour import Behaviour, Chances
from simulators.contacts import Contacts
from simulators.hidden import Hidden
from simulators.oracle.criterion import GAMMA
from simulators.population import Traits
from simulators.presets import GROUPS

Rows = NDArray[np.int64]
Cents = NDArray[np.float64]


class Expectations:
    """Conditional means, exact up to the rounding of cents, given the way to the next scene."""

    def __init__(self, catalogue: Catalogue, behaviour: Behaviour, baskets: Baskets) -> None:
        self._behaviour, self._baskets = behaviour, baskets
        self.send_cents = _by_channel([c.cost_cents for c in catalogue.channels], catalogue)
        """Price of each action's send, int32 [A]."""
        self._group = behaviour.group
        self._opt_out_cents = _group_losses(catalogue, behaviour)

    def opt_out_cost(
        self, consents_left: NDArray[np.uint16], actions: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """Value lost with an opt-out of the action's group by users who hold these channels.

        Args:
            consents_left: bit c is set when the user still has channel c, uint16 [M].
            actions: not silent, int64 [M].

        Returns:
            Cents, int32 [M].
        """
        group = self._group.take(actions)
        return self._opt_out_cents.take(consents_left * np.int64(len(GROUPS)) + group)

    def sale_value(self, traits: Traits, actions: NDArray[np.int64]) -> Cents:
        """Mean value of a basket that each user buys with the action's offer, float64 [N]."""
        return self._baskets.mean_value(traits.basket_cents, actions)

    def silence(self, traits: Traits, hidden: Hidden, ripening: NDArray[np.float32]) -> Cents:
        """Had nobody been contacted; ``ripening`` is the chance that the need moves on, [N]."""
        unprompted = self._behaviour.loyal(traits, hidden) * ripening
        unprompted *= hidden.ripe & ~hidden.served
        return self._baskets.mean_margin(traits.basket_cents) * unprompted

    def action(self, traits: Traits, hidden: Hidden, contacts: Contacts, silence: Cents) -> Cents:
        """With the contacts made, float64 [N]."""
        rows, expected = contacts.rows, silence.copy()
        expected[rows] += self.gain(
            traits, hidden, rows, contacts.actions, contacts.chances, silence.take(rows)
        )
        return expected

    def spend(self, traits: Traits, contacts: Contacts) -> Cents:
        """What contacts cost on average, offer and send, float64 [N]."""
        rows, spend = contacts.rows, np.zeros(len(traits))
        spend[rows] = self.cost(traits, rows, contacts.actions, contacts.chances)
        return spend

    def cost(self, traits: Traits, rows: Rows, actions: Rows, chances: Chances) -> Cents:
        """The same of single contacts; rows, actions and chances are [M]."""
        offer = self._baskets.mean_offer_cost(traits.basket_cents.take(rows), actions)
        cost: Cents = self.send_cents.take(actions) + chances.sale() * offer
        return cost

    def displaced(
        self, traits: Traits, hidden: Hidden, contacts: Contacts, silence: Cents
    ) -> Cents:
        """What sales by the contacts take from later steps on average, float64 [N].

        A need that a contact meets, the open one or the next, might have been met here later with
        no contact. What it would have brought in this very step is in ``gain`` already.
        """
        rows, displaced = contacts.rows, np.zeros(len(silence))
        sale = contacts.chances.sale()
        displaced[rows] = sale * self.later(traits, hidden, rows, silence.take(rows))
        return displaced

    def later(self, traits: Traits, hidden: Hidden, rows: Rows, silence: Cents) -> Cents:
        """What the need brings here after this step on average with no contact, float64 [M].

        Discounted ``GAMMA`` a day, as if needs moved on at the same rate at all hours and nobody
        left in the meantime; an open need has one move before it, others have two. ``rows`` and
        ``silence`` are [M].
        """
        margin = self._baskets.mean_margin(traits.basket_cents.take(rows))
        rate = 2 / 7 * traits.needs_per_week.take(rows)  # moves a day
        waiting = rate / (rate - np.log(GAMMA))
        waiting = np.where(hidden.ripe.take(rows), waiting, waiting**2)
        loyal = self._behaviour.loyal(traits, hidden).take(rows)
        later: Cents = loyal * margin * waiting - silence
        return later

    def gain(
        self,
        traits: Traits,
        hidden: Hidden,
        rows: Rows,
        actions: Rows,
        chances: Chances,
        silence: Cents,
    ) -> Cents:
        """What contacts add within the step; rows, actions, chances and silence are [M].

        A sale takes the place of the purchase that silence might have brought in this step. What
        it takes from later steps is theirs to show.
        """
        value = self._baskets.mean_value(traits.basket_cents.take(rows), actions)
        gain = chances.sale() * (value - silence)
        gain -= self.send_cents.take(actions)
        held = traits.consents.take(rows) & ~hidden.withdrawn.take(rows)
        gain -= chances.see * chances.opt_out * self.opt_out_cost(held, actions)
        return gain


def _group_losses(catalogue: Catalogue, behaviour: Behaviour) -> NDArray[np.int32]:
    """Value of the channels of each group among those held, int32 [2 ** C * groups]."""
    held = np.arange(2 ** len(catalogue.channels))
    losses = np.zeros((len(held), len(GROUPS)), np.int32)
    for index, channel in enumerate(catalogue.channels):
        group = behaviour.preset.channels[channel.name].group
        losses[:, group] += (held >> index & 1) * channel.opt_out_cost_cents
    return losses.reshape(-1)


def _by_channel(cents: list[int], catalogue: Catalogue) -> NDArray[np.int32]:
    """The value of each action's channel, 0 for silence, int32 [A]."""
    channel = catalogue.action_channel
    return np.where(channel < 0, 0, np.asarray(cents, np.int32)[channel]).astype(np.int32)
