"""Routes on the hot path: described as all others are, answered without a search for arguments."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute

Answer = Callable[[Request], Awaitable[Response]]


class Direct(APIRoute):
    """A route whose function takes the request and gives the response, and lets callers in itself.

    Finding the arguments of a function, and what they depend on, takes FastAPI as long as a
    decision takes us. What is said of the call in OpenAPI is the same.
    """

    def get_route_handler(self) -> Any:
        """The function itself."""
        return self.endpoint


def post(app: FastAPI, path: str, **options: Any) -> Callable[[Answer], Answer]:
    """As ``app.post``, with a direct route."""

    def add(function: Answer) -> Answer:
        route = partial(app.router.add_api_route, route_class_override=Direct)
        route(path, function, methods=["POST"], **options)
        return function

    return add
