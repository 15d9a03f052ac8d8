"""What a history says of a user: how likely each kind of person and each stage of the need is.

An exact forward filter over (kind, stage of the need, sale that is still to follow). It hears what
a service hears, and asks how likely that was of imagined users of each kind in each stage. Where
kinds are the centres of archetypes and individuals spread around them, it is exact for the kinds
and near for the people; where a preset has no spread, it is exact.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.decisions import Events, Moment
from simulators.hidden import IDLE, IDLE_SERVED, OPEN, OPEN_AT_FIRST, RIPE_SERVED
from simulators.oracle.heard import Heard, Sales
from simulators.oracle.imagining import Imagined
from simulators.oracle.impressions import paid_chances
from simulators.oracle.outstanding import CLICKS, Outstanding
from simulators.oracle.reactions import Nature
from simulators.population import Traits

Rows = NDArray[np.int64]
Weights = NDArray[np.float64]

IMPOSSIBLE: Final = 1e-200
"""Where a history is less likely than that for all kinds, the beliefs stay as they were."""


class Belief:
    """About N users: H kinds of people in S stages, with or without a sale still to follow.

    ``_weights`` is float64 [N, H, S, 1 + CLICKS]: no sale is still to follow, or that of one of the
    latest clicks is.
    """

    def __init__(self, nature: Nature, people: Traits, prior: Weights) -> None:
        """What is believed at the start of the world.

        Args:
            nature: of the world.
            people: who the users may be, N * H rows, user by user.
            prior: relative chance that they are, [N, H].
        """
        self._nature, self._people = nature, people
        self._imagined = Imagined(nature, people, len(prior))
        self._outstanding = Outstanding(len(prior), nature.preset.later_days)
        self._tastes = people.category_shares.reshape(*prior.shape, -1).astype(np.float64)
        self._baskets = people.basket_cents.reshape(prior.shape).astype(np.float64)
        self._weights = np.zeros((*prior.shape, nature.stages, 1 + CLICKS))
        self._weights[:, :, IDLE, 0] = (1 - OPEN_AT_FIRST) * prior
        self._weights[:, :, OPEN:, 0] = OPEN_AT_FIRST * prior[..., None] * self._tastes
        self._weights /= self._weights.sum(axis=(1, 2, 3), keepdims=True)

    def weights(self) -> Weights:
        """Chance of each kind and stage; a user's sum to 1, float64 [N, H, S]."""
        summed: Weights = self._weights.sum(axis=3)
        return summed

    def fatigue(self) -> NDArray[np.float32]:
        """How tired a user of each kind would be, float32 [N, H]."""
        return self._imagined.fatigue()

    def reference(self) -> NDArray[np.float32]:
        """The discount a user of each kind would be used to, float32 [N, H]."""
        return self._imagined.reference()

    def learn(
        self, before: Moment, actions: NDArray[np.int64], events: Events, after: Moment
    ) -> None:
        """Take in one step.

        Args:
            before: where users stood.
            actions: what was decided, int64 [N].
            events: what the application reported.
            after: where users stand now; of those who stand still nothing is learnt.
        """
        known, imagined = self._weights.copy(), self._imagined
        heard = Heard.of(self._nature.catalogue, before, actions, events)
        # 1. How a contact was answered tells of need and kind; a click may have sold.
        self._answer(before, actions, heard)
        # 2. So does whether they looked around in the app, less after a contact opened it.
        imagined.notice(before, np.flatnonzero(heard.opened))
        self._weights *= imagined.looking(before, heard)[..., None]
        # 3. Needs moved on, with a purchase here or without.
        self._live_on(imagined.moving_on(before, after), heard)
        # 4. The contact tires.
        rows = np.flatnonzero(actions > 0)
        imagined.tire(rows, actions.take(rows), heard.opened.take(rows))
        # 5. A sale that was still to follow did or did not.
        self._follow(before, after, heard)
        # 6. Nobody left for good, and the way they went tells of the routine.
        way = imagined.staying(before, after) * imagined.travelling(before, after)
        self._weights *= way[..., None, None]
        # 7. Midnights pass.
        imagined.sleep(before, after)
        self._normalise(known, after.now > before.now)

    def _answer(self, moment: Moment, actions: NDArray[np.int64], heard: Heard) -> None:
        rows = np.flatnonzero(actions > 0)
        chance, sell = self._imagined.answering(moment, rows, actions.take(rows), heard)
        self._weights[rows] *= chance[..., None]
        clicked = np.flatnonzero(heard.clicked.take(rows))
        if len(clicked):
            self._settle(moment, rows.take(clicked), actions, sell[clicked], heard)

    def _settle(
        self,
        moment: Moment,
        rows: Rows,
        actions: NDArray[np.int64],
        sell: Weights,
        heard: Heard,
    ) -> None:
        """Clicked contacts sold or not, at once or to follow; ``rows`` int64 [M], sell [M, H, S].

        A sale makes an outstanding one follow at once; if none did, a sale means that there was
        none outstanding.
        """
        weights, later = self._weights[rows], self._nature.preset.later_share
        forward = heard.brought_forward.made.take(rows)[:, None, None]
        at_once = heard.at_once.made.take(rows)[:, None, None]
        matching = self._outstanding.matching(rows, heard.brought_forward)[:, None, None]
        earlier = (weights[..., 1:] * matching).sum(axis=3)
        earlier *= self._paid(rows, heard.brought_forward)[..., None]
        sold = _served(np.where(forward, earlier, weights[..., 0]) * sell)
        unsold = weights * (1 - sell[..., None]) * ~(forward | at_once)[..., None]
        here = sold * (1 - later) * self._paid(rows, heard.at_once)[..., None]
        after = np.empty_like(weights)
        after[..., 0] = unsold[..., 0] + unsold[..., -1] + here * at_once
        after[..., 1] = sold * later * ~at_once
        after[..., 2:] = unsold[..., 1:-1]
        self._weights[rows] = after
        catalogue, chosen = self._nature.catalogue, actions.take(rows)
        offer, channel = catalogue.action_offer[chosen], catalogue.action_channel[chosen]
        self._outstanding.clicked(rows, moment.now.take(rows), offer, channel)

    def _live_on(self, moving: Weights, heard: Heard) -> None:
        """Needs ripen and are over, with an unprompted purchase where one was heard of."""
        before, moving = self._weights, moving[..., None]
        after = before * (1 - moving[..., None])
        loyal = self._imagined.loyal()[..., None]
        over = moving * before[:, :, OPEN:].sum(axis=2)
        after[:, :, IDLE] += moving * before[:, :, RIPE_SERVED] + over * (1 - loyal)
        after[:, :, RIPE_SERVED] += moving * before[:, :, IDLE_SERVED]
        ripening = (moving * before[:, :, IDLE])[:, :, None]
        after[:, :, OPEN:] += ripening * self._tastes[..., None]
        rows = np.flatnonzero(heard.unprompted.made)
        after[rows] = 0.0
        paid = self._paid(rows, heard.unprompted)[..., None]
        after[rows, :, IDLE] = (over * loyal)[rows] * paid
        self._weights = after

    def _follow(self, before: Moment, after: Moment, heard: Heard) -> None:
        """A sale still to follow did not, or is the purchase that was heard of."""
        rows = np.flatnonzero(heard.later.made)
        following = self._outstanding.following(rows, heard.later, before.now.take(rows))
        made = (self._weights[rows, :, :, 1:] * following[:, None, None]).sum(axis=3)
        unheard = self._outstanding.unheard(before.now, after.now)
        self._weights[..., 1:] *= unheard[:, None, None]
        self._weights[rows] = 0.0
        self._weights[rows, ..., 0] = made * self._paid(rows, heard.later)[..., None]

    def _paid(self, rows: Rows, sales: Sales) -> Weights:
        """Relative chance that users of each kind pay so much, 1 where nothing is paid, [M, H]."""
        chance = paid_chances(self._nature.preset, self._baskets[rows], sales.price_cents[rows])
        return np.where(sales.made[rows, None], chance, 1.0)

    def _normalise(self, known: Weights, moved: NDArray[np.bool_]) -> None:
        total = self._weights.sum(axis=(1, 2, 3))
        kept = moved & (total > IMPOSSIBLE)
        self._weights[kept] /= total[kept, None, None, None]
        self._weights[~kept] = known[~kept]


def _served(weights: Weights) -> Weights:
    """Weights by stage, [..., S], after a sale: it meets the open need, or else the next one."""
    served = np.zeros_like(weights)
    served[..., IDLE_SERVED] = weights[..., IDLE]
    served[..., RIPE_SERVED] = weights[..., OPEN:].sum(axis=-1)
    return served
