"""The least that a decision over HTTP can cost with these parts, and nothing that makes it one.

uvicorn and FastAPI, the body parsed as JSON, a pipeline that reads, a product of 40 by 31 numbers,
a pipeline that writes. No rules, no checks, no journal, no answer worth having: what the service
adds to this is its own.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Final

import numpy as np
import tyro
from fastapi import FastAPI, Request, Response
from redis.asyncio import Redis

from benchmarks.listening import listen

INPUTS: Final = 40
ACTIONS: Final = 31
USER: Final = bytes(512)


@dataclass(frozen=True, slots=True)
class FloorConfig:
    """Answer as cheaply as these parts can."""

    redis: str
    """URL of a Redis."""
    port: int
    """Port to listen on, at 127.0.0.1."""
    redis_timeout_ms: int = 40
    """How long a decision waits for Redis in all, before it answers degraded."""


def floor_app(redis_url: str, redis_timeout_ms: int) -> FastAPI:
    """The application."""
    app = FastAPI()
    redis = Redis.from_url(redis_url, max_connections=256, protocol=2)
    weights = np.random.default_rng(0).normal(size=(INPUTS, ACTIONS))
    observation = np.ones(INPUTS)

    @app.post("/v1/offers")
    async def offers(request: Request) -> Response:
        body = await request.json()
        user, decision = f"f:u:{body['user_id']}", f"f:d:{body['request_id']}"
        degraded, action = False, 0
        try:
            async with asyncio.timeout(redis_timeout_ms / 1000):
                reading = redis.pipeline(transaction=False)
                reading.get(user)
                reading.get(decision)
                await reading.execute()
                action = int((observation @ weights).argmax())
                writing = redis.pipeline(transaction=False)
                writing.set(user, USER, ex=3600)
                writing.set(decision, action, ex=3600)
                await writing.execute()
        except TimeoutError:
            degraded = True
        answer = {"decision_id": decision, "action": action, "degraded": degraded}
        text = json.dumps(answer, separators=(",", ":"))
        return Response(text, media_type="application/json")

    return app


def main() -> None:
    """Serve."""
    config = tyro.cli(FloorConfig, prog="python -m benchmarks.floor", description=__doc__)
    listen(floor_app(config.redis, config.redis_timeout_ms), config.port, "the floor")


if __name__ == "__main__":
    main()
