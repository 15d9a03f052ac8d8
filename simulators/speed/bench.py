"""How fast the world is, beside others; where its time goes, and how much memory its users take."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

from envs.errors import InputError
from envs.lineage import lineage
from simulators.draws import Luck, Purpose, user_keys
from simulators.progress import Bar
from simulators.speed.peers import PEERS, peer_speed
from simulators.speed.resident import Memory, measure_memory
from simulators.speed.stopwatch import PARTS, Stopwatch

ENVIRONMENT = "simulators:SceneLift-v0"


@dataclass(frozen=True, slots=True)
class BenchConfig:
    """Measure user-steps a second of one core with random allowed actions.

    A user-step is one decision: the action drawn, the world's step, the user state advanced, the
    next observation, its mask and the reward, in ``OfferVectorEnv``.
    """

    users: int = 8192
    """Users side by side."""
    steps: int = 60
    """Steps of a repeat."""
    repeats: int = 7
    """Repeats; the median counts."""
    seed: int = 0
    """Of the world and of the actions."""
    preset: str = "default"
    """Of the world."""
    peers: Path = Path("runs")
    """Folder with the environments of RecSim and RecoGym (see simulators/speed/peers.py); those
    that are there are measured in turn with the world."""
    memory_users: int = 1_000_000
    """Users whose memory is measured; 0 leaves it out."""
    json: bool = False
    """Print one JSON object."""


@dataclass(frozen=True, slots=True)
class Speed:
    """User-steps a second: the median of some repeats and their extremes.

    The process has one thread, so its processor time is the time of one core; on a busy machine
    it is the fairer clock, while wall time is what a user waits.
    """

    median: float
    """By processor time."""
    lowest: float
    highest: float
    wall_median: float
    """By wall time."""
    repeats: int
    users: int


@dataclass(frozen=True, slots=True)
class Peer:
    """Another simulator on the same core."""

    steps_per_second: float
    """Median by processor time; a step is one decision for one user."""
    ratio: float
    """User-steps of this world in the time of one of its steps."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What the command measures."""

    speed: Speed
    shares: dict[str, float]
    """Share of the time by part, see ``stopwatch.PARTS``."""
    peers: dict[str, Peer | None]
    """None where the peer is not installed."""
    memory: Memory | None
    """None where it was left out, or where the system does not tell."""


class RandomAllowed:
    """Draws an allowed action at random, equally likely, by the luck of (seed, row, tick)."""

    def __init__(self, seed: int, rows: int) -> None:
        self._keys = user_keys(seed, np.arange(rows))
        self._tick = 0

    def actions(self, mask: NDArray[np.int8]) -> NDArray[np.int64]:
        """One allowed action a row, int64 [N]; mask is [N, A]."""
        self._tick += 1
        draw = Luck(self._keys, np.full(len(mask), self._tick)).uniform(Purpose.ACTION)
        passed = np.array(mask.T, np.uint8, order="C")  # [A, N]: long runs are fast
        for action in range(1, len(passed)):
            passed[action] += passed[action - 1]  # allowed up to this one
        left = (draw * passed[-1]).astype(np.uint8)  # how many of them to pass over
        behind = (passed <= left).view(np.uint8)
        actions: NDArray[np.int64] = behind.sum(axis=0, dtype=np.uint8).astype(np.int64)
        return actions


class Player:
    """Plays random allowed actions in the registered vector environment."""

    def __init__(self, config: BenchConfig) -> None:
        self.env: VectorEnv[dict[str, NDArray[np.int8]], NDArray[np.int64], object]
        self.env = gymnasium.make_vec(
            ENVIRONMENT,
            num_envs=config.users,
            vectorization_mode="vector_entry_point",
            preset=config.preset,
        )
        self.chooser = RandomAllowed(config.seed, config.users)
        self._observation, _ = self.env.reset(seed=config.seed)

    def play(self, steps: int) -> None:
        """Take so many steps."""
        for _ in range(steps):
            actions = self.chooser.actions(self._observation["action_mask"])
            self._observation, *_ = self.env.step(actions)


def measure(config: BenchConfig) -> Bench:
    """Measure the environment and its peers; a first repeat warms up.

    Raises:
        InputError: users, steps or repeats are below 1.
    """
    if min(config.users, config.steps, config.repeats) < 1:
        raise InputError("users, steps and repeats have to be 1 or more")
    player = Player(config)
    with Bar("measuring", shown=not config.json) as bar:
        speed, theirs = _speeds(config, player, bar)
        shares, memory = _shares(player, config.steps), _memory(config)
    peers = {peer: _peer(speed.median, speeds) for peer, speeds in theirs.items()}
    return Bench(speed, shares, peers, memory)


def _speeds(config: BenchConfig, player: Player, bar: Bar) -> tuple[Speed, dict[str, list[float]]]:
    """All in turn, so that a busy machine is unkind to all of them."""
    core, wall, size = [], [], config.users * config.steps
    theirs: dict[str, list[float]] = {peer: [] for peer in PEERS}
    player.play(config.steps)
    for done in range(config.repeats):
        started, core_started = time.perf_counter(), time.process_time()
        player.play(config.steps)
        core.append(size / (time.process_time() - core_started))
        wall.append(size / (time.perf_counter() - started))
        for peer, speeds in theirs.items():
            found = peer_speed(config.peers, peer)
            speeds += [] if found is None else [found]
        bar.update((done + 1) / (config.repeats + 1))
    middle, wall_middle = statistics.median(core), statistics.median(wall)
    speed = Speed(middle, min(core), max(core), wall_middle, config.repeats, config.users)
    return speed, theirs


def _peer(ours: float, theirs: list[float]) -> Peer | None:
    if not theirs:
        return None
    median = statistics.median(theirs)
    return Peer(median, ours / median)


def _shares(player: Player, steps: int) -> dict[str, float]:
    """Share of the time by part, measured apart from the speed, which it lowers."""
    choice = ((RandomAllowed, ("actions",)),)
    with Stopwatch({"action choice": choice, **PARTS}) as watch:
        player.play(steps)
    return watch.shares()


def _memory(config: BenchConfig) -> Memory | None:
    users = config.memory_users
    return measure_memory(users, config.seed, config.preset) if users else None


def run_bench(config: BenchConfig) -> None:
    """The command: measure and print."""
    bench = measure(config)
    if config.json:
        print(json.dumps({**asdict(bench), "lineage": lineage(config.seed)}))
        return
    speed, console = bench.speed, Console(highlight=False)
    spread = f"{speed.lowest:,.0f} to {speed.highest:,.0f} in {speed.repeats} repeats"
    wall = f"{speed.wall_median:,.0f} by the wall clock, {speed.users} users"
    console.print(f"{speed.median:,.0f} user-steps/s of one core ({spread}), {wall}")
    for name, peer in bench.peers.items():
        console.print(f"{name}: {_shown(peer)}")
    if bench.memory:
        held = f"{bench.memory.gigabytes_per_million:.2f} GB a million users"
        peak = f"{bench.memory.peak_gigabytes_per_million:.2f} GB where all step at once"
        console.print(f"{held}, {peak}")
    console.print(_table(bench.shares))


def _shown(peer: Peer | None) -> str:
    if peer is None:
        return "not measured, its environment is not there (see simulators/speed/peers.py)"
    return f"{peer.steps_per_second:,.0f} steps/s of one core, ratio {peer.ratio:.0f}"


def _table(shares: dict[str, float]) -> Table:
    table = Table(title="share of the time", box=box.SIMPLE)
    table.add_column("part")
    table.add_column("share", justify="right")
    for part, share in sorted(shares.items(), key=lambda item: -item[1]):
        table.add_row(part, f"{share:.1%}")
    return table
