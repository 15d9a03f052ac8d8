"""The rows of a trace: what happened in one step of every user, as columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from envs.clock import EPOCH
from envs.decisions import EventKind, Events, Moment, Step
from simulators.signals import Signals
from simulators.world import SyntheticWorld

Columns = dict[str, NDArray[np.generic]]

LATENT: Final = (
    "archetype",
    "ripe",
    "served",
    "category",
    "fatigue",
    "reference_discount",
    "withdrawn",
)
"""The hidden state that a trace keeps, as it was before the action."""
SENSED: Final = ("place_type", "motion", "device", "network", "page", "category", "weather")
"""Signals that a trace keeps where it is told to; it has the time anyway."""
SIGNAL: Final = "signal_"
"""How the columns of signals begin."""
MISSING: Final = "missing"
"""The word for a signal that is not there."""


@dataclass(frozen=True, slots=True)
class Tick:
    """One step of every user of a batch; arrays [N]."""

    active: NDArray[np.bool_]
    """Rows that moved."""
    moment: Moment
    """Where they stood."""
    hidden: Columns
    """What nobody sees of them there; see ``LATENT``."""
    actions: NDArray[np.int64]
    propensity: NDArray[np.float64]
    mask: NDArray[np.bool_]
    step: Step
    signals: Signals | None
    """What an app had of them; nothing where nobody asks."""


def columns_of(tick: Tick) -> Columns:
    """A tick as columns of a trace."""
    step, parts = tick.step, tick.step.parts
    happened, paid = _outcome(step.events, len(tick.actions))
    return {
        "time": tick.moment.now,
        "utc_offset_s": tick.moment.utc_offset_s,
        "scene": tick.moment.scene,
        **tick.hidden,
        **_sensed(tick.signals),
        "action": tick.actions.astype(np.int16),
        "propensity": tick.propensity,
        "mask": np.packbits(tick.mask, axis=1, bitorder="little"),
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


def _sensed(signals: Signals | None) -> Columns:
    if signals is None:
        return {}
    codes = signals.codes()
    return {SIGNAL + name: codes[name] for name in SENSED}


def _outcome(events: Events, n: int) -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
    """What was reported, bit by EventKind, uint32 [N], and what was paid, int32 [N]."""
    happened, paid = np.zeros(n, np.uint32), np.zeros(n, np.int32)
    np.bitwise_or.at(happened, events.row, np.uint32(1) << events.kind.astype(np.uint32))
    bought = np.flatnonzero(events.kind == EventKind.BOUGHT)
    np.add.at(paid, events.row[bought], events.amount_cents[bought])
    return happened, paid


def table_of(world: SyntheticWorld, columns: Columns) -> pa.Table:
    """Names for numbers, where there are names; the mask as bytes, bit a of them for action a."""
    names = _names(world, SIGNAL + SENSED[0] in columns)
    return pa.table(
        {name: _array(name, values, names.get(name)) for name, values in columns.items()}
    )


def _names(world: SyntheticWorld, sensed: bool) -> dict[str, list[str]]:
    """What the numbers of a column stand for, by column."""
    words = world.signals().words if sensed else {}
    return {
        "scene": [scene.name for scene in world.catalogue.scenes],
        "action": [action.name for action in world.catalogue.actions],
        "archetype": [kind.name for kind in world.preset.archetypes],
        "category": list(world.preset.categories),
        **{SIGNAL + name: [*words[name], MISSING] for name in SENSED if sensed},
    }


def _array(name: str, values: NDArray[np.generic], names: list[str] | None) -> pa.Array:
    if names is not None:
        codes = values.astype(np.int16)
        return pa.DictionaryArray.from_arrays(np.where(codes < 0, len(names) - 1, codes), names)
    if name == "time":
        seconds = values.astype(np.int64) + int(EPOCH.timestamp())
        return pa.array(seconds * 1_000_000, pa.timestamp("us", tz="UTC"))
    if name == "mask":
        buffer = pa.py_buffer(np.ascontiguousarray(values))
        kind = pa.binary(values.shape[1])
        return pa.FixedSizeBinaryArray.from_buffers(kind, len(values), [None, buffer])
    return pa.array(values)
