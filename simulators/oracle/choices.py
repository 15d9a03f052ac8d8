"""What an individual's contacts are worth in every cell, given what is to come after them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from simulators.oracle.grid import Grid
from simulators.oracle.known_rules import KnownRules
from simulators.oracle.reactions import Nature, Reactions, served
from simulators.oracle.week import Week
from simulators.population import Traits
from simulators.presets import INTERRUPTING, WAITING

Floats = NDArray[np.floating[Any]]

PLANES: Final = 4
"""Which groups of channels are lost: bit 0 the interrupting, bit 1 the waiting."""
BOTH_LOST: Final = 3

_OPEN: Final = {INTERRUPTING: slice(0, PLANES, 2), WAITING: slice(0, 2)}
"""The planes in which a group still has its channels."""
_LOST: Final = {INTERRUPTING: slice(1, PLANES, 2), WAITING: slice(2, PLANES)}
"""Those an opt-out leads to, in the same order."""


@dataclass(frozen=True, slots=True)
class _Channel:
    """The contacts by one channel at one moment; O offers."""

    group: int
    actions: NDArray[np.int64]
    """int64 [O]"""
    unseen: int
    """Column block of the state after a contact that was not seen."""
    seen: NDArray[np.int64]
    """Column blocks after one that was, int64 [O]."""
    see: Floats
    """[X]"""
    opt_out: Floats
    """[X]"""
    paid: Floats
    """Cost of the send and of opt-outs, [O, X]."""
    sale: Floats
    """[G, 1, 1, O, X]"""
    worth: Floats
    """Of a sale, [O, 1]."""

    def advantages(self, after: Floats, quiet: Floats, silence: Floats, served: Stages) -> Floats:
        """Of these contacts over silence, [G, C, open planes, O, X].

        Args:
            after: what is to come by column block, [G, C, P, blocks, X].
            quiet: what is to come with no contact, [G, C, P, X].
            silence: what is earned in this step with no contact, [G, 1, 1, X].
            served: stage after a sale.
        """
        still = after[:, :, _OPEN[self.group]]
        lost = after[:, :, _LOST[self.group]].take(self.seen, axis=3)
        noticed = still.take(self.seen, axis=3)
        lost -= noticed
        lost *= self.opt_out
        noticed += lost  # the mean over opting out or not
        unseen = still[:, :, :, self.unseen : self.unseen + 1]
        gain: Floats = noticed.take(served, axis=0)  # a sale changes what is to come
        gain -= noticed
        gain += self.worth - silence[:, :, :, None]
        gain *= self.sale
        noticed -= unseen
        noticed *= self.see
        gain += noticed
        gain += unseen - quiet[:, :, _OPEN[self.group], None]
        gain -= self.paid
        return gain


Stages = NDArray[np.int64]


class Choices:
    """The contacts of one individual at every pair of hour and scene."""

    def __init__(
        self,
        nature: Nature,
        rules: KnownRules,
        week: Week,
        traits: Traits,
        grid: Grid,
    ) -> None:
        self._reactions = Reactions(nature, grid, traits)
        self._grid, self._week, self._served = grid, week, served(nature.stages)
        self._limited = rules.contacts_a_day is not None
        catalogue, behaviour = nature.catalogue, nature.behaviour
        bits = np.uint16(1) << catalogue.action_channel[1:].astype(np.uint16)
        consented = np.concatenate([[False], (traits.consents[0] & bits) > 0])
        self.allowed = rules.table[week.hour % 24, week.scene] & consented
        """Contacts that rules and consents allow, bool [pairs, A]."""
        self._group = np.asarray(
            [nature.preset.channels[channel.name].group for channel in catalogue.channels]
        )
        self._channel = catalogue.action_channel.astype(np.int64)
        classes = np.stack([behaviour.weight, behaviour.discount], axis=1)
        self._classes, inverse = np.unique(classes, axis=0, return_inverse=True)
        self._class_of = inverse.reshape(-1)
        self._matrices = self._class_matrices(nature.preset.reference_learning)
        self._moments: dict[tuple[int, int], tuple[Floats, list[_Channel]]] = {}

    def open_actions(self) -> NDArray[np.bool_]:
        """Contacts that rules and consents allow, bool [pairs, planes but the last, A]."""
        group = np.concatenate([[0], self._group[self._channel[1:]]])
        lost = np.arange(BOTH_LOST)[:, None] >> group & 1
        allowed: NDArray[np.bool_] = self.allowed[:, None] & (lost == 0)
        return allowed

    def best(self, pair: int, to_come: Floats, silence: Floats) -> Floats:
        """Value of the best action, [G, C, P, X], given what is to come after silence."""
        values = to_come + silence
        columns, channels = self._at(pair)
        if not channels:
            return values
        after, quiet = self._after(to_come, columns)
        best = np.zeros_like(quiet)
        for channel in channels:
            gain = channel.advantages(after, quiet, silence, self._served).max(axis=3)
            planes = best[:, :, _OPEN[channel.group]]
            np.maximum(planes, gain, out=planes)
        values[:, : best.shape[1]] += best
        return values

    def advantages(self, pair: int, to_come: Floats, silence: Floats) -> NDArray[np.float16]:
        """Of every contact over silence, 0 where refused, [G, C, 2, X, A].

        First with both groups open, then with the other group lost: a contact is by one group, so
        two planes share the second place.
        """
        columns, channels = self._at(pair)
        after, quiet = self._after(to_come, columns)
        stages, counts, _, cells = quiet.shape
        table = np.zeros((stages, counts, 2, cells, self.allowed.shape[1]), np.float16)
        for channel in channels:
            gain = channel.advantages(after, quiet, silence, self._served)
            table[..., channel.actions] = gain.swapaxes(3, 4)
        return table

    def _after(self, to_come: Floats, columns: Floats) -> tuple[Floats, Floats]:
        """What is to come after contacts, by column block, and after silence.

        With a limit on the day's contacts, both for the counts that leave room for one.
        """
        contacted = to_come[:, 1:] if self._limited else to_come
        stages, counts, planes, cells = contacted.shape
        after = contacted.reshape(-1, cells) @ columns
        quiet = to_come[:, :counts]
        return after.reshape(stages, counts, planes, -1, cells), quiet

    def _class_matrices(self, learning: float) -> list[Floats]:
        """What contacts of each class do to the cells when seen, [X, X] for values on the left."""
        fatigue, reference = self._grid.cell_fatigue(), self._grid.cell_reference()
        return [
            self._grid.moved(
                fatigue + weight, reference + learning * np.maximum(depth - reference, 0)
            ).T.astype(np.float32)
            for weight, depth in self._classes
        ]

    def _at(self, pair: int) -> tuple[Floats, list[_Channel]]:
        hour, scene = int(self._week.hour[pair]) % 24, int(self._week.scene[pair])
        if (hour, scene) not in self._moments:
            self._moments[hour, scene] = self._moment(pair, hour, scene)
        return self._moments[hour, scene]

    def _moment(self, pair: int, hour: int, scene: int) -> tuple[Floats, list[_Channel]]:
        actions = np.flatnonzero(self.allowed[pair])
        if not len(actions):
            return np.zeros((self._grid.cells, 0), np.float32), []
        seen = self._class_of[actions]
        weights = self._classes[:, 0]
        unseen = [_plain(self._classes, weights[k]) for k in seen]
        kinds = sorted({*seen.tolist(), *unseen})
        block = {kind: place for place, kind in enumerate(kinds)}
        chances = self._reactions.moments(hour, scene, actions)
        channels = []
        for c in np.unique(self._channel[actions]):
            mine = np.flatnonzero(self._channel[actions] == c)
            own = actions[mine]
            cost = self._reactions.opt_out_cents[own, None] * chances.see[c] * chances.opt_out[c]
            channels.append(
                _Channel(
                    int(self._group[c]),
                    own,
                    block[unseen[mine[0]]],
                    np.asarray([block[seen[i]] for i in mine]),
                    chances.see[c],
                    chances.opt_out[c],
                    self._reactions.send_cents[own, None] + cost,
                    np.ascontiguousarray(chances.sale[own].transpose(1, 0, 2))[:, None, None],
                    self._reactions.sale_cents[own, None],
                )
            )
        return np.hstack([self._matrices[kind] for kind in kinds]), channels


def _plain(classes: Floats, weight: float) -> int:
    """The class of a contact of a weight whose discount, if any, nobody saw."""
    return int(np.flatnonzero((classes[:, 0] == weight) & (classes[:, 1] == 0))[0])
