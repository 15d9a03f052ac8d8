"""The HTTP application: who may call what, and which call does what.

The same application runs under plain uvicorn and inside Ray Serve. Its documentation at ``/docs``
comes with the scripts it needs, so that it works without the internet.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import Depends, FastAPI, Request, Response
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from serving.admission import admit
from serving.bodies import (
    DecisionAnswer,
    EventsAnswer,
    EventsRequest,
    OfferAnswer,
    OfferRequest,
    read_body,
)
from serving.failures import FailureBody, handle_failures
from serving.headers import SafeHeaders
from serving.security import Role
from serving.service import Service

VERSION: Final = "1"
JSON: Final = "application/json"
REFERENCE: Final = "#/components/schemas/{model}"
DESCRIPTION: Final = """
Ask what to offer to one user in one scene, or to stay silent; tell what happened next.
With API keys configured, send yours as `Authorization: Bearer KEY` or `X-API-Key: KEY`.
Every failure has the body `{"error": {"code", "message", "field"}}`.
"""


def create_app(service: Service) -> FastAPI:
    """The application that serves one business."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.warm_up()
        yield
        await service.store.close()

    app: FastAPI = FastAPIOffline(
        title="SceneLift",
        version=VERSION,
        description=DESCRIPTION,
        redoc_url=None,
        lifespan=lifespan,
        responses={"4XX": {"model": FailureBody}},
    )
    handle_failures(app)
    _add_calls(app, service)
    _add_probes(app, service)
    app.openapi = _documented(app.openapi)  # type: ignore[method-assign]
    build = app.build_middleware_stack  # outermost, so that a 500 has the headers too
    app.build_middleware_stack = lambda: SafeHeaders(build())  # type: ignore[method-assign]
    return app


def _add_calls(app: FastAPI, service: Service) -> None:
    most, seconds = service.settings.max_body_bytes, service.metrics.seconds
    offers_took, events_took = seconds.labels("offers"), seconds.labels("events")
    caller = [Depends(admit(service.keys, service.limits, Role.APP))]

    @app.post(
        "/v1/offers",
        response_model=OfferAnswer,
        dependencies=caller,
        openapi_extra=_takes(OfferRequest),
    )
    async def offers(request: Request) -> Response:
        """Decide what to offer to one user now, or to stay silent."""
        start = time.perf_counter()
        body = await read_body(request, OfferRequest, most)
        answer = await service.offers.answer(body)
        offers_took.observe(time.perf_counter() - start)
        return Response(answer, media_type=JSON)

    @app.post(
        "/v1/events",
        response_model=EventsAnswer,
        dependencies=caller,
        openapi_extra=_takes(EventsRequest),
    )
    async def events(request: Request) -> Response:
        """Tell what happened: up to 1,000 events, in any order, repeated or not."""
        start = time.perf_counter()
        body = await read_body(request, EventsRequest, most)
        answer = await service.happenings.tell(body)
        events_took.observe(time.perf_counter() - start)
        return Response(answer.model_dump_json(), media_type=JSON)

    @app.get("/v1/decisions/{decision_id}", dependencies=caller)
    async def decisions(decision_id: str) -> DecisionAnswer:
        """A decision, why it was taken, and what came of it."""
        return await service.explain(decision_id)


def _add_probes(app: FastAPI, service: Service) -> None:
    analyst = [Depends(admit(service.keys, service.limits, Role.ANALYST))]

    @app.get("/healthz")
    async def healthz() -> dict[str, bool]:
        """Whether the process answers."""
        return {"alive": True}

    @app.get("/readyz")
    async def readyz() -> dict[str, str | bool | None]:
        """Whether decisions are possible, and what takes them."""
        return await service.status()

    @app.get("/metrics", dependencies=analyst)
    async def metrics() -> Response:
        """Counts and times for Prometheus."""
        return Response(await service.metrics_text(), media_type=CONTENT_TYPE_LATEST)


def _takes(kind: type[BaseModel]) -> dict[str, Any]:
    """The body of a call, for the documentation; it is read and checked by ``read_body``."""
    schema = {"$ref": REFERENCE.format(model=kind.__name__)}
    return {"requestBody": {"required": True, "content": {JSON: {"schema": schema}}}}


def _documented(plain: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """The OpenAPI schema with the bodies that calls take and the ways to show a key."""

    def documented() -> dict[str, Any]:
        schema = plain()
        components = schema.setdefault("components", {})
        wanted = [(OfferRequest, "validation"), (EventsRequest, "validation")]
        _, bodies = models_json_schema(wanted, ref_template=REFERENCE)  # type: ignore[arg-type]
        components.setdefault("schemas", {}).update(bodies["$defs"])
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        schema["security"] = [{}, {"bearer": []}, {"key": []}]
        return schema

    return documented
