"""HTTP/1.1 as load needs it: connections that stay open, and little work for each call."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, cast
from urllib.parse import urlsplit

LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
HEAD_END: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a call got; a chunked body is left as it came."""

    status: int
    body: bytes


class Connection(asyncio.Protocol):
    """One connection with one call at a time."""

    def __init__(self) -> None:
        self.open = True
        self._got = bytearray()
        self._reply: asyncio.Future[Reply] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what is written to."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Add to the reply; hand it over once it is whole."""
        self._got += data
        if (reply := whole_reply(self._got)) is not None and self._reply is not None:
            self._got.clear()
            if not self._reply.done():
                self._reply.set_result(reply)

    def connection_lost(self, error: Exception | None) -> None:
        """A call that waits gets no reply."""
        self.open = False
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(ConnectionError(str(error or "closed before the reply")))

    async def call(self, request: bytes) -> Reply:
        """The reply to a request.

        Raises:
            ConnectionError: the connection ended before it came.
        """
        if self._transport is None or not self.open:
            raise ConnectionError("closed")
        self._reply = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._reply

    def close(self) -> None:
        """End it."""
        self.open = False
        if self._transport is not None:
            self._transport.abort()


def whole_reply(got: bytes | bytearray) -> Reply | None:
    """The reply in ``got``, None while some of it is missing."""
    end = got.find(HEAD_END)
    if end < 0:
        return None
    status, start = int(got[9:12]), end + len(HEAD_END)
    if (length := LENGTH.search(got, 0, end + 2)) is not None:
        size = int(length.group(1))
        return Reply(status, bytes(got[start : start + size])) if len(got) >= start + size else None
    if CHUNKED.search(got, 0, end + 2):
        return Reply(status, bytes(got[start:])) if got.endswith(b"0\r\n\r\n") else None
    return Reply(status, b"")


class Client:
    """Calls to one service, over connections that are opened as they are needed."""

    def __init__(self, url: str, timeout_s: float = 5.0, key: str = "") -> None:
        """Say whom to call.

        Args:
            url: address of the service.
            timeout_s: how long a call may take.
            key: API key to show.
        """
        parts = urlsplit(url)
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        shown = f"authorization: Bearer {key}\r\n" if key else ""
        self._head = f"host: {parts.netloc}\r\n{shown}content-type: application/json\r\n".encode()
        self._timeout_s = timeout_s
        self._idle: list[Connection] = []

    async def call(self, method: str, path: str, body: bytes = b"") -> Reply:
        """The reply to a call.

        Raises:
            OSError: no connection, or it ended before the reply came.
            TimeoutError: the reply took too long.
        """
        request = b"%s %s HTTP/1.1\r\n%scontent-length: %d\r\n\r\n%s" % (
            *(method.encode(), path.encode()),
            *(self._head, len(body), body),
        )
        connection = None
        try:
            async with asyncio.timeout(self._timeout_s):
                connection = await self._connection()
                reply = await connection.call(request)
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        self._idle.append(connection)
        return reply

    async def post(self, path: str, body: bytes) -> Reply:
        """The reply to a POST; see ``call``."""
        return await self.call("POST", path, body)

    async def patient_post(self, path: str, body: bytes) -> Reply:
        """As ``post``, tried once more when the connection broke, as the typed client does."""
        with suppress(ConnectionError):
            return await self.post(path, body)
        return await self.post(path, body)

    async def _connection(self) -> Connection:
        while self._idle:
            if (idle := self._idle.pop()).open:
                return idle
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(Connection, self._host, self._port)
        return made

    def close(self) -> None:
        """End all connections."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()
