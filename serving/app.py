"""The HTTP application: who may call what, and which call does what.

The same application runs under plain uvicorn and inside Ray Serve. Its documentation at ``/docs``
comes with the scripts it needs, so that it works without the internet.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import Depends, FastAPI, Response
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST

from serving.access.admission import admit
from serving.access.headers import SafeHeaders
from serving.calls.decision_calls import add_decision_calls
from serving.calls.people_calls import add_people_calls
from serving.calls.policy_calls import add_policy_calls
from serving.personalizer.calls import add_personalizer_calls
from serving.security import Role
from serving.service import Service
from serving.watching import tracing
from serving.words.documents import document, failures
from serving.words.failures import FailureBody, handle_failures

VERSION: Final = "1"
TEXT: Final = {"type": "string"}
DESCRIPTION: Final = """
Ask what to offer to one user in one scene, or to stay silent; tell what happened next.
With API keys configured, send yours as `Authorization: Bearer KEY` or `X-API-Key: KEY`.
Every failure has the body `{"error": {"code", "message", "field"}}`.
"""


def create_app(service: Service) -> FastAPI:
    """The application that serves one business."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    app: FastAPI = FastAPIOffline(
        title="SceneLift",
        version=VERSION,
        description=DESCRIPTION,
        redoc_url=None,
        lifespan=lifespan,
        responses={"4XX": {"model": FailureBody}},
    )
    handle_failures(app)
    if tracing.on():
        app.add_middleware(tracing.TracedCalls)
    add_decision_calls(app, service)
    add_policy_calls(app, service)
    add_personalizer_calls(app, service)
    add_people_calls(app, service)
    _add_probes(app, service)
    document(app)
    build = app.build_middleware_stack  # outermost, so that a 500 has the headers too
    app.build_middleware_stack = lambda: SafeHeaders(build())  # type: ignore[method-assign]
    return app


def _add_probes(app: FastAPI, service: Service) -> None:
    analyst = [Depends(admit(service.keys, service.limits, Role.ANALYST))]

    @app.get("/healthz")
    async def healthz() -> dict[str, bool]:
        """Whether the process answers."""
        return {"alive": True}

    @app.get("/readyz", responses=failures(503))
    async def readyz() -> dict[str, str | bool | int | None]:
        """Whether decisions are possible, and what takes them."""
        return await service.status()

    @app.get(
        "/metrics",
        dependencies=analyst,
        response_class=Response,
        responses=failures(503) | {200: {"content": {"text/plain": {"schema": TEXT}}}},
    )
    async def metrics() -> Response:
        """Counts and times for Prometheus."""
        return Response(await service.metrics_text(), media_type=CONTENT_TYPE_LATEST)
