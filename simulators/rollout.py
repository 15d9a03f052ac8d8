"""Rollouts: let a policy decide for users of the world, and keep everything that happened."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from envs.clock import DAY
from envs.decisions import Moment, Policy, draw_actions
from envs.encoding import Encoding
from envs.errors import InputError
from envs.lineage import commit
from envs.rules import Rules
from simulators.content import content_hash
from simulators.draws import Purpose
from simulators.presets import Preset
from simulators.rows import LATENT, Columns, Tick, columns_of, table_of
from simulators.trace import FORMAT, Trace, TraceInfo
from simulators.world import SyntheticWorld

BATCH: Final = 1024
"""Users side by side, unless told otherwise."""

Progress = Callable[[float], None]
"""Told the share that is done, 0 to 1."""


def rollout(
    world: SyntheticWorld,
    policy: Policy,
    user_ids: NDArray[np.int64],
    days: float,
    budget_price: float = 0.0,
    spec: str | None = None,
    progress: Progress | None = None,
    stress: tuple[str, ...] = (),
    signals: bool = False,
) -> Trace:
    """Let a policy decide for users, each from the start of the world for some days.

    Args:
        world: its number of rows is the batch size; the result is the same for any.
        policy: decides.
        user_ids: whom to follow, int64 [U], none twice.
        days: 1 or more, from the world's start.
        budget_price: what the policy is told, 0 or more.
        spec: how to load the policy again; its name when left out.
        progress: told the share done.
        stress: what the world is under, so that a replay can do it again.
        signals: whether to keep what an app had of the users.

    Raises:
        InputError: days or users are wrong.
    """
    user_ids = np.unique(np.asarray(user_ids, np.int64))
    if not days >= 1 or not len(user_ids):
        raise InputError(f"days {days} have to be 1 or more, users {len(user_ids)} as well")
    player = Player(world, policy, days, budget_price, signals)
    table = player.play(user_ids, progress)
    return Trace(table, player.info(content_hash(table), spec, stress))


def stretch(progress: Progress | None, done: float, share: float) -> Progress | None:
    """Progress of a piece of work that is a share of the whole, with some done before it."""
    if progress is None:
        return None
    return lambda part: progress(done + share * part)


class Player:
    """Plays users under a policy, as many side by side as the world has rows."""

    def __init__(
        self,
        world: SyntheticWorld,
        policy: Policy,
        days: float,
        budget_price: float = 0.0,
        signals: bool = False,
    ) -> None:
        """Arguments as for ``rollout``; with signals, what an app had of the users is kept too."""
        self._world, self._policy = world, policy
        self._days, self._budget_price, self._signals = days, budget_price, signals
        self._rules, self._encoding = Rules(world.catalogue), Encoding(world.catalogue)
        self._until = world.start_s + int(days * DAY)

    def play(self, users: NDArray[np.int64], progress: Progress | None = None) -> pa.Table:
        """All opportunities of users, int64 [U], sorted by user and opportunity."""
        rows, batches = len(self._world.departed), []
        for first in range(0, len(users), rows):
            batch = users[first : first + rows]
            done, share = first / len(users), len(batch) / len(users)
            batches.append(self._batch(batch, stretch(progress, done, share)))
        whole = {name: np.concatenate([part[name] for part in batches]) for name in batches[0]}
        return table_of(self._world, whole)

    def info(
        self,
        content_hash: str,
        spec: str | None,
        stress: tuple[str, ...] = (),
        made_by: str = "simulators.rollout",
    ) -> TraceInfo:
        """How a trace with this content was made.

        Args:
            content_hash: of the trace.
            spec: how to load the policy again; its name when left out.
            stress: what the world is under.
            made_by: the command that makes the same trace.
        """
        world, policy = self._world, self._policy
        return TraceInfo(
            format=FORMAT,
            preset=world.preset.name,
            preset_hash=preset_hash(world.preset),
            seed=world.seed,
            start=world.start,
            days=self._days,
            budget_price=self._budget_price,
            stress=stress,
            signals=self._signals,
            policy=policy.name if spec is None else spec,
            policy_name=policy.name,
            catalogue_hash=world.catalogue.hash,
            encoding_hash=self._encoding.hash,
            catalogue=world.catalogue.text,
            content_hash=content_hash,
            lineage={"seed": world.seed, "commit": commit(), "command": made_by},
        )

    def ticks(self, users: NDArray[np.int64], progress: Progress | None = None) -> Iterator[Tick]:
        """Play users, at most as many as the world has rows, in the first rows, tick by tick."""
        world = self._world
        world.restart(np.arange(len(users)), users)
        active = np.arange(len(world.departed)) < len(users)
        while active.any():
            moment, latent = world.moment(), world.latent()
            hidden = {name: latent[name] for name in LATENT}
            signals = world.signals() if self._signals else None
            actions, propensity, mask = self._decide(moment)
            step = world.step(actions, active)
            yield Tick(active, moment, hidden, actions, propensity, mask, step, signals)
            active = active & ~step.departed & (world.moment().now < self._until)
            if progress is not None:
                progress(self._share_done(active))

    def _batch(self, users: NDArray[np.int64], progress: Progress | None) -> Columns:
        n = len(self._world.departed)
        who = np.zeros(n, np.int64)
        who[: len(users)] = users
        ticks: list[Columns] = []
        for number, tick in enumerate(self.ticks(users, progress)):
            opportunity = np.full(n, number, np.int32)  # nobody pauses
            columns: Columns = {"user": who, "opportunity": opportunity, **columns_of(tick)}
            rows = np.flatnonzero(tick.active)
            ticks.append({name: values[rows] for name, values in columns.items()})
        whole = {name: np.concatenate([part[name] for part in ticks]) for name in ticks[0]}
        order = np.argsort(whole["user"], kind="stable")
        return {name: values[order] for name, values in whole.items()}

    def _share_done(self, active: NDArray[np.bool_]) -> float:
        if not active.any():
            return 1.0
        passed = self._world.moment().now[active].min() - self._world.start_s
        return float(passed / (self._until - self._world.start_s))

    def _decide(
        self, moment: Moment
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
        """Actions, their propensities and the mask."""
        world = self._world
        observations = self._encoding.encode(world.users, moment, self._budget_price)
        mask = self._rules.refusals(world.users, moment, world.budget_left()) == 0
        probabilities = self._policy.probabilities(observations, mask)
        actions = draw_actions(probabilities, world.uniform(Purpose.ACTION))
        return actions, probabilities[np.arange(len(actions)), actions], mask


def preset_hash(preset: Preset) -> str:
    """Hash of a preset's numbers."""
    return hashlib.sha256(repr(preset).encode()).hexdigest()
