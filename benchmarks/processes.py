"""The processes of a service that is up, found by what their command lines say."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

REPLICA = "ServeReplica"
"""In the title that Ray gives a replica."""
WRITER = "serving\0writer"
"""In the command line of the journal writer."""


def processes(root: int, words: str) -> list[int]:
    """Processes that ``root`` has started, itself or through others, and that are called so.

    Args:
        root: process id; what runs in its session counts as started by it.
        words: what the command line has to hold, its arguments with zero bytes between.
    """
    return sorted(pid for pid in started_by(root) if words in command_line(pid))


def started_by(root: int) -> set[int]:
    """Process ids of all that runs below a process or in its session, without itself."""
    parents: dict[int, int] = {}
    found: set[int] = set()
    for pid in _running():
        with suppress(OSError, IndexError, ValueError):
            # The name in brackets may hold anything; what follows it are numbers.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            parents[pid] = int(fields[1])
            if int(fields[3]) == root:
                found.add(pid)
    grown = True
    while grown:
        below = {pid for pid, parent in parents.items() if parent in found or parent == root}
        grown = not below <= found
        found |= below
    return found - {root}


def _running() -> Iterable[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdecimal())


def command_line(pid: int) -> str:
    """The command line with zero bytes between its arguments; empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


def resident_bytes(pid: int) -> int:
    """Memory that a process holds, 0 when it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
