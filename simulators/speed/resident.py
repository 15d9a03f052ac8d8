"""How much memory a world's users take: run as a process of its own, which holds nothing else."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import resource
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from simulators.world import SyntheticWorld


@dataclass(frozen=True, slots=True)
class Memory:
    """Gigabytes that a million users take, beyond the program itself."""

    users: int
    gigabytes_per_million: float
    """World and user state, after a step, once what was freed is given back to the system."""
    peak_gigabytes_per_million: float
    """The most that was resident while all of them were made or took a step at once."""


def measure_memory(users: int, seed: int, preset: str) -> Memory | None:
    """Make a world of so many users in a fresh process; None where the system does not tell."""
    if not Path("/proc/self/statm").exists():
        return None
    command = [sys.executable, "-m", __name__, str(users), str(seed), preset]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return Memory(**json.loads(ran.stdout))


def _resident_bytes() -> int:
    with contextlib.suppress(AttributeError):  # only glibc keeps freed memory and can return it
        ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _step(world: SyntheticWorld) -> None:
    world.step(np.zeros(len(world.departed), np.int64))


def main(users: int, seed: int, preset: str) -> None:
    """Print the memory of so many users as JSON."""
    _step(SyntheticWorld(10, seed, preset))  # tables that all worlds share
    gc.collect()
    before = _resident_bytes()
    world = SyntheticWorld(users, seed, preset)
    _step(world)
    gc.collect()
    held = _resident_bytes() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    memory = Memory(users, held / users / 1e3, peak / users / 1e3)
    print(json.dumps(asdict(memory)))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
