"""Rollouts: let a policy decide for users of the world, and keep everything that happened."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from envs.clock import DAY, EPOCH
from envs.decisions import EventKind, Events, Policy, Step, draw_actions
from envs.encoding import Encoding
from envs.errors import InputError
from envs.lineage import commit
from envs.rules import Rules
from simulators.content import content_hash
from simulators.draws import Purpose
from simulators.presets import Preset
from simulators.trace import FORMAT, Trace, TraceInfo
from simulators.world import SyntheticWorld

BATCH: Final = 1024
"""Users side by side, unless told otherwise."""

Progress = Callable[[float], None]
"""Told the share that is done, 0 to 1."""
Columns = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Played:
    """What a rollout needs of one tick; arrays [N]."""

    actions: NDArray[np.int64]
    propensity: NDArray[np.float64]
    mask: NDArray[np.bool_]


def rollout(
    world: SyntheticWorld,
    policy: Policy,
    user_ids: NDArray[np.int64],
    days: float,
    budget_price: float = 0.0,
    spec: str | None = None,
    progress: Progress | None = None,
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

    Raises:
        InputError: days or users are wrong.
    """
    user_ids = np.unique(np.asarray(user_ids, np.int64))
    if not days >= 1 or not len(user_ids):
        raise InputError(f"days {days} have to be 1 or more, users {len(user_ids)} as well")
    player = Player(world, policy, days, budget_price)
    table = player.play(user_ids, progress)
    return Trace(table, player.info(content_hash(table), spec))


def stretch(progress: Progress | None, done: float, share: float) -> Progress | None:
    """Progress of a piece of work that is a share of the whole, with some done before it."""
    if progress is None:
        return None
    return lambda part: progress(done + share * part)


class Player:
    """Plays users under a policy, as many side by side as the world has rows."""

    def __init__(
        self, world: SyntheticWorld, policy: Policy, days: float, budget_price: float
    ) -> None:
        """Arguments as for ``rollout``."""
        self._world, self._policy = world, policy
        self._days, self._budget_price = days, budget_price
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
        return _table(self._world, whole)

    def info(
        self, content_hash: str, spec: str | None, made_by: str = "simulators.rollout"
    ) -> TraceInfo:
        """How a trace with this content was made.

        Args:
            content_hash: of the trace.
            spec: how to load the policy again; its name when left out.
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
            policy=policy.name if spec is None else spec,
            policy_name=policy.name,
            catalogue_hash=world.catalogue.hash,
            encoding_hash=self._encoding.hash,
            catalogue=world.catalogue.text,
            content_hash=content_hash,
            lineage={"seed": world.seed, "commit": commit(), "command": made_by},
        )

    def _batch(self, users: NDArray[np.int64], progress: Progress | None) -> Columns:
        world, n = self._world, len(self._world.departed)
        world.restart(np.arange(len(users)), users)
        who = np.zeros(n, np.int64)
        who[: len(users)] = users
        opportunity = np.zeros(n, np.int64)
        active = np.arange(n) < len(users)
        ticks: list[Columns] = []
        while active.any():
            before = self._before(who, opportunity)
            played = self._decide()
            step = world.step(played.actions, active)
            columns = before | self._after(played, step)
            rows = np.flatnonzero(active)
            ticks.append({name: values[rows] for name, values in columns.items()})
            opportunity += active
            active = active & ~step.departed & (world.moment().now < self._until)
            if progress is not None:
                progress(self._share_done(active))
        whole = {name: np.concatenate([tick[name] for tick in ticks]) for name in ticks[0]}
        order = np.argsort(whole["user"], kind="stable")
        return {name: values[order] for name, values in whole.items()}

    def _share_done(self, active: NDArray[np.bool_]) -> float:
        if not active.any():
            return 1.0
        passed = self._world.moment().now[active].min() - self._world.start_s
        return float(passed / (self._until - self._world.start_s))

    def _decide(self) -> Played:
        world = self._world
        moment = world.moment()
        observations = self._encoding.encode(world.users, moment, self._budget_price)
        mask = self._rules.refusals(world.users, moment) == 0
        probabilities = self._policy.probabilities(observations, mask)
        actions = draw_actions(probabilities, world.uniform(Purpose.ACTION))
        propensity = probabilities[np.arange(len(actions)), actions]
        return Played(actions, propensity, mask)

    def _before(self, who: NDArray[np.int64], opportunity: NDArray[np.int64]) -> Columns:
        moment = self._world.moment()
        latent = self._world.latent()
        hidden = {name: latent[name] for name in LATENT}
        return {
            "user": who,
            "opportunity": opportunity.astype(np.int32),
            "time": moment.now,
            "utc_offset_s": moment.utc_offset_s,
            "scene": moment.scene,
            **hidden,
        }

    def _after(self, played: Played, step: Step) -> Columns:
        parts = step.parts
        happened, paid = _outcome(step.events, len(played.actions))
        return {
            "action": played.actions.astype(np.int16),
            "propensity": played.propensity,
            "mask": np.packbits(played.mask, axis=1, bitorder="little"),
            "outcome": happened,
            "paid_cents": paid,
            "margin_cents": parts.margin_cents,
            "offer_cost_cents": parts.offer_cost_cents,
            "contact_cost_cents": parts.contact_cost_cents,
            "opt_out_cost_cents": parts.opt_out_cost_cents,
            "net_cents": parts.net_cents(),
            "expected_cents": step.expected_cents,
            "silence_cents": step.silence_cents,
            "elapsed_days": step.elapsed_days,
            "departed": step.departed,
        }


LATENT: Final = (
    "archetype",
    "ripe",
    "served",
    "category",
    "fatigue",
    "reference_discount",
)
"""The hidden state that a trace keeps, as it was before the action."""


def _outcome(events: Events, n: int) -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
    """What was reported, bit by EventKind, uint32 [N], and what was paid, int32 [N]."""
    happened, paid = np.zeros(n, np.uint32), np.zeros(n, np.int32)
    np.bitwise_or.at(happened, events.row, np.uint32(1) << events.kind.astype(np.uint32))
    bought = np.flatnonzero(events.kind == EventKind.BOUGHT)
    np.add.at(paid, events.row[bought], events.amount_cents[bought])
    return happened, paid


def _table(world: SyntheticWorld, columns: Columns) -> pa.Table:
    """Names for numbers, where there are names; the mask as bytes, bit a of them for action a."""
    names = {
        "scene": [scene.name for scene in world.catalogue.scenes],
        "action": [action.name for action in world.catalogue.actions],
        "archetype": [kind.name for kind in world.preset.archetypes],
    }
    arrays = {}
    for name, values in columns.items():
        if name in names:
            arrays[name] = pa.DictionaryArray.from_arrays(values.astype(np.int16), names[name])
        elif name == "time":
            seconds = values.astype(np.int64) + int(EPOCH.timestamp())
            arrays[name] = pa.array(seconds * 1_000_000, pa.timestamp("us", tz="UTC"))
        elif name == "mask":
            width = values.shape[1]
            buffer = pa.py_buffer(np.ascontiguousarray(values))
            kind = pa.binary(width)
            arrays[name] = pa.FixedSizeBinaryArray.from_buffers(kind, len(values), [None, buffer])
        else:
            arrays[name] = pa.array(values)
    return pa.table(arrays)


def preset_hash(preset: Preset) -> str:
    """Hash of a preset's numbers."""
    return hashlib.sha256(repr(preset).encode()).hexdigest()
