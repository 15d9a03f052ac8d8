"""Replicas on a real Redis that share a budget, and spend as the commit script does."""

import asyncio
from dataclasses import replace

from serving.budgets.budget import Budget, Timing
from serving.security import BUCKETS
from serving.settings import Settings
from serving.store.connect import connect
from serving.store.keys import Space

QUICK = Timing(lease_s=0.6, margin_s=0.2, guard_s=0.05, idle_s=0.2, tick_s=0.02)
WITHIN_S = 20.0
"""How long a state is awaited that has to come; it comes much sooner."""


class Town:
    """Replicas that share a budget, and the Redis that they share."""

    def __init__(self, catalogue, url, **settings):
        self.catalogue, self.space, self.redis = catalogue, Space(catalogue), connect(url)
        usual = Settings(url, "a secret of the tests only", replicas=3, budget_cents=1_000_000)
        self.settings = replace(usual, **settings)
        self.replicas = []

    async def replica(self, **timing):
        budget = Budget(
            self.catalogue, self.settings, self.redis, self.space, replace(QUICK, **timing)
        )
        await budget.start()
        self.replicas.append(budget)
        return budget

    async def crash(self, budget):
        """It ends without giving anything back, as a killed process does."""
        await budget._end()

    async def commit(self, reservation, bucket=0):
        """What the commit script of a decision does, refused after the deadline."""
        seconds, microseconds = await self.redis.time()
        if seconds * 1_000_000 + microseconds > reservation.until_us:
            return False
        key = self.space.spent(bucket, reservation.period)
        await self.redis.hincrby(key, reservation.lease, reservation.cents)
        return True

    async def spent(self, period):
        """All that was committed in a period."""
        rows = [await self.redis.hvals(self.space.spent(b, period)) for b in range(BUCKETS)]
        return sum(int(value) for row in rows for value in row)

    async def until(self, true_of, budget):
        """The state of the budget once something is true of it."""
        async with asyncio.timeout(WITHIN_S):
            while not true_of(state := await budget.state()):
                await asyncio.sleep(0.01)
        return state

    async def __aenter__(self):
        await self.redis.flushall()
        return self

    async def __aexit__(self, *_):
        for budget in self.replicas:
            await budget.stop()
        await self.redis.aclose()
