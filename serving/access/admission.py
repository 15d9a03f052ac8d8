"""Who is let in: a known key, a role that suffices, and not too often."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import Request

from serving.access.limits import Limit
from serving.security import Keys, Role
from serving.words.failures import Failure

KEY_HEADERS: Final = ("x-api-key", "ocp-apim-subscription-key")
"""Our own, and that of Azure Personalizer's clients."""
ROWS_A_CALL: Final = 100
"""A batch counts as one call for each started hundred of its offers or events."""
GUESSES_A_SECOND: Final = 10.0
"""Calls with an unknown key that are answered, for each address that they come from."""
GUESSES_AT_ONCE: Final = 100.0


class Limits:
    """How often callers may call this replica."""

    def __init__(self, rate: float) -> None:
        """Limits.

        Args:
            rate: calls a second for each key, or each address where no keys are configured; 0 for
                as many as they like.
        """
        self.known = Limit(rate)
        self.unknown = Limit(GUESSES_A_SECOND, GUESSES_AT_ONCE)


Admit = Callable[[Request], Awaitable[None]]


def admit(keys: Keys, limits: Limits, least: Role) -> Admit:
    """A dependency that lets only callers of a role or a stronger one pass, and not too often.

    Without keys everybody passes, since only this machine reaches the service then, but for web
    pages from elsewhere that a browser on it has open.

    The dependency raises a ``Failure``: 401 ``unauthorized`` for no key of ours, 403 ``forbidden``
    for one of a weaker role, 429 ``rate_limited``.
    """

    async def pass_or_refuse(request: Request) -> None:
        if not keys.entries:
            _require_own_page(request)
            _count(limits.known, request, _address(request))
            return
        key = keys.find(shown_key(request))
        if key is None:
            _count(limits.unknown, request, _address(request))
            raise Failure(
                401,
                "unauthorized",
                "send a known API key as Authorization: Bearer KEY",
                headers={"WWW-Authenticate": "Bearer"},
            )
        _count(limits.known, request, key.name)
        if key.role < least:
            raise Failure(
                403, "forbidden", f"this call needs a key of the role {least.name.lower()}"
            )

    return pass_or_refuse


def charge(request: Request, limits: Limits, rows: int) -> None:
    """Let a call that was admitted count by the offers or events in its body.

    It is never refused for them any more: a caller who takes much at once waits afterwards.
    """
    limits.known.charge(request.state.caller, (rows - 1) // ROWS_A_CALL)


def shown_key(request: Request) -> str:
    """The key that a caller shows, empty for none."""
    for name in KEY_HEADERS:
        shown = request.headers.get(name)
        if shown is not None:
            return shown
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def _require_own_page(request: Request) -> None:
    """Refuse what a browser sends for a page that is not ours; other callers never say this."""
    if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        raise Failure(403, "forbidden", "without API keys, pages of other sites may not call")


def _count(limit: Limit, request: Request, caller: str) -> None:
    request.state.caller = caller
    wait_s = limit.take(caller)
    if wait_s > 0:
        seconds = math.ceil(wait_s)
        raise Failure(
            429,
            "rate_limited",
            f"more than {limit.rate:g} calls a second: call again in {seconds} s",
            headers={"Retry-After": str(seconds)},
        )


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
