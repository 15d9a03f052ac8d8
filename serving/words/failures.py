"""What a caller is told when something is wrong: one shape, a code for machines, a remedy."""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route

logger = logging.getLogger(__name__)

PARAMETER: Final = re.compile(r"\{[^}]*\}")
"""A part of a route's path that stands for what a caller puts there."""

LONGEST_SHOWN = 80
LONGEST_MESSAGE = 400
LONGEST_FIELD = 160


class Failure(Exception):
    """A call that cannot be answered as asked."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code = status, code
        self.message, self.field = _cut(message, LONGEST_MESSAGE), _cut(field, LONGEST_FIELD)
        self.headers = dict(headers or {})


class FailureDetail(BaseModel):
    """What went wrong."""

    code: str
    """For machines; stays the same when the message is reworded."""
    message: str
    """For people; names what was received and the remedy."""
    field: str | None
    """The field it is about, such as ``events.3.time``."""


class FailureBody(BaseModel):
    """The body of every answer from 400 on."""

    error: FailureDetail


def failed(failure: Failure) -> Response:
    """The answer that tells the failure."""
    content = {"error": {"code": failure.code, "message": failure.message, "field": failure.field}}
    return Response(json.dumps(content), failure.status, failure.headers, "application/json")


def misfit(error: ValidationError) -> Failure:
    """What a body has wrong, from the first thing that is."""
    first = error.errors(include_url=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return Failure(400, "malformed_json", f"the body is not JSON: {first['msg']}")
    return _wrong_field(first["type"], first["loc"], first["msg"], first.get("input"))


def _wrong_field(kind: str, place: Sequence[int | str], message: str, value: Any) -> Failure:
    field = ".".join(str(step) for step in place) or None
    if kind == "extra_forbidden":
        return Failure(422, "unknown_field", f"there is no field {field!r}: leave it out", field)
    if kind == "missing":
        return Failure(422, "missing_field", f"{field} is required", field)
    shown = shortened(value)
    return Failure(422, "invalid_value", f"{field or 'the body'}: {message}, got {shown}", field)


def shortened(value: object) -> str:
    """The value as a message may show it: never long, never with odd characters."""
    text = ascii(value) if isinstance(value, str | int | float | bool | None) else _kind(value)
    return _cut(text, LONGEST_SHOWN)


Text = TypeVar("Text", str, str | None)


def _cut(text: Text, most: int) -> Text:
    """The beginning of a text: a caller need not read back all that was sent."""
    return text if text is None or len(text) <= most else text[: most - 3] + "..."


def _kind(value: object) -> str:
    return "a list" if isinstance(value, list) else "an object"


def _frames(error: BaseException | None) -> str:
    """Where an error came from, without what it says: that may quote what a caller sent."""
    lines = []
    while error is not None:
        lines += [f"{type(error).__name__}\n", *traceback.format_tb(error.__traceback__)]
        error = error.__cause__ or error.__context__
    return "".join(lines)


def _methods(app: FastAPI, path: str) -> set[str]:
    """What may be done with a path, by the routes that name the most of it."""
    routes = [
        (len(PARAMETER.sub("", route.path)), route.methods or ())
        for route in app.routes
        if isinstance(route, Route) and route.path_regex.match(path)
    ]
    most = max((named for named, _ in routes), default=0)
    return {method for named, methods in routes if named == most for method in methods}


def handle_failures(app: FastAPI) -> None:
    """Let the application tell every failure in the one shape."""

    async def on_failure(request: Request, error: Exception) -> Response:
        assert isinstance(error, Failure), "registered for failures only"
        return failed(error)

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException), "registered for HTTP errors only"
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
        where = f"{request.method} {request.url.path}"
        message = f"{error.detail}: {shortened(where)}"
        headers = error.headers
        if error.status_code == 405:
            headers = {"Allow": ", ".join(sorted(_methods(app, request.url.path)))}
        return failed(Failure(error.status_code, code, message, headers=headers))

    async def on_misfit(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError), "registered for misfits only"
        first = error.errors()[0]
        return failed(_wrong_field(first["type"], first["loc"], first["msg"], first.get("input")))

    async def on_surprise(request: Request, error: Exception) -> Response:
        route = getattr(request.scope.get("route"), "path", "no known path")
        logger.error("unexpected error at %s: %s", route, _frames(error))
        return failed(Failure(500, "internal_error", "unexpected error, kept in the log"))

    app.add_exception_handler(Failure, on_failure)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_misfit)
    app.add_exception_handler(Exception, on_surprise)
