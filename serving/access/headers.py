"""Headers that every answer carries, whatever was answered, and errors that end here."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Headers = tuple[tuple[bytes, bytes], ...]

ALWAYS: Final[Headers] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
NOT_STORED: Final[Headers] = ((b"cache-control", b"no-store"),)
"""Answers are about one user and one moment."""
SHOWS_NOTHING: Final[Headers] = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
SHOWS_DOCUMENTATION: Final[Headers] = (
    (
        b"content-security-policy",
        # The page starts its scripts by a line of its own, and its styles carry pictures.
        b"default-src 'none'; script-src 'self' 'unsafe-inline'; "
        b"style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
)
SECURE_FROM_NOW_ON: Final[Headers] = ((b"strict-transport-security", b"max-age=31536000"),)
"""A year; without subdomains, which are not ours to speak for."""

DATA: Final = ALWAYS + NOT_STORED + SHOWS_NOTHING
PAGE: Final = ALWAYS + NOT_STORED + SHOWS_DOCUMENTATION
FILE: Final = ALWAYS + SHOWS_NOTHING
PAGES: Final = "/docs"
FILES: Final = "/static-offline-docs/"


class SafeHeaders:
    """The whole application, its answers to errors included, with headers for safety.

    An error that the application has answered ends here: a server would write it into its log, and
    what an error says may quote what a caller sent.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        extra = _of(scope)
        started = False

        async def send_safely(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), *extra]
            await send(message)

        try:
            await self.app(scope, receive, send_safely)
        except Exception:
            if not started:
                raise


def _of(scope: Scope) -> Headers:
    path = scope["path"]
    if path.startswith(PAGES):
        headers = PAGE
    elif path.startswith(FILES):
        headers = FILE
    else:
        headers = DATA
    return headers + SECURE_FROM_NOW_ON if _over_tls(scope) else headers


def _over_tls(scope: Scope) -> bool:
    """Whether the caller spoke TLS, with this process or with a proxy in front that says so."""
    if scope["scheme"] == "https":
        return True
    for name, value in scope["headers"]:
        if name == b"x-forwarded-proto":
            return bool(value.split(b",")[0].strip().lower() == b"https")
    return False
