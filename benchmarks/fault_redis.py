"""A Redis that may be killed, stopped and started again where it was."""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from benchmarks.children import ChildError
from serving.ingress import free_ports
from serving.store.redis_server import bundled_program

READY_SECONDS = 60.0


class FaultyRedis:
    """A redis-server of the benchmark's own, on one port, with an append-only file."""

    def __init__(self, folder: Path, fsync: str) -> None:
        """Start it.

        Args:
            folder: where it keeps its data.
            fsync: when it sees its file safe on disk: ``always`` or ``everysec``.

        Raises:
            ChildError: it does not answer.
        """
        folder.mkdir(parents=True)
        self._folder = folder
        self._fsync = fsync
        self.port = free_ports(1)[0]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self._folder.resolve()),
            "appendonly": "yes",
            "appendfsync": self._fsync,
            "save": "",
            "daemonize": "no",
            "logfile": "redis.log",
            "maxmemory-policy": "noeviction",
        }
        arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
        process = subprocess.Popen(
            [str(bundled_program()), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            cwd=self._folder,
            start_new_session=True,
        )
        deadline = time.monotonic() + READY_SECONDS
        with redis.Redis.from_url(self.url, socket_timeout=1.0, retry=None) as client:
            while time.monotonic() < deadline and process.poll() is None:
                with suppress(redis.RedisError):
                    client.ping()
                    return process
                time.sleep(0.02)
        process.kill()
        raise ChildError(f"redis-server does not answer: see {self._folder / 'redis.log'}")

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait()

    def start_again(self) -> None:
        """Start it anew on what its file has.

        Raises:
            ChildError: it does not answer.
        """
        self._process = self._started()

    def stop(self) -> None:
        """Let it stand still, its connections open."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it run again."""
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
