"""Replay: a trace made again bit for bit, or the same luck met by another policy."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from envs.catalogue import Catalogue, parse_catalogue
from envs.decisions import Policy
from envs.encoding import Encoding
from simulators.make import world_factory
from simulators.presets import find_preset
from simulators.progress import Bar
from simulators.rollout import BATCH, Progress, preset_hash, rollout
from simulators.trace import Trace, TraceError, read_trace, write_trace
from simulators.value import Estimate, paired_difference, value_per_user_week
from simulators.world import SyntheticWorld

LoadPolicy = Callable[[str, Catalogue], Policy]
"""Makes a policy of what a person wrote: the name of a baseline or the path of a bundle."""


@dataclass(frozen=True, slots=True)
class ReplayConfig:
    """Make a trace again, bit for bit; with --policy, ask what another policy had done."""

    trace: Annotated[Path, tyro.conf.Positional]
    """A trace of ``python -m simulators run``, a file or a folder."""
    policy: str | None = None
    """Another policy for the same users and the same luck: a baseline or a bundle."""
    out: Path | None = None
    """Where to keep the other policy's trace."""
    json: bool = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """Cents a user and week, under the recorded policy, the other one, and the difference."""

    policy: str
    recorded: Estimate
    other: Estimate
    difference: Estimate
    """Of what fell, user by user."""
    expected_difference: Estimate
    """Of its conditional means given the hidden state: the same mean, less noise."""


def world_of(trace: Trace) -> SyntheticWorld:
    """The world in which a trace was made.

    Raises:
        TraceError: preset, catalogue or encoding are not what they were.
    """
    info = trace.info
    preset, catalogue = find_preset(info.preset), parse_catalogue(info.catalogue, "trace")
    encoding = Encoding(catalogue)
    remedy = f"check out commit {info.lineage.get('commit', 'unknown')} to make it again"
    if preset_hash(preset) != info.preset_hash:
        raise TraceError(f"preset {info.preset!r} has other numbers than the trace's: {remedy}")
    if (catalogue.hash, encoding.hash) != (info.catalogue_hash, info.encoding_hash):
        raise TraceError(f"catalogue or encoding differ from the trace's: {remedy}")
    rows = min(BATCH, len(trace.users()))
    return world_factory(preset, catalogue, info.start, info.stress)(rows, info.seed)


def again(trace: Trace, policy: Policy, spec: str, progress: Progress | None = None) -> Trace:
    """The trace's users and luck once more, under a policy."""
    info = trace.info
    world = world_of(trace)
    return rollout(
        *(world, policy, trace.users(), info.days, info.budget_price, spec, progress),
        stress=info.stress,
        signals=info.signals,
    )


def compare(trace: Trace, other: Trace) -> Counterfactual:
    """What the other policy made of the same users and luck."""
    return Counterfactual(
        other.info.policy_name,
        value_per_user_week(trace),
        value_per_user_week(other),
        paired_difference(trace, other),
        paired_difference(trace, other, "expected_cents"),
    )


def run_replay(config: ReplayConfig, load_policy: LoadPolicy) -> int:
    """The command: print whether the hashes agree (1 when not), or the paired difference."""
    trace = read_trace(config.trace)
    catalogue = world_of(trace).catalogue
    spec = trace.info.policy if config.policy is None else config.policy
    policy = load_policy(spec, catalogue)
    with Bar("replaying", shown=not config.json) as bar:
        now = again(trace, policy, spec, bar.update)
    if config.out is not None:
        write_trace(now, config.out)
    if config.policy is not None:
        _print_difference(compare(trace, now), trace, config.json)
        return 0
    _print_hashes(trace, now, config.json)
    return 0 if now.info.content_hash == trace.info.content_hash else 1


def _print_hashes(trace: Trace, now: Trace, as_json: bool) -> None:
    recorded, made = trace.info.content_hash, now.info.content_hash
    result = {"recorded": recorded, "now": made, "equal": recorded == made}
    if as_json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:9} {value}")


def _print_difference(found: Counterfactual, trace: Trace, as_json: bool) -> None:
    if as_json:
        print(json.dumps({**asdict(found), "recorded_policy": trace.info.policy_name}))
        return
    title = f"{found.recorded.users} users x {trace.info.days:g} days, same luck"
    table = Table("", "cents a user-week", "95 % interval", title=title)
    rows = (
        (trace.info.policy_name, found.recorded),
        (found.policy, found.other),
        ("difference", found.difference),
        ("difference, conditional means", found.expected_difference),
    )
    for name, estimate in rows:
        interval = f"{estimate.low:.2f} to {estimate.high:.2f}"
        table.add_row(name, f"{estimate.mean:.2f}", interval)
    Console().print(table)
