"""Which actions are allowed now, and which rules refuse the others.

A refusal is a set of bits, one a rule, so that every reason is kept and the mask is ``== 0``.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.caps import CapSlots
from envs.catalogue import Catalogue, Channel, Offer
from envs.clock import DAY, HOUR
from envs.decisions import Moment
from envs.layout import Layout
from envs.users import UserState

FIXED: Final = (
    "channel_absent",
    "offer_absent",
    "no_consent",
    "quiet_hours",
    "not_interested",
    "margin_floor",
    "budget",
    "excluded",
)
"""Rules that every catalogue has; its caps follow under their own names."""

Bits = NDArray[np.uint32]


def rule_bit(name: str) -> np.uint32:
    """The bit of a fixed rule."""
    return np.uint32(1 << FIXED.index(name))


class Rules:
    """The rules of one catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.names: tuple[str, ...] = FIXED + tuple(f"cap:{cap.name}" for cap in catalogue.caps)
        self._caps = Layout.of(catalogue).caps
        self._channel_table = _channel_table(catalogue)
        self._offer_table = _offer_table(catalogue)
        self._reserve_cents = reserve_cents(catalogue)
        self._offer = catalogue.action_offer[1:].astype(np.int64)
        self._channel = catalogue.action_channel[1:].astype(np.int64)
        self._cap_actions = [_counted_actions(slots, catalogue) for slots in self._caps]
        self._cool_down_s = np.int32(catalogue.cool_down_days * DAY)

    def refusals(
        self,
        users: UserState,
        moment: Moment,
        budget_left_cents: float | NDArray[np.float64] = np.inf,
    ) -> Bits:
        """Which rules refuse each action.

        Args:
            users: N users.
            moment: where and when they stand, [N].
            budget_left_cents: what may still be spent, for all or for each [N].

        Returns:
            uint32 [N, A]; bit k is set when rule ``names[k]`` refuses. Silence is never refused.
        """
        by_channel = np.ascontiguousarray(self._by_channel(users, moment).T)  # [C, N]
        by_offer = np.ascontiguousarray(self._by_offer(users, moment).T)  # [O, N]
        columns = np.zeros((len(self._reserve_cents), len(users)), np.uint32)  # [A, N]
        np.bitwise_or(by_offer[self._offer], by_channel[self._channel], out=columns[1:])
        for k, slots in enumerate(self._caps):
            reached = slots.reached(users.cap_times, moment)
            if reached.any():
                actions, groups = self._cap_actions[k]
                bit = np.uint32(1 << (len(FIXED) + k))
                columns[actions] |= np.where(reached.T, bit, np.uint32(0))[groups]
        refused = columns.T
        if not np.all(np.isinf(budget_left_cents)):
            left = np.broadcast_to(budget_left_cents, len(users))
            over = self._reserve_cents > left[:, None]
            over[:, 0] = False
            refused |= np.where(over, rule_bit("budget"), np.uint32(0))
        return refused

    def explain(self, bits: int) -> tuple[str, ...]:
        """The names of the rules in one refusal."""
        return tuple(name for k, name in enumerate(self.names) if int(bits) >> k & 1)

    def excluded(self, offers: tuple[str, ...], channels: tuple[str, ...]) -> Bits:
        """Refusals of offers and channels that the caller excludes, uint32 [A].

        Raises:
            KeyError: no offer or channel of that name.
        """
        catalogue = self.catalogue
        no_offer = [catalogue.offer_index(name) for name in offers]
        no_channel = [catalogue.channel_index(name) for name in channels]
        out = np.isin(catalogue.action_offer, no_offer)
        out |= np.isin(catalogue.action_channel, no_channel)
        return np.where(out, rule_bit("excluded"), np.uint32(0))

    def _by_channel(self, users: UserState, moment: Moment) -> Bits:
        """Refusals by channel: absent, quiet hours, consent; uint32 [N, C]."""
        hour = moment.local() // np.int32(HOUR) % np.int32(24)
        refused = np.take(self._channel_table, moment.scene * np.int32(24) + hour, axis=0)
        refused |= np.where(users.consents(), np.uint32(0), rule_bit("no_consent"))
        return refused

    def _by_offer(self, users: UserState, moment: Moment) -> Bits:
        """Refusals by offer: absent, margin floor, cool-down; uint32 [N, O]."""
        refused = np.take(self._offer_table, moment.scene, axis=0)
        resting = users.not_interested_at > (moment.now - self._cool_down_s)[:, None]
        refused |= np.where(resting, rule_bit("not_interested"), np.uint32(0))
        return refused


def _counted_actions(
    slots: CapSlots, catalogue: Catalogue
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The actions a cap counts, and the group of each."""
    by_channel = slots.channel_group[catalogue.action_channel[1:]]
    by_offer = slots.offer_group[catalogue.action_offer[1:]]
    counted = np.flatnonzero((by_channel >= 0) & (by_offer >= 0))
    return counted + 1, by_channel[counted] * slots.offer_groups + by_offer[counted]


def _channel_table(catalogue: Catalogue) -> Bits:
    """Refusals by channel for each (scene, local hour), uint32 [S * 24, C]."""
    rows = [
        [_absent(channel, scene.name) | _quiet(channel, hour) for channel in catalogue.channels]
        for scene in catalogue.scenes
        for hour in range(24)
    ]
    return np.asarray(rows, np.uint32)


def _absent(channel: Channel, scene: str) -> int:
    here = channel.scenes is None or scene in channel.scenes
    return 0 if here else int(rule_bit("channel_absent"))


def _quiet(channel: Channel, hour: int) -> int:
    if channel.quiet is None:
        return 0
    start, stop = channel.quiet
    quiet = start <= hour < stop if start < stop else hour >= start or hour < stop
    return int(rule_bit("quiet_hours")) if quiet else 0


def _offer_table(catalogue: Catalogue) -> Bits:
    """Refusals by offer for each scene, uint32 [S, O]."""
    rows = [
        [
            _offer_absent(offer, scene.name) | _below_floor(catalogue, offer)
            for offer in catalogue.offers
        ]
        for scene in catalogue.scenes
    ]
    return np.asarray(rows, np.uint32)


def _offer_absent(offer: Offer, scene: str) -> int:
    here = offer.scenes is None or scene in offer.scenes
    return 0 if here else int(rule_bit("offer_absent"))


def _below_floor(catalogue: Catalogue, offer: Offer) -> int:
    """A discount leaves ``margin_floor`` of the discounted basket, a gift of a typical one."""
    if offer.kind == "gift":
        left = catalogue.margin - offer.cost_cents / max(catalogue.typical_basket_cents, 1)
    else:
        left = (catalogue.margin - offer.discount) / (1.0 - offer.discount)
    return int(rule_bit("margin_floor")) if left < catalogue.margin_floor - 1e-12 else 0


def reserve_cents(catalogue: Catalogue) -> NDArray[np.float64]:
    """What a budget sets aside for each action: the send and the offer redeemed, float64 [A]."""
    reserve = np.zeros(len(catalogue.actions))
    for action in catalogue.actions[1:]:
        offer, channel = catalogue.offers[action.offer], catalogue.channels[action.channel]
        discount = round(offer.discount * catalogue.typical_basket_cents)
        reserve[action.index] = channel.cost_cents + offer.cost_cents + discount
    return reserve
