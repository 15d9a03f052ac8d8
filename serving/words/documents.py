"""The OpenAPI description: what calls take, how a key is shown, which failures there can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from serving.words.failures import FailureBody

JSON: Final = "application/json"
REFERENCE: Final = "#/components/schemas/{model}"
_TAKEN: Final = "x-taken"

Responses = dict[int | str, dict[str, Any]]

MEANINGS: Final = {
    400: "The body is not JSON",
    401: "No known API key",
    403: "The key's role is not enough",
    404: "Not known",
    405: "No such method",
    408: "The body did not come in time",
    409: "In conflict with what is kept",
    413: "The body is too large",
    415: "Not JSON by its headers",
    422: "A value that cannot be used",
    429: "Too many calls",
    500: "An unexpected error, kept in the log",
    503: "Not possible at the moment: try again",
}


def failures(*statuses: int) -> Responses:
    """The failures that a call may answer with, for ``responses=``; the usual ones included."""
    usual = (401, 403, 405, 422, 429, 500)
    return {
        status: {"model": FailureBody, "description": MEANINGS[status]}
        for status in sorted({*usual, *statuses})
    }


BODY: Final = (400, 408, 413, 415)
"""Failures of a call that takes a body."""


def takes(kind: type[BaseModel], required: bool = True) -> dict[str, Any]:
    """The body of a call, for ``openapi_extra=``; it is read and checked by ``read_body``."""
    schema = {"$ref": REFERENCE.format(model=kind.__name__)}
    return {
        "requestBody": {"required": required, "content": {JSON: {"schema": schema}}},
        _TAKEN: kind,
    }


def document(app: FastAPI) -> None:
    """Let the application describe the bodies that its calls take, and the ways to show a key."""
    app.openapi = _documented(app, app.openapi)  # type: ignore[method-assign]


def _documented(app: FastAPI, plain: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    def documented() -> dict[str, Any]:
        if app.openapi_schema:
            return app.openapi_schema
        kinds: set[type[BaseModel]] = set()
        for route in app.routes:
            extra = getattr(route, "openapi_extra", None) or {}
            if _TAKEN in extra:
                kinds.add(extra.pop(_TAKEN))
        schema = plain()
        components = schema.setdefault("components", {})
        wanted = [(kind, "validation") for kind in sorted(kinds, key=lambda kind: kind.__name__)]
        _, bodies = models_json_schema(wanted, ref_template=REFERENCE)  # type: ignore[arg-type]
        components.setdefault("schemas", {}).update(bodies["$defs"])
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            "subscription": {
                "type": "apiKey",
                "in": "header",
                "name": "Ocp-Apim-Subscription-Key",
            },
        }
        schema["security"] = [{}, {"bearer": []}, {"key": []}, {"subscription": []}]
        return schema

    return documented
