"""The typed client: one call to ask, one to tell; retries that do no harm, and a safe default.

``Client`` waits; ``AsyncClient`` is the same for asyncio. A question that cannot be asked is
answered with silence, flagged ``degraded``; events that are not known to be kept raise ``NotKept``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, Unpack

import httpx
from tenacity import Retrying

from serving.client import calls
from serving.client.asynchronous import AsyncClient
from serving.client.words import (
    Ask,
    Content,
    Decision,
    Details,
    Explanation,
    Happening,
    NotKept,
    Refused,
    Told,
    Unreachable,
)

__all__ = [
    "Ask",
    "AsyncClient",
    "Client",
    "Content",
    "Decision",
    "Explanation",
    "Happening",
    "NotKept",
    "Refused",
    "Told",
    "Unreachable",
]


class Client:
    """A service, for programs that wait; threads may share it.

    Args:
        url: of the service, such as http://127.0.0.1:8000.
        key: an API key of the role app, if the service asks for one.
        timeout_s: how long one question may take in all, with every retry and pause.
        patience_s: the same for each call of everything else: batches, events, activations,
            look-ups.
    """

    def __init__(
        self,
        url: str,
        key: str = "",
        timeout_s: float = calls.TIMEOUT_S,
        patience_s: float = calls.PATIENCE_S,
    ) -> None:
        self.timeout_s, self.patience_s = timeout_s, patience_s
        self._http = httpx.Client(**calls.connection(url, key))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def offer(
        self,
        user_id: str,
        scene: str | None = None,
        request_id: str | None = None,
        **details: Unpack[Details],
    ) -> Decision:
        """What to offer to one user now; ``Ask`` explains the arguments.

        Raises:
            Refused: a mistake in what was asked. An outage raises nothing: it is silence.
        """
        return self.answer(Ask.of(user_id, scene, request_id, details))

    def answer(self, ask: Ask) -> Decision:
        """The same for a question that was made before.

        Raises:
            Refused: a mistake in what was asked.
        """
        try:
            return calls.decided(ask, self._send(calls.asking(ask), self.timeout_s))
        except Unreachable as error:
            return Decision.safe(ask.request_id, str(error))

    def offers(self, asks: Sequence[Ask]) -> list[Decision]:
        """Many questions, in calls of 1,000; the answers in their order.

        Raises:
            Refused: a mistake in one of them.
        """
        answers: list[Decision] = []
        for start in calls.starts(len(asks)):
            part = asks[start : start + calls.MOST_AT_ONCE]
            try:
                told = self._send(calls.asking_all(part), self.patience_s)
                answers += calls.decided_all(part, told)
            except Unreachable as error:
                answers += [Decision.safe(ask.request_id, str(error)) for ask in part]
        return answers

    def tell(self, events: Sequence[Happening]) -> Told:
        """Tell what happened, in calls of 1,000.

        Raises:
            NotKept: some of them are not known to be kept; it carries them.
            Refused: a mistake in one of them; nothing of the same call was kept.
        """
        accepted = repeated = 0
        for start in calls.starts(len(events)):
            part = events[start : start + calls.MOST_AT_ONCE]
            try:
                told = calls.kept(self._send(calls.telling(part), self.patience_s))
            except Unreachable as error:
                raise NotKept(str(error), events[start:]) from error
            accepted, repeated = accepted + told.accepted, repeated + told.repeated
        return Told(accepted, repeated)

    def activate(self, decision_id: str) -> None:
        """Say that a deferred decision was shown; said again, it counts once.

        Raises:
            Refused: no such decision, or one that has lapsed.
            Unreachable: it is not known whether it was counted; say it again.
        """
        self._send(calls.activating(decision_id), self.patience_s)

    def decision(self, decision_id: str) -> Explanation:
        """A decision, why it was taken, and what came of it.

        Raises:
            Refused: no such decision.
            Unreachable: the service does not answer.
        """
        return calls.explained(self._send(calls.looking_up(decision_id), self.patience_s))

    def _send(self, call: calls.Call, total_s: float) -> Any:
        """The JSON that answers a call, after as many tries as there is time for."""
        until_s = time.monotonic() + total_s
        for attempt in Retrying(**calls.retrying(total_s)):
            with attempt:
                return self._try(call, until_s)
        raise AssertionError("the last try returns or raises")

    def _try(self, call: calls.Call, until_s: float) -> Any:
        extensions, content = {"timeout": calls.TimeLeft(until_s)}, bytearray()
        try:
            with self._http.stream(
                call.method, call.path, content=call.content, extensions=extensions
            ) as answer:
                for piece in answer.iter_bytes():
                    content += piece
                    if time.monotonic() > until_s:
                        raise calls.Later("the answer came too slowly")
        except httpx.HTTPError as error:
            raise calls.Later(f"no answer: {error!r}") from error
        return calls.understood(answer.status_code, answer.headers, bytes(content))
