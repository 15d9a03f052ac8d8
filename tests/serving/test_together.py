"""Requests that come while others are decided: who is decided with whom, and when."""

import asyncio

import pytest

from agents.baselines import make_baseline
from serving.service import Service
from serving.settings import Settings
from serving.words.bodies import OfferRequest
from tests.serving.conftest import ONE_SERVER
from tests.serving.live import SECRET

pytestmark = ONE_SERVER


class Reads:
    """How many users each group asks Redis for; holds up the groups for which a gate is set."""

    def __init__(self, store):
        self.sizes, self.gates, self._read = [], {}, store.read
        store.read = self.read

    async def read(self, asked):
        self.sizes.append(len(asked))
        if gate := self.gates.get(len(self.sizes)):
            await gate.wait()
        return await self._read(asked)

    async def begun(self, groups):
        async with asyncio.timeout(10):
            while len(self.sizes) < groups:
                await asyncio.sleep(0)


@pytest.fixture
def in_loop(redis_server, catalogue):
    """Runs a test inside an event loop with a service in it."""

    def run(test):
        async def whole():
            settings = Settings(redis_server.url, SECRET, redis_timeout_ms=10_000)
            service = Service(catalogue, settings)
            service.serve_policy(make_baseline("uniform", catalogue))
            await service.start()
            try:
                await test(service.offers, Reads(service.store))
            finally:
                await service.stop()

        asyncio.run(whole())

    return run


def asked(offers, *names):
    bodies = [OfferRequest(request_id=n, user_id=f"user {n}", scene="commute") for n in names]
    return [asyncio.ensure_future(offers.answer(body)) for body in bodies]


def test_what_comes_while_a_request_is_decided_is_decided_together_after_it(in_loop, monkeypatch):
    monkeypatch.setattr("serving.decisions.offers.TURN_S", 60.0)

    async def test(offers, reads):
        reads.gates[1] = asyncio.Event()
        first = asked(offers, "a")
        await reads.begun(1)
        others = asked(offers, *"bcdefgh")
        await asyncio.sleep(0.1)
        assert reads.sizes == [1]
        reads.gates[1].set()
        await asyncio.gather(*first, *others)
        assert reads.sizes == [1, 7]
        await asyncio.gather(*asked(offers, "i"))  # nobody is left waiting for a turn
        assert reads.sizes == [1, 7, 1]

    in_loop(test)


def test_a_group_for_which_redis_is_slow_holds_up_nobody_else_for_long(in_loop):
    async def test(offers, reads):
        reads.gates[1] = asyncio.Event()
        (slow,) = asked(offers, "a")
        await reads.begun(1)
        async with asyncio.timeout(5):
            answers = await asyncio.gather(*asked(offers, *"bc"))
            answers += await asyncio.gather(*asked(offers, "d"))
        assert all(b'"degraded":false' in answer for answer in answers)
        assert reads.sizes == [1, 2, 1] and not slow.done()
        reads.gates[1].set()
        assert b'"degraded":false' in await slow

    in_loop(test)


def test_a_caller_who_leaves_takes_nobody_along(in_loop):
    async def test(offers, reads):
        reads.gates[1] = asyncio.Event()
        stays, leaves = asked(offers, "a", "b")
        await reads.begun(1)
        leaves.cancel()
        reads.gates[1].set()
        assert b'"degraded":false' in await stays
        assert reads.sizes == [2]

    in_loop(test)
