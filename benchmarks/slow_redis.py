"""A wire to Redis that can be made slow: SIGUSR1 holds every reply back, SIGUSR2 no longer."""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

import tyro


@dataclass(frozen=True, slots=True)
class SlowRedisConfig:
    """Pass bytes between clients and a Redis, as slowly as told."""

    port: int
    """Port to listen on, at 127.0.0.1."""
    redis_port: int
    """Port of the Redis, at 127.0.0.1."""
    delay_ms: float = 200.0
    """How long replies are held back while it is slow."""


class Wire:
    """All connections to one Redis."""

    def __init__(self, config: SlowRedisConfig) -> None:
        self._config = config
        self.delay_s = 0.0

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes both ways until one side ends."""
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._config.redis_port)
        except OSError:
            writer.close()
            return
        passing = {
            asyncio.create_task(self._ask(reader, back)),
            asyncio.create_task(self._answer(there, writer)),
        }
        _, others = await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        for other in others:
            other.cancel()
        for end in (writer, back):
            end.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Replies in their order, each after its delay; several may be on their way."""
        loop, held, more = asyncio.get_running_loop(), deque[tuple[float, bytes]](), asyncio.Event()

        async def pass_on() -> None:
            while True:
                await more.wait()
                due, data = held[0]
                if (early := due - loop.time()) > 0:
                    await asyncio.sleep(early)
                held.popleft()
                if not held:
                    more.clear()
                writer.write(data)

        passing = asyncio.create_task(pass_on())
        try:
            with suppress(OSError):
                while data := await reader.read(65_536):
                    held.append((loop.time() + self.delay_s, data))
                    more.set()
        finally:
            passing.cancel()


async def serve(config: SlowRedisConfig) -> None:
    """Pass bytes until SIGTERM."""
    wire, loop, stopped = Wire(config), asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, setattr, wire, "delay_s", config.delay_ms / 1000)
    loop.add_signal_handler(signal.SIGUSR2, setattr, wire, "delay_s", 0.0)
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    async with await asyncio.start_server(wire.connect, "127.0.0.1", config.port):
        print(f"The wire begins at http://127.0.0.1:{config.port}", flush=True)
        await stopped.wait()


def main() -> None:
    """Pass bytes."""
    asyncio.run(serve(tyro.cli(SlowRedisConfig, prog="python -m benchmarks.slow_redis")))


if __name__ == "__main__":
    main()
