"""The HTTP calls about users: export, erase, and link several identities to one person."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Annotated, Final, TypeVar

from fastapi import Depends, FastAPI, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from envs.clock import EPOCH
from serving.access.admission import admit
from serving.people.people import Contended, LinkedElsewhere
from serving.rights.erasure import Erasure
from serving.rights.export import Export, UserAnswer
from serving.security import Naming, Role
from serving.service import Service
from serving.store.connect import GONE
from serving.words.bodies import Id, read_body
from serving.words.documents import BODY, failures, takes
from serving.words.failures import Failure

USER: Final = "/v1/users/{user_id:path}"
"""A user id may hold any character, a slash as well."""
PATIENCE_S: Final = 20.0
"""How long a call waits for Redis in all; one that is broken off may be repeated."""
MOST_IDENTITIES: Final = 16

Result = TypeVar("Result")
UserId = Annotated[str, Path(min_length=1, max_length=128, description="Any name of the user")]


class LinkRequest(BaseModel):
    """Say that several names are of one person."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "example": {"user_id": "account-7", "identities": ["device-1", "phone-5e88"]}
        },
    )

    user_id: Id = Field(description="The person, under the name that is to stay")
    identities: Annotated[list[Id], Field(min_length=1, max_length=MOST_IDENTITIES)] = Field(
        description="Other names of the same person; from now on all of them mean the person"
    )


class LinkAnswer(BaseModel):
    """What was done with the names."""

    linked: int
    already: int = Field(description="Names of this person before")


class EraseAnswer(BaseModel):
    """What was removed; all zeros for somebody who was not known or is erased already."""

    users: int = Field(description="Names of the person under which something was kept")
    decisions: int
    ranks: int = Field(description="Events of the Personalizer door")


def add_people_calls(app: FastAPI, service: Service) -> None:
    """Add the calls to the application."""
    store, people, settings = service.store, service.people, service.settings
    naming = Naming(settings.user_secret.encode())
    kept = service.personalizer.events, store.space, store.redis
    export = Export(service.catalogue, people, *kept, settings.time_zone)
    erasure = Erasure(people, *kept)
    admin = [Depends(admit(service.keys, service.limits, Role.ADMIN))]

    @app.post(
        "/v1/users:link",
        responses=failures(*BODY, 409, 503),
        dependencies=admin,
        openapi_extra=takes(LinkRequest),
    )
    async def link(request: Request) -> LinkAnswer:
        """Let several names mean one person: state, caps and decisions follow the person.

        It cannot be undone but by erasing the person. A name that means another person already
        is refused with the status 409, and none is linked then.
        """
        body = await read_body(request, LinkRequest, settings.max_body_bytes)
        names = dict.fromkeys(body.identities)
        identities = [naming.user(name) for name in names]
        try:
            linked = await _in_time(people.link(naming.user(body.user_id), identities))
        except LinkedElsewhere as error:
            place = body.identities.index(list(names)[error.number])
            raise _linked_elsewhere(place) from None
        return LinkAnswer(linked=linked, already=len(names) - linked)

    @app.get(USER, responses=failures(404, 503), dependencies=admin)
    async def tell(user_id: UserId) -> UserAnswer:
        """Everything that is kept of a user, under whichever name."""
        now = int(time.time() - EPOCH.timestamp())
        answer = await _in_time(export.tell(naming.user(user_id), now))
        if answer is None:
            message = "nothing is kept of this user: never seen, erased or forgotten"
            raise Failure(404, "unknown_user", message, "user_id")
        return answer

    @app.delete(USER, responses=failures(503), dependencies=admin)
    async def erase(user_id: UserId) -> EraseAnswer:
        """Remove a user under all names, and have the journal forget; may be repeated."""
        erased = await _in_time(erasure.erase(naming.user(user_id)))
        return EraseAnswer(users=erased.users, decisions=erased.decisions, ranks=erased.ranks)


async def _in_time(work: Awaitable[Result]) -> Result:
    """The result of work with Redis, or a failure that says to call again."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await work
    except (*GONE, Contended):
        message = "Redis does not answer in time: call again, what is done stays done"
        raise Failure(503, "not_ready", message) from None


def _linked_elsewhere(place: int) -> Failure:
    field = f"identities.{place}"
    message = (
        f"{field} is another person's already, nothing was linked: leave it out, or name "
        "that person as an identity if both are one"
    )
    return Failure(409, "linked_elsewhere", message, field)
