"""The HTTP calls that say what serves, and change it without a restart.

Every change takes ``?version=``, the version that the caller has seen: when it is no longer the
latest, nothing changes. A change that is sent again with the same ``Idempotency-Key`` is made once.
"""

from __future__ import annotations

import json
from asyncio import to_thread
from collections.abc import Callable
from hashlib import blake2b
from typing import Annotated, Any, Final, TypeAlias, TypeVar
from uuid import uuid4

from fastapi import Depends, FastAPI, Header, Path, Query, Request, params
from pydantic import BaseModel, ConfigDict, Field

from envs.errors import InputError
from serving.access.admission import admit
from serving.policies.lineup import Canary, Loaded, Name
from serving.policies.policies import Alter, Policies
from serving.policies.registry import Kept, Replica
from serving.security import Role
from serving.service import Service
from serving.store.connect import GONE
from serving.words.bodies import read_body
from serving.words.documents import BODY, failures, takes
from serving.words.failures import Failure

Result = TypeVar("Result")
Call = TypeVar("Call", bound=Callable[..., Any])
Named: TypeAlias = Annotated[Name, Path(description="Your name for the policy")]
Version: TypeAlias = Annotated[
    int | None, Query(ge=0, description="The version that you have seen; any if left out")
]
ChangeKey: TypeAlias = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=128,
        description="Your name for this change; sent again, it is made once",
    ),
]
TAKES: Final = failures(*BODY, 404, 409, 503)
"""What a call that takes a body may fail with."""
CHANGES: Final = failures(404, 409, 503)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class LoadRequest(_Body):
    """Keep a policy for all replicas."""

    source: Annotated[str, Field(min_length=1, max_length=4096)] = Field(
        description="A baseline such as rule_book or constant:gift/push, or the folder of a bundle "
        "on the server",
        examples=["rule_book"],
    )


class PolicyRequest(_Body):
    """Let a policy serve."""

    policy: Name


class ShadowRequest(_Body):
    """Let a policy decide beside the others, without being acted on."""

    policy: Name | None


class CanaryRequest(_Body):
    """Let a policy decide for a share of the users."""

    policy: Name | None
    share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="Of the users; always the same ones for a policy"
    )


class LineupAnswer(BaseModel):
    """What serves."""

    version: int = Field(description="Grows with each change; 0 before the first")
    serving: str | None
    shadow: str | None
    canary: Canary | None
    past: list[str] = Field(description="Served before, the latest first")
    loaded: dict[str, Loaded]


class PoliciesAnswer(LineupAnswer):
    """What serves, and who follows."""

    replicas: list[Replica]


def add_policy_calls(app: FastAPI, service: Service) -> None:
    """Add the calls to the application."""
    _add_looks(app, service)
    _add_loads(app, service)
    _add_changes(app, service)


def _add_looks(app: FastAPI, service: Service) -> None:
    analyst = [Depends(admit(service.keys, service.limits, Role.ANALYST))]

    @app.get("/v1/policies", dependencies=analyst, responses=failures(503))
    async def policies() -> PoliciesAnswer:
        """What serves, what is loaded, and which replicas follow."""
        kept, replicas = await _asked(service.policies.lineup)
        return PoliciesAnswer(**_fields(kept), replicas=replicas)


def _add_loads(app: FastAPI, service: Service) -> None:
    admin = [Depends(admit(service.keys, service.limits, Role.ADMIN))]
    policies, most = service.policies, service.settings.max_body_bytes

    @_put(app, admin, "/v1/policies/{name}", LoadRequest)
    async def load(
        name: Named, request: Request, version: Version = None, key: ChangeKey = None
    ) -> LineupAnswer:
        """Load a policy under a name; it does not decide yet."""
        source = (await read_body(request, LoadRequest, most)).source
        change = _change(key, "load", name, source)
        return _answer(await _asked(lambda: policies.load(name, source, change, version)))

    @app.delete("/v1/policies/{name}", dependencies=admin, responses=CHANGES)
    async def drop(name: Named, version: Version = None, key: ChangeKey = None) -> LineupAnswer:
        """Forget a policy that is not in use."""
        change = _change(key, "drop", name)
        return await _changed(policies, lambda now: now.drop(name), change, version)


def _add_changes(app: FastAPI, service: Service) -> None:
    admin = [Depends(admit(service.keys, service.limits, Role.ADMIN))]
    policies, most = service.policies, service.settings.max_body_bytes

    @_put(app, admin, "/v1/policies:serving", PolicyRequest)
    async def serve(
        request: Request, version: Version = None, key: ChangeKey = None
    ) -> LineupAnswer:
        """Promote a loaded policy: it serves from now on."""
        name = (await read_body(request, PolicyRequest, most)).policy
        change = _change(key, "serve", name)
        return await _changed(policies, lambda now: now.promote(name), change, version)

    @_put(app, admin, "/v1/policies:shadow", ShadowRequest)
    async def shadow(
        request: Request, version: Version = None, key: ChangeKey = None
    ) -> LineupAnswer:
        """Let a loaded policy decide beside the others, unseen; null for none."""
        name = (await read_body(request, ShadowRequest, most)).policy
        change = _change(key, "shadow", name)
        return await _changed(policies, lambda now: now.shadow_with(name), change, version)

    @_put(app, admin, "/v1/policies:canary", CanaryRequest)
    async def canary(
        request: Request, version: Version = None, key: ChangeKey = None
    ) -> LineupAnswer:
        """Let a loaded policy decide for a share of the users; null for none."""
        body = await read_body(request, CanaryRequest, most)
        change = _change(key, "canary", body.policy, body.share)
        name, share = body.policy, body.share
        return await _changed(policies, lambda now: now.share_with(name, share), change, version)

    @app.post("/v1/policies:rollback", dependencies=admin, responses=CHANGES)
    async def rollback(version: Version = None, key: ChangeKey = None) -> LineupAnswer:
        """Go back to the policy that served before."""
        change = _change(key, "rollback")
        return await _changed(policies, lambda now: now.roll_back(), change, version)


def _put(
    app: FastAPI, admin: list[params.Depends], path: str, body: type[_Body]
) -> Callable[[Call], Call]:
    """Add a change that takes a body."""
    return app.put(path, dependencies=admin, responses=TAKES, openapi_extra=takes(body))


async def _changed(
    policies: Policies, alter: Alter, change: str, version: int | None
) -> LineupAnswer:
    return _answer(await _asked(lambda: policies.change(alter, change, version)))


async def _asked(call: Callable[[], Result]) -> Result:
    """What a call gives that waits for Redis, off the path of decisions.

    Raises:
        Failure: 503 when Redis does not answer.
    """
    try:
        return await to_thread(call)
    except GONE:
        raise Failure(503, "not_ready", "Redis does not answer: ask again") from None
    except InputError as error:
        raise Failure(503, "not_ready", str(error)) from None


def _change(key: str | None, *what: object) -> str:
    """Id of a change: the same for the same key and change, else one of its own."""
    if key is None:
        return uuid4().hex
    text = json.dumps([key, *what])
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _fields(kept: Kept) -> dict[str, Any]:
    lineup = kept.lineup
    return {
        "version": kept.version,
        "serving": lineup.serving,
        "shadow": lineup.shadow,
        "canary": lineup.canary,
        "past": list(lineup.past),
        "loaded": lineup.loaded,
    }


def _answer(kept: Kept) -> LineupAnswer:
    return LineupAnswer(**_fields(kept))
