"""The HTTP calls that decide, and those that tell what happened."""

from __future__ import annotations

import time
from typing import Final

from fastapi import Depends, FastAPI, Request, Response

from serving.access.admission import admit, charge
from serving.calls.direct import post
from serving.security import Role
from serving.service import Service
from serving.watching.tracing import describe_answer
from serving.words.bodies import (
    ActivateAnswer,
    ActivateRequest,
    BatchAnswer,
    BatchRequest,
    DecisionAnswer,
    EventsAnswer,
    EventsRequest,
    OfferAnswer,
    OfferRequest,
    read_body,
)
from serving.words.documents import BODY, JSON, failures, takes

DECISION: Final = "/v1/decisions/{decision_id}"


def add_decision_calls(app: FastAPI, service: Service) -> None:
    """Add the calls to the application."""
    _add_offers(app, service)
    _add_events(app, service)
    _add_decisions(app, service)


def _add_offers(app: FastAPI, service: Service) -> None:
    most, metrics = service.settings.max_body_bytes, service.metrics
    let_in = admit(service.keys, service.limits, Role.APP)

    @post(
        app,
        "/v1/offers",
        response_model=OfferAnswer,
        responses=failures(*BODY),
        openapi_extra=takes(OfferRequest),
    )
    async def offers(request: Request) -> Response:
        """Decide what to offer to one user now, or to stay silent."""
        start = time.perf_counter()
        await let_in(request)
        body = await read_body(request, OfferRequest, most)
        answer = await service.offers.answer(body)
        metrics.observe("offers", time.perf_counter() - start)
        describe_answer(answer)
        return Response(answer, media_type=JSON)

    @post(
        app,
        "/v1/offers:batch",
        response_model=BatchAnswer,
        responses=failures(*BODY),
        openapi_extra=takes(BatchRequest),
    )
    async def batch(request: Request) -> Response:
        """Decide for up to 1,000 users, as if they had been asked for one after another."""
        start = time.perf_counter()
        await let_in(request)
        body = await read_body(request, BatchRequest, most)
        charge(request, service.limits, len(body.offers))
        answers = await service.offers.answer_many(body.offers)
        metrics.observe("batch", time.perf_counter() - start)
        return Response(b'{"decisions":[%b]}' % b",".join(answers), media_type=JSON)


def _add_events(app: FastAPI, service: Service) -> None:
    most, metrics = service.settings.max_body_bytes, service.metrics
    let_in = admit(service.keys, service.limits, Role.APP)

    @post(
        app,
        "/v1/events",
        response_model=EventsAnswer,
        responses=failures(*BODY, 503),
        openapi_extra=takes(EventsRequest),
    )
    async def events(request: Request) -> Response:
        """Tell what happened: up to 1,000 events, in any order, repeated or not."""
        start = time.perf_counter()
        await let_in(request)
        body = await read_body(request, EventsRequest, most)
        charge(request, service.limits, len(body.events))
        answer = await service.happenings.tell(body)
        metrics.observe("events", time.perf_counter() - start)
        return Response(answer.model_dump_json(), media_type=JSON)


def _add_decisions(app: FastAPI, service: Service) -> None:
    most, metrics = service.settings.max_body_bytes, service.metrics
    caller = [Depends(admit(service.keys, service.limits, Role.APP))]

    @app.get(DECISION, responses=failures(404, 503), dependencies=caller)
    async def decisions(decision_id: str) -> DecisionAnswer:
        """A decision, why it was taken, and what came of it."""
        return await service.explain(decision_id)

    @app.post(
        DECISION + ":activate",
        responses=failures(*BODY, 404, 409, 503),
        dependencies=caller,
        openapi_extra=takes(ActivateRequest, required=False),
    )
    async def activate(decision_id: str, request: Request) -> ActivateAnswer:
        """Tell that a deferred decision is shown: it counts from now on.

        An answer with the status 409 says that it must not be shown any more.
        """
        start = time.perf_counter()
        told = None
        if request.headers.get("content-length", "0") != "0" or (
            "transfer-encoding" in request.headers
        ):
            told = (await read_body(request, ActivateRequest, most)).time
        await service.activate(decision_id, told)
        metrics.observe("activate", time.perf_counter() - start)
        return ActivateAnswer(decision_id=decision_id, state="activated")
