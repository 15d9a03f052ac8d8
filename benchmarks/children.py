"""The programs the demo starts: each in a session of its own, ended with all it started."""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

ADDRESS = re.compile(r"http://\S+")
POLITE_SECONDS = 30.0


class ChildError(Exception):
    """A program the demo needs ended badly, or never became ready."""


class Child:
    """One program of ours, running; leaving the ``with`` block ends it and all it started."""

    def __init__(
        self,
        title: str,
        arguments: Sequence[str],
        log: Path | None = None,
        quiet: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start ``python -m arguments`` in a session of its own, out of the terminal's Ctrl-C.

        Args:
            title: what errors call it.
            arguments: the module and its arguments.
            log: where its output goes instead of the terminal.
            quiet: drop its result and keep its progress.
            environment: its variables; those of this process when left out.
        """
        self._title = title
        self._log = log
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if log else subprocess.DEVNULL if quiet else None,
            stderr=subprocess.STDOUT if log else None,
            text=True,
            start_new_session=True,
            env=environment,
        )
        self._reader: threading.Thread | None = None
        if log:
            self._reader = threading.Thread(target=self._keep_output, args=(log,), daemon=True)
            self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """Process id of the program itself."""
        return self._process.pid

    def finish(self) -> None:
        """Wait until the program has done its work.

        Raises:
            ChildError: it ended with another exit status than 0.
        """
        status = self._process.wait()
        if status != 0:
            raise ChildError(f"{self._title} failed with exit status {status}{self._last_words()}")

    def address(self, patience_seconds: float) -> str:
        """The address that the program prints once it is ready.

        Raises:
            ChildError: it ended, or printed none in time.
        """
        while True:
            try:
                line = self._lines.get(timeout=patience_seconds)
            except queue.Empty:
                raise ChildError(
                    f"{self._title} gave no address in {patience_seconds:g} s{self._last_words()}"
                ) from None
            if line is None:
                status = self._process.wait()
                raise ChildError(
                    f"{self._title} ended with exit status {status} before it was ready"
                    f"{self._last_words()}"
                )
            if found := ADDRESS.search(line):
                return found.group().rstrip("/.,;")

    def wait(self) -> None:
        """Stay until the program ends by itself.

        Raises:
            ChildError: it did.
        """
        status = self._process.wait()
        raise ChildError(f"{self._title} ended by itself with exit status {status}")

    def end(self) -> None:
        """Ask the program to end, then insist; does nothing when it has ended already."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(POLITE_SECONDS)
        for left in self.processes():
            with suppress(ProcessLookupError):  # it ended while we looked
                os.kill(left, signal.SIGKILL)
        self._process.wait()
        if self._reader is not None:
            self._reader.join(POLITE_SECONDS)

    def processes(self) -> Iterator[int]:
        """What runs of all that the program started, whatever group it moved to.

        The session is the program's own, so nothing else is ever in it.
        """
        for entry in Path("/proc").iterdir():
            with suppress(ValueError, ProcessLookupError):
                if os.getsid(int(entry.name)) == self._process.pid:
                    yield int(entry.name)

    def _keep_output(self, log: Path) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as said, log.open("w") as kept:
            for line in said:
                kept.write(line)
                kept.flush()
                self._lines.put(line)
        self._lines.put(None)

    def _last_words(self) -> str:
        if self._log is None:
            return ""
        lines = [line.strip() for line in self._log.read_text().splitlines() if line.strip()]
        return f": {lines[-1]} (all of it: {self._log})" if lines else f" (log: {self._log})"
