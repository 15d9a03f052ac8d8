"""The critic: it sees what is hidden, learns what lies ahead and teaches the network that chooses.

A contact is worth what it brings in this step, which a simulator knows, and what it leaves behind:
a more tired user, a cap in use. Only the latter is learnt, as the value of the situation after the
decision; all contacts through one channel leave the same behind. After Pinto and others (2018), who
let a critic see more than the actor, and Powell (2011) on post-decision states.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn


class Burdens(Protocol):
    """What actions leave behind at once."""

    @property
    def group(self) -> tuple[int, ...]:
        """Of each action, [A]; those of a group leave the same behind."""

    @property
    def hidden(self) -> tuple[tuple[float, ...], ...]:
        """What each group adds to what is hidden, [G][H]."""


class Critic(nn.Module):
    """The value of what follows an action, given all there is to know."""

    group: Tensor
    effects: Tensor

    def __init__(self, width: int, layers: tuple[int, ...], burdens: Burdens) -> None:
        """``width`` is that of an observation."""
        super().__init__()
        added = torch.tensor(burdens.hidden)  # [G, H]
        which = torch.eye(len(added))  # [G, G]
        self.register_buffer("group", torch.tensor(burdens.group))
        self.register_buffer("effects", torch.cat([added, which], dim=1))
        sizes = (width + self.effects.shape[1], *layers)  # observation, hidden, group
        self.first = nn.Linear(sizes[0], sizes[1])
        self.rest = nn.ModuleList(
            nn.Linear(a, b) for a, b in zip(sizes[1:], (*layers[1:], 1), strict=True)
        )

    def forward(self, observations: Tensor, hidden: Tensor, actions: Tensor) -> Tensor:
        """What follows one action each, float32 [N]."""
        effects = self.effects[self.group[actions]]
        return self._onward(self._known(observations, hidden) + self._left_behind(effects))

    def every(self, observations: Tensor, hidden: Tensor) -> Tensor:
        """What follows every action, float32 [N, A]."""
        known = self._known(observations, hidden)[:, None, :]
        return self._onward(known + self._left_behind(self.effects))[:, self.group]

    def _known(self, observations: Tensor, hidden: Tensor) -> Tensor:
        """The first layer's part of the situation before the action, [N, W]."""
        seen = torch.cat([observations, hidden], dim=1)
        weight = self.first.weight[:, : seen.shape[1]]
        known: Tensor = nn.functional.linear(seen, weight, self.first.bias)
        return known

    def _left_behind(self, effects: Tensor) -> Tensor:
        """The first layer's part of what actions leave behind, [.., W]."""
        return effects @ self.first.weight[:, -effects.shape[-1] :].T

    def _onward(self, first: Tensor) -> Tensor:
        layer = first
        for linear in self.rest:
            layer = linear(torch.relu(layer))
        return layer[..., 0]


def taught(values: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error of what each allowed action adds to silence, against the teacher's."""
    error = (values - values[:, :1]) - (teacher - teacher[:, :1])
    return (error.square() * mask).sum() / len(error)
