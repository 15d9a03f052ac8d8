"""Which actions are allowed now, and which rules refuse the others.

A refusal is a set of bits, one a rule, so that every reason is kept and the mask is ``== 0``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue, Channel, Offer
from envs.clock import DAY, HOUR, modulo
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


@dataclass(frozen=True, slots=True)
class Marks:
    """How refusals are written: a bit for each rule, or 1 whatever the rule."""

    rules: tuple[np.unsignedinteger[Any], ...]
    """Of each rule, in the order of ``Rules.names``."""
    channels: NDArray[np.unsignedinteger[Any]]
    """Refusals by channel for each (scene, local hour), [C, S * 24]."""
    offers: NDArray[np.unsignedinteger[Any]]
    """Refusals by offer for each scene, or for all scenes in one column, [O, S or 1]."""

    def of(self, name: str) -> np.unsignedinteger[Any]:
        """The mark of a fixed rule."""
        return self.rules[FIXED.index(name)]


class Rules:
    """The rules of one catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.names: tuple[str, ...] = FIXED + tuple(f"cap:{cap.name}" for cap in catalogue.caps)
        self._caps = Layout.of(catalogue).caps
        channels, offers = _channel_table(catalogue), _offer_table(catalogue)
        bits = tuple(np.uint32(1 << k) for k in range(len(self.names)))
        ones = (np.uint8(1),) * len(self.names)
        self._bits = Marks(bits, channels, offers)
        self._ones = Marks(ones, (channels != 0).view(np.uint8), (offers != 0).view(np.uint8))
        self._reserve_cents = reserve_cents(catalogue)
        self._pairs = _pairs(catalogue)
        self._reach = [_reach(slots.group, catalogue) for slots in self._caps]
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
        return self._columns(users, moment, budget_left_cents, self._bits).T

    def refused(
        self,
        users: UserState,
        moment: Moment,
        budget_left_cents: float | NDArray[np.float64] = np.inf,
    ) -> NDArray[np.bool_]:
        """Whether any rule refuses, bool [N, A]: ``refusals != 0``, in half the time."""
        return self._columns(users, moment, budget_left_cents, self._ones).view(np.bool_).T

    def _columns(
        self,
        users: UserState,
        moment: Moment,
        budget_left_cents: float | NDArray[np.float64],
        marks: Marks,
    ) -> NDArray[Any]:
        """Refusals in marks, [A, N]."""
        by_channel = self._by_channel(users, moment, marks)
        by_offer = self._by_offer(users, moment, marks)
        single = self._capped(users, moment, by_channel, by_offer, marks)
        columns = np.empty((len(self._reserve_cents), len(users)), by_channel.dtype)
        columns[0] = 0
        for offer, actions, channels in self._pairs:
            np.bitwise_or(by_offer[offer], by_channel[channels], out=columns[actions])
        for action, refused in single:
            columns[action] |= refused
        if not np.all(np.isinf(budget_left_cents)):
            over = self._reserve_cents[:, None] > budget_left_cents
            over[0] = False
            columns |= over * marks.of("budget")
        return columns

    def _capped(
        self,
        users: UserState,
        moment: Moment,
        by_channel: NDArray[Any],
        by_offer: NDArray[Any],
        marks: Marks,
    ) -> list[tuple[int, NDArray[Any]]]:
        """Refusals of caps, put to the channels and offers, in place; those of actions, each [N].

        Few caps look at offer and channel both; so the others are not written action by action.
        """
        single: list[tuple[int, NDArray[Any]]] = []
        for slots, reach, mark in zip(
            self._caps, self._reach, marks.rules[len(FIXED) :], strict=True
        ):
            reached = slots.reached(users.cap_times, moment)
            if not reached.any():
                continue
            kind, groups = reach
            refused = reached * mark  # [groups, N]
            if kind == "action":
                single += [(action, refused[group]) for action, group in groups]
                continue
            columns = by_channel if kind == "channel" else by_offer
            for number, group in groups:
                columns[number] |= refused[group]
        return single

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

    def _by_channel(self, users: UserState, moment: Moment, marks: Marks) -> NDArray[Any]:
        """Refusals by channel: absent, quiet hours, consent; [C, N]."""
        hour = modulo(moment.local() // np.int32(HOUR), 24)
        refused = marks.channels.take(moment.scene * np.int32(24) + hour, axis=1)
        silent = users.opted_in_at.T <= users.opted_out_at.T
        refused |= silent * marks.of("no_consent")
        return refused

    def _by_offer(self, users: UserState, moment: Moment, marks: Marks) -> NDArray[Any]:
        """Refusals by offer: absent, margin floor, cool-down; [O, N]."""
        if marks.offers.shape[1] == 1:
            refused = np.repeat(marks.offers, len(users), axis=1)
        else:
            refused = marks.offers.take(moment.scene, axis=1)
        since = moment.now - self._cool_down_s
        resting = since < users.not_interested_at.T
        if resting.any():
            refused |= resting * marks.of("not_interested")
        return refused


def _pairs(catalogue: Catalogue) -> list[tuple[int, slice, slice | NDArray[np.int64]]]:
    """Each offer's actions, which follow each other, and their channels."""
    pairs: list[tuple[int, slice, slice | NDArray[np.int64]]] = []
    for offer in range(len(catalogue.offers)):
        actions = np.flatnonzero(catalogue.action_offer == offer)
        channels = catalogue.action_channel[actions].astype(np.int64)
        everywhere = len(channels) == len(catalogue.channels)
        place = slice(int(actions[0]), int(actions[-1]) + 1)
        pairs.append((offer, place, slice(None) if everywhere else channels))
    return pairs


def _reach(group: NDArray[np.int64], catalogue: Catalogue) -> tuple[str, list[tuple[int, int]]]:
    """Whether a cap refuses whole channels, whole offers or single actions, and by which group.

    Args:
        group: of each (channel, offer), -1 where not counted, int64 [C, O].
        catalogue: whose actions.
    """
    if (group == group[:, :1]).all():
        kind, groups = "channel", group[:, 0]
    elif (group == group[:1]).all():
        kind, groups = "offer", group[0]
    else:
        actions = catalogue.actions[1:]
        kind, groups = "action", np.asarray([-1, *(group[a.channel, a.offer] for a in actions)])
    return kind, [(number, int(groups[number])) for number in np.flatnonzero(groups >= 0).tolist()]


def _channel_table(catalogue: Catalogue) -> Bits:
    """Refusals by channel for each (scene, local hour), uint32 [C, S * 24]."""
    rows = [
        [
            _absent(channel, scene.name) | _quiet(channel, hour)
            for scene in catalogue.scenes
            for hour in range(24)
        ]
        for channel in catalogue.channels
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
    """Refusals by offer for each scene, uint32 [O, S]; one column where all are alike."""
    rows = [
        [
            _offer_absent(offer, scene.name) | _below_floor(catalogue, offer)
            for scene in catalogue.scenes
        ]
        for offer in catalogue.offers
    ]
    table = np.asarray(rows, np.uint32)
    return table[:, :1] if (table == table[:, :1]).all() else table


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
