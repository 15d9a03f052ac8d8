"""What stands between a client and a service in tests: it drops, delays, or answers itself."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

PIECE = 65_536


class Wire:
    """A proxy for TCP on a free port of this machine; ``drops`` says what it breaks."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.drops = 0
        """How many connections to drop before one is let through; negative: all of them."""
        self.drop_answers = 0
        """How many requests to let through whose answer is dropped."""
        self.seen = 0
        """Connections so far."""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener is closed at the end
            while True:
                caller, _ = self.listener.accept()
                self.seen += 1
                if self.drops:
                    self.drops -= 1
                    caller.close()
                else:
                    threading.Thread(target=self._carry, args=(caller,), daemon=True).start()

    def _carry(self, caller: socket.socket) -> None:
        with caller, socket.create_connection(self.target) as service:
            threading.Thread(target=_pump, args=(caller, service), daemon=True).start()
            with suppress(OSError):
                while answer := service.recv(PIECE):
                    if self.drop_answers:
                        self.drop_answers -= 1
                        break
                    caller.sendall(answer)
                caller.shutdown(socket.SHUT_RDWR)  # its pump still holds it open

    def close(self) -> None:
        """Let nobody through any more."""
        self.listener.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):  # one of them hung up
        while piece := source.recv(PIECE):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def wire(url: str) -> Iterator[Wire]:
    """A proxy in front of a service."""
    host, _, port = url.removeprefix("http://").partition(":")
    proxy = Wire((host, int(port)))
    try:
        yield proxy
    finally:
        proxy.close()


@contextmanager
def scripted(*answers: Callable[[socket.socket], None]) -> Iterator[str]:
    """The URL of a server that gives one answer after another, each on a connection of its own."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):  # the client hung up, or the listener is closed
            for answer in answers:
                caller, _ = listener.accept()
                with caller, suppress(OSError):
                    caller.recv(PIECE)
                    answer(caller)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def says(status: int, body: bytes = b"{}", *headers: str) -> Callable[[socket.socket], None]:
    """An answer."""
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", "connection: close", *headers]
    text = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    return lambda caller: caller.sendall(text)
