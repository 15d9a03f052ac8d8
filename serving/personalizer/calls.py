"""The HTTP calls of the Personalizer door, in the shapes that its clients know."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Path, Request, Response
from fastapi.routing import APIRoute

from serving.access.admission import admit
from serving.personalizer.bodies import (
    PersonalizerFailure,
    RankAnswer,
    RankRequest,
    RewardRequest,
    SlotsAnswer,
    SlotsRequest,
    SlotsReward,
)
from serving.personalizer.personalizer import SLOTS
from serving.security import Role
from serving.service import Service
from serving.words.bodies import read_body
from serving.words.documents import BODY, JSON, MEANINGS, Responses, takes
from serving.words.failures import Failure

VERSION_1: Final = "/personalizer/v1.0"
VERSION_SLOTS: Final = "/personalizer/v1.1-preview.1/multislot"
MOST_BYTES: Final = 262_144
"""Features are kept in the journal as they come, so they may not be arbitrarily long."""
LONGEST_NAME: Final = 256
CODES: Final = {
    400: "BadRequest",
    404: "ResourceNotFound",
    409: "OperationNotAllowed",
    500: "InternalServerError",
    503: "InternalServerError",
}

Named = Annotated[
    str, Path(alias="eventId", description="The eventId of the call to rank", examples=["e1"])
]


class _Door(APIRoute):
    """A call whose failures have the shape that callers of Azure Personalizer expect."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        plain = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await plain(request)
            except Failure as failure:
                return _failed(failure)

        return answer


def add_personalizer_calls(app: FastAPI, service: Service) -> None:
    """Add the calls to the application."""
    caller = [Depends(admit(service.keys, service.limits, Role.APP))]
    router = APIRouter(route_class=_Door, dependencies=caller, tags=["Personalizer"])
    most = min(service.settings.max_body_bytes, MOST_BYTES)
    _add_single(router, service, most)
    _add_slots(router, service, most)
    app.router.routes += router.routes  # so that the description finds what they take


def _add_single(router: APIRouter, service: Service, most: int) -> None:
    personalizer = service.personalizer

    @router.post(
        f"{VERSION_1}/rank",
        status_code=201,
        response_model=RankAnswer,
        responses=_failures(*BODY, 409),
        openapi_extra=takes(RankRequest),
    )
    async def rank(request: Request) -> Response:
        """Rank actions: by what serves where the catalogue knows them, else at random."""
        start = time.perf_counter()
        answer = await personalizer.rank(await read_body(request, RankRequest, most))
        service.metrics.observe("rank", time.perf_counter() - start)
        return Response(answer, 201, media_type=JSON)

    @router.post(
        f"{VERSION_1}/events/{{eventId:path}}/reward",
        status_code=204,
        responses=_failures(*BODY, 404),
        openapi_extra=takes(RewardRequest),
    )
    async def reward(name: Named, request: Request) -> Response:
        """Tell how good it was to show what came first."""
        _require_short(name)
        body = await read_body(request, RewardRequest, most)
        await personalizer.reward(name, body.value)
        return Response(status_code=204)

    @router.post(
        f"{VERSION_1}/events/{{eventId:path}}/activate",
        status_code=204,
        responses=_failures(404, 409),
    )
    async def activate(name: Named) -> Response:
        """Tell that what came first is shown; 409 when it must not be shown any more."""
        _require_short(name)
        await personalizer.activate(name)
        return Response(status_code=204)


def _add_slots(router: APIRouter, service: Service, most: int) -> None:
    personalizer = service.personalizer

    @router.post(
        f"{VERSION_SLOTS}/rank",
        status_code=201,
        response_model=SlotsAnswer,
        responses=_failures(*BODY, 409),
        openapi_extra=takes(SlotsRequest),
    )
    async def rank_slots(request: Request) -> Response:
        """Choose an action for each of several places, none twice."""
        start = time.perf_counter()
        answer = await personalizer.rank_slots(await read_body(request, SlotsRequest, most))
        service.metrics.observe("rank", time.perf_counter() - start)
        return Response(answer, 201, media_type=JSON)

    @router.post(
        f"{VERSION_SLOTS}/events/{{eventId:path}}/reward",
        status_code=204,
        responses=_failures(*BODY, 404),
        openapi_extra=takes(SlotsReward),
    )
    async def reward_slots(name: Named, request: Request) -> Response:
        """Tell how good it was to show what was shown in each place."""
        _require_short(name)
        body = await read_body(request, SlotsReward, most)
        await personalizer.reward_slots(name, body.reward)
        return Response(status_code=204)

    @router.post(
        f"{VERSION_SLOTS}/events/{{eventId:path}}/activate",
        status_code=204,
        responses=_failures(404, 409),
    )
    async def activate_slots(name: Named) -> Response:
        """Tell that what was chosen is shown; 409 when some of it must not be any more."""
        _require_short(name)
        await personalizer.activate(name, SLOTS)
        return Response(status_code=204)


def _require_short(name: str) -> None:
    if not 0 < len(name) <= LONGEST_NAME:
        raise Failure(400, "invalid_event_id", f"an eventId has 1 to {LONGEST_NAME} characters")


def _failures(*statuses: int) -> Responses:
    """What a call may answer with besides its success."""
    usual = (400, 401, 403, 405, 429, 500, 503)
    told: Responses = {
        status: {"model": PersonalizerFailure, "description": MEANINGS[status]}
        for status in sorted({*usual, *statuses})
    }
    told["4XX"] = {"model": PersonalizerFailure, "description": "Another mistake in the call"}
    return told


def _failed(failure: Failure) -> Response:
    """The answer that tells a failure: what our own calls name 422 is 400 here."""
    status = 400 if failure.status == 422 else failure.status
    code = CODES.get(status, str(status))
    content = json.dumps({"error": {"code": code, "message": failure.message}})
    return Response(content, status, failure.headers, JSON)
