"""Where a measurement was made: what it ran on, beside what ran."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

from envs.lineage import lineage


def origin(seed: int) -> dict[str, str | int | float]:
    """Commit, command and time, with the machine, its load and its card."""
    return {
        **lineage(seed),
        "machine": machine(),
        "load_average": round(os.getloadavg()[0], 2),
        "card": card(),
    }


def machine() -> str:
    """Processor, cores and memory."""
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return f"{_processor()}, {os.cpu_count()} cores, {pages * size / 2**30:.0f} GiB"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def card() -> str:
    """The accelerator, ``none`` where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "none"
    query = [program, "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True)
    return done.stdout.strip().replace("\n", ", ") or "none"
