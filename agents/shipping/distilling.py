"""A small network that decides like a large one: regression on what the large one sees in actions.

What a Q-network decides depends on its values only through how much better each allowed action is
than the others. So the student learns these differences, in situations that users come into under
the teacher (with some exploration, so that the student knows what lies beside the path as well).

Reference: Rusu and others, "Policy distillation", ICLR 2016.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.policy import QNetworkPolicy
from simulators.cluster import Progress
from simulators.make import SyntheticWorlds
from simulators.rollout import BATCH, Player, stretch

SHARE: Final = 0.2
"""Of the teacher's parameters, what a student may have at most."""
EXPLORED: Final = 0.1
"""Share of the decisions, when situations are collected, that are drawn from all allowed ones."""
ROWS: Final = 1024
"""Situations of a step of learning."""
RATE: Final = 2e-3
"""First rate of learning; it falls to 0 as half a cosine."""


@dataclass(frozen=True, slots=True)
class Situations:
    """What the teacher was asked, M times."""

    observations: NDArray[np.float32]
    """[M, D]."""
    mask: NDArray[np.bool_]
    """[M, A]."""

    def __len__(self) -> int:
        return len(self.observations)


class Watched:
    """A policy that is listened to: what it was asked last is kept."""

    def __init__(self, policy: QNetworkPolicy) -> None:
        self.name, self._policy = policy.name, policy
        self.asked: Situations | None = None

    def probabilities(
        self, observations: NDArray[np.float32], mask: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Those of the policy, float64 [N, A]."""
        self.asked = Situations(observations, mask)
        return self._policy.probabilities(observations, mask)


def at_price(policy: QNetworkPolicy, column: int, price: float) -> QNetworkPolicy:
    """A policy that takes a budget price of 0, in this column of the observations, for another."""
    (weight, bias), *others = policy.layers
    return replace(policy, layers=((weight, bias + price * weight[column]), *others))


def parameters(policy: QNetworkPolicy) -> int:
    """How many numbers a network consists of."""
    return sum(weight.size + bias.size for weight, bias in policy.layers)


def parameters_of(widths: tuple[int, ...]) -> int:
    """The same for layers of these widths, from the observation to the actions."""
    return sum((inputs + 1) * outputs for inputs, outputs in pairwise(widths))


def widest(teacher: QNetworkPolicy) -> tuple[int, int]:
    """Two equal hidden layers, as wide as a student of this teacher may have them; at least 1."""
    inputs, actions = teacher.shape
    most, width = SHARE * parameters(teacher), 1
    while parameters_of((inputs, width + 1, width + 1, actions)) <= most:
        width += 1
    return width, width


def collect(
    teacher: QNetworkPolicy,
    worlds: SyntheticWorlds,
    seed: int,
    users: int,
    days: float,
    budget_prices: tuple[float, ...] = (0.0,),
    progress: Progress | None = None,
) -> Situations:
    """Situations that users come into under the teacher.

    Args:
        teacher: decides, with more exploration than it has.
        worlds: where they live.
        seed: of the luck.
        users: how many at each price.
        days: how long each is followed.
        budget_prices: what the teacher is told about the price of a cent spent.
        progress: told the share done.
    """
    bold = Watched(replace(teacher, floor=max(teacher.floor, EXPLORED)))
    found: list[Situations] = []
    for number, price in enumerate(budget_prices):
        first, share = number * users, 1 / len(budget_prices)
        for start in range(0, users, BATCH):
            batch = np.arange(first + start, first + min(start + BATCH, users))
            player = Player(worlds(len(batch), seed), bold, days, price)
            told = stretch(progress, (number + start / users) * share, len(batch) / users * share)
            for tick in player.ticks(batch, told):
                assert bold.asked is not None, "every tick asks the policy"
                here = tick.active
                found.append(Situations(bold.asked.observations[here], bold.asked.mask[here]))
    observations = np.concatenate([each.observations for each in found])
    return Situations(observations, np.concatenate([each.mask for each in found]))


def distil(
    teacher: QNetworkPolicy,
    situations: Situations,
    hidden: tuple[int, ...],
    seed: int,
    steps: int | None = None,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> tuple[QNetworkPolicy, int]:
    """A student of the teacher, and the steps it took.

    Args:
        teacher: whom to learn from.
        situations: where.
        hidden: widths of the student's hidden layers.
        seed: of its first weights and of the order of the situations.
        steps: of learning; or
        seconds: of learning, then the result depends on the machine.
        progress: told the share done.
    """
    inputs, actions = teacher.shape
    generator = torch.Generator().manual_seed(seed)
    net = _network((inputs, *hidden, actions), generator)
    better, scale = _betterness(teacher, situations)
    observations, mask = (
        torch.from_numpy(situations.observations),
        torch.from_numpy(situations.mask),
    )
    optimizer = torch.optim.Adam(net.parameters())
    done, share, started = 0, 0.0, time.perf_counter()
    while share < 1.0:
        for group in optimizer.param_groups:
            group["lr"] = RATE * 0.5 * (1.0 + np.cos(np.pi * share))
        rows = torch.randint(len(observations), (ROWS,), generator=generator)
        loss = _loss(net(observations[rows]), better[rows], mask[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        done += 1
        shares = [done / steps] if steps else []
        shares += [(time.perf_counter() - started) / seconds] if seconds else []
        share = max(shares)
        if progress is not None:
            progress(min(1.0, share))
    return _policy(net, scale, teacher.floor), done


def _network(widths: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
    """Linear layers with ReLU between them, first weights after He and others (2015)."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        linear = nn.Linear(inputs, outputs)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu", generator=generator)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _betterness(teacher: QNetworkPolicy, situations: Situations) -> tuple[Tensor, float]:
    """How much better than the mean allowed action each is, in units of its spread, and the unit.

    Float32 [M, A], 0 where not allowed.
    """
    better = np.empty(situations.mask.shape, np.float32)
    for start in range(0, len(situations), ROWS):
        here = slice(start, start + ROWS)
        mask = situations.mask[here]
        values = np.where(mask, teacher.values(situations.observations[here]), 0.0)
        mean = values.sum(axis=1, keepdims=True) / mask.sum(axis=1, keepdims=True)
        better[here] = np.where(mask, values - mean, 0.0)
    scale = float(np.sqrt(np.square(better, dtype=np.float64).sum() / situations.mask.sum()))
    scale = scale or 1.0  # a teacher to whom all is one
    return torch.from_numpy(better / np.float32(scale)), scale


def _loss(values: Tensor, better: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error over the allowed actions."""
    allowed = mask.float()
    count = allowed.sum(dim=1, keepdim=True)
    centred = values - (values * allowed).sum(dim=1, keepdim=True) / count
    loss: Tensor = ((centred - better).square() * allowed).sum() / allowed.sum()
    return loss


def _policy(net: nn.Sequential, scale: float, floor: float) -> QNetworkPolicy:
    """The network as a policy, with values in the teacher's unit; float32, as a bundle holds it."""
    layers = [
        tuple(p.detach().numpy().astype(np.float64) for p in layer.parameters())
        for layer in net
        if isinstance(layer, nn.Linear)
    ]
    scales = [1.0] * (len(layers) - 1) + [scale]
    return QNetworkPolicy(
        tuple(
            (_rounded(weight.T * factor), _rounded(bias * factor))
            for (weight, bias), factor in zip(layers, scales, strict=True)
        ),
        floor,
        "student",
    )


def _rounded(array: NDArray[np.float64]) -> NDArray[np.float64]:
    return array.astype(np.float32).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two policies decide, in some situations."""

    agreement: float
    """Share of the situations with a choice in which both take the same best action."""
    regret: float
    """What the student's action lacks to the teacher's, in the teacher's values, on average."""


def likeness(teacher: QNetworkPolicy, student: QNetworkPolicy, situations: Situations) -> Likeness:
    """How a student decides, measured by its teacher, where there is a choice."""
    chosen = situations.mask.sum(axis=1) > 1
    same, lacking, count = 0, 0.0, max(1, int(chosen.sum()))
    for start in range(0, len(situations), ROWS):
        here = slice(start, start + ROWS)
        observations, mask = situations.observations[here], situations.mask[here]
        values = np.where(mask, teacher.values(observations), -np.inf)
        wanted = values.argmax(axis=1)
        taken = np.where(mask, student.values(observations), -np.inf).argmax(axis=1)
        rows = np.arange(len(mask))
        same += int(((wanted == taken) & chosen[here]).sum())
        lacking += float((values[rows, wanted] - values[rows, taken]).sum())
    return Likeness(same / count, lacking / count)
