"""The journal writer as a process of its own, started again when it dies."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 10.0
"""Between the end of a writer and the start of the next; doubled each time, up to this."""
STEADY_S: Final = 10.0
"""A writer that has lived so long was started well."""
END_WITHIN_S: Final = 60.0
NICENESS: Final = 10
"""Callers wait for decisions, and nobody for the journal."""


class WriterProcess:
    """Keeps ``python -m serving writer`` going for one run folder."""

    def __init__(self, run_dir: Path, catalogue: Path, redis_url: str) -> None:
        """Start it.

        Args:
            run_dir: the run folder.
            catalogue: file of the catalogue.
            redis_url: goes by the environment: command lines are there for all to read.
        """
        self._command = [
            *(sys.executable, "-m", "serving", "writer", "--json"),
            *("--run-dir", str(run_dir), "--catalogue", str(catalogue)),
            *("--parent", str(os.getpid())),
        ]
        self._environment = os.environ | {"REDIS_URL": redis_url}
        self._stopping = threading.Event()
        self.process = self._start()
        self._thread = threading.Thread(target=self._watch, name="journal writer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let it write what waits, and end it."""
        self._stopping.set()
        self._thread.join()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(END_WITHIN_S)
            except subprocess.TimeoutExpired:
                logger.warning("the journal writer did not end in time and is killed")
                self.process.kill()
                self.process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is ours to handle: it goes after the replicas
        )
        with suppress(OSError):  # it has ended already
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        return process

    def _watch(self) -> None:
        """Start another when one has ended, but not too often."""
        pause_s, started_s = FIRST_PAUSE_S, time.monotonic()
        while not self._stopping.wait(0.1):
            if self.process.poll() is None:
                continue
            if time.monotonic() - started_s >= STEADY_S:
                pause_s = FIRST_PAUSE_S
            logger.warning(
                "the journal writer ended with status %d: another is started in %.1f s",
                self.process.returncode,
                pause_s,
            )
            if self._stopping.wait(pause_s):
                return
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            self.process, started_s = self._start(), time.monotonic()
