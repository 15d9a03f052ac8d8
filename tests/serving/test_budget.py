"""Budgets on a real Redis: replicas are ``Budget`` objects that spend as the commit script does."""

import asyncio
import math
import random
import signal

import pytest

from serving.budgets.budget import Budget
from serving.budgets.pacing import STEP
from serving.security import BUCKETS
from serving.settings import Settings
from serving.store.connect import connect
from serving.store.keys import Space
from tests.serving.conftest import ONE_SERVER
from tests.serving.town import WITHIN_S


def test_without_a_budget_anything_is_left_and_redis_is_not_asked(catalogue):
    settings = Settings("redis://127.0.0.1:1/0", "a secret of the tests only")
    budget = Budget(catalogue, settings, connect(settings.redis_url), Space(catalogue))
    assert budget.left_cents() == math.inf and budget.price == 0
    reservation = budget.reserve(500)
    assert reservation is not None and reservation.lease == ""
    budget.spent(reservation)
    asyncio.run(budget.start())
    assert asyncio.run(budget.state())["open_cents"] == 0
    asyncio.run(budget.stop())


def test_a_lease_is_there_at_once_and_stop_returns_what_was_not_spent(town):
    async def story():
        async with town() as place:
            budget = await place.replica()
            assert budget.left_cents() >= 891
            spent, unspent = budget.reserve(300), budget.reserve(100)
            assert await place.commit(spent)
            budget.spent(spent)
            budget.unspent(unspent)
            await budget.stop()
            state = await budget.state()
            assert (state["settled_cents"], state["open_cents"]) == (300, 0)

    asyncio.run(story())


def test_what_is_not_enough_is_not_reserved(town):
    async def story():
        async with town(budget_cents=1000) as place:
            budget = await place.replica()
            assert budget.reserve(2000) is None
            assert budget.left_cents() <= 1000

    asyncio.run(story())


@pytest.mark.promise("budget-back")
def test_the_money_of_a_dead_replica_comes_back_and_what_it_committed_counts(town):
    async def story():
        async with town() as place:
            dead = await place.replica()
            committed = [dead.reserve(200), dead.reserve(50)]
            for bucket, reservation in enumerate(committed):
                assert await place.commit(reservation, bucket)
            await place.crash(dead)
            other = await place.replica()
            state = await place.until(lambda state: state["settled_cents"] == 250, other)
            await other.stop()
            state = await other.state()
            assert (state["settled_cents"], state["open_cents"]) == (250, 0)

    asyncio.run(story())


@pytest.mark.promise("budget-back")
def test_a_commit_of_unknown_fate_is_counted_after_the_deadline(town):
    async def story():
        async with town() as place:
            budget = await place.replica()
            known, unknown = budget.reserve(10), budget.reserve(20)
            assert await place.commit(known) and await place.commit(unknown)
            budget.spent(known)
            budget.unknown(unknown)
            await place.until(lambda state: state["settled_cents"] == 30, budget)
            seconds, microseconds = await place.redis.time()
            assert seconds * 1_000_000 + microseconds > unknown.until_us
            assert budget.left_cents() > 0  # another lease serves meanwhile

    asyncio.run(story())


@pytest.mark.promise("budget-back")
def test_an_idle_replica_gives_its_lease_to_one_that_needs_it(town):
    async def story():
        async with town(budget_cents=891, replicas=1) as place:
            idle = await place.replica()
            assert idle.left_cents() == 891
            busy = await place.replica()
            async with asyncio.timeout(WITHIN_S):
                while busy.left_cents() < 891:
                    await asyncio.sleep(0.01)
            assert busy.reserve(891) is not None

    asyncio.run(story())


def test_all_replicas_follow_one_price_that_rises_where_spend_is_ahead_of_plan(town):
    async def story():
        async with town(budget_period_s=3_000) as place:
            first, second = await place.replica(), await place.replica()
            assert first.price == second.price == 0
            key = place.space.budget(first._current().number)
            await place.redis.hset(key, mapping={"settled": 2_000_000, "stepped": 1})
            async with asyncio.timeout(WITHIN_S):
                while not first.price == second.price > 0:
                    await asyncio.sleep(0.01)

    asyncio.run(story())


def test_two_replicas_never_make_one_step_of_the_price(town):
    async def story():
        async with town() as place:
            await place.redis.hset("budget", "stepped", 5)
            assert await STEP.call(place.redis, ["budget"], 5, 9, "0.5", "0.25") == 1
            assert await STEP.call(place.redis, ["budget"], 5, 9, "0.7", "0.35") == 0
            assert await place.redis.hget("budget", "price") == b"0.5"

    asyncio.run(story())


@ONE_SERVER
@pytest.mark.slow
def test_leases_end_at_their_deadline_while_redis_is_gone(town, redis_server):
    async def story():
        async with town() as place:
            budget = await place.replica()
            reservation = budget.reserve(5)
            redis_server.process.send_signal(signal.SIGSTOP)
            try:
                async with asyncio.timeout(WITHIN_S):
                    while budget.left_cents() > 0:
                        await asyncio.sleep(0.01)
                assert budget.reserve(5) is None
                budget.unknown(reservation)
            finally:
                redis_server.process.send_signal(signal.SIGCONT)
            async with asyncio.timeout(WITHIN_S):
                while budget.left_cents() < 891:
                    await asyncio.sleep(0.01)
            await place.until(lambda state: state["open_cents"] <= budget._slice, budget)
            assert (await budget.state())["settled_cents"] == 0

    asyncio.run(story())


@pytest.mark.slow
def test_every_period_has_its_own_budget_and_carries_the_price_over(town):
    async def story():
        async with town(budget_cents=20_000, budget_period_s=2, replicas=1) as place:
            budget = await place.replica()
            await place.redis.hset(
                place.space.budget(budget._current().number), mapping={"price": "1.5"}
            )
            first = budget.reserve(400)
            await place.commit(first)
            budget.spent(first)
            state = await place.until(lambda state: state["period"] > first.period, budget)
            assert state["settled_cents"] == 0
            async with asyncio.timeout(WITHIN_S):
                while (second := budget.reserve(1)) is None or second.period == first.period:
                    if second:
                        budget.unspent(second)
                    await asyncio.sleep(0.01)
            settled = await place.redis.hget(place.space.budget(first.period), "settled")
            assert int(settled) == 400
            assert (await place.redis.ttl(place.space.budget(first.period))) > 86_400

    asyncio.run(story())


async def spend(place, budget, chance, until_s, dearest=300):
    """Clients of one replica: they reserve, commit, fail and forget at random."""
    loop = asyncio.get_running_loop()
    while loop.time() < until_s:
        cents = chance.randint(1, dearest)
        reservation = budget.reserve(cents) if budget.left_cents() >= cents else None
        if reservation is None:
            await asyncio.sleep(0.005)
            continue
        fate = chance.random()
        if fate < 0.05:
            budget.unspent(reservation)
        elif await place.commit(reservation, chance.randrange(BUCKETS)):
            budget.unknown(reservation) if fate < 0.07 else budget.spent(reservation)
        else:
            budget.unspent(reservation)


@pytest.mark.promise("budget-exact")
@pytest.mark.slow
@pytest.mark.parametrize("budget_cents", [30_000, 400_000])
def test_many_replicas_that_crash_at_random_never_spend_more_than_the_budget(town, budget_cents):
    async def story():
        chance = random.Random(budget_cents)
        async with town(budget_cents=budget_cents, budget_period_s=4, replicas=6) as place:
            loop = asyncio.get_running_loop()
            ends_s = loop.time() + 13
            seen = set()

            async def life():
                while loop.time() < ends_s:
                    budget = await place.replica()
                    seen.add(int((await budget.state())["period"]))
                    stops_s = min(loop.time() + chance.uniform(0.5, 3), ends_s)
                    await asyncio.gather(*(spend(place, budget, chance, stops_s) for _ in range(4)))
                    await (place.crash(budget) if chance.random() < 0.5 else budget.stop())

            await asyncio.gather(*(life() for _ in range(6)))
            for period in range(min(seen), max(seen) + 1):
                assert 0 < await place.spent(period) <= budget_cents

    asyncio.run(story())


@pytest.mark.promise("budget-spent")
@pytest.mark.slow
def test_a_budget_is_spent_to_one_per_cent_where_demand_is_ample(town):
    async def story():
        cents, period_s = 600_000, 8
        async with town(budget_cents=cents, budget_period_s=period_s, replicas=3) as place:
            loop, chance = asyncio.get_running_loop(), random.Random(1)
            replicas = [await place.replica() for _ in range(3)]
            now_s, period = replicas[0]._now(), replicas[0]._current()
            ends_s = loop.time() + period.end_s - now_s + period_s
            whole = period.number + 1

            async def look():
                """Half way spend is near the plan, and ahead of it by some slices at most."""
                await asyncio.sleep(period.end_s - now_s + period_s / 2)
                spent, state = await place.spent(whole), await replicas[0].state()
                ahead = 2 * 3 * replicas[0]._slice + 0.01 * cents
                assert -0.05 * cents < spent - state["plan_cents"] < ahead

            clients = [spend(place, each, chance, ends_s, dearest=891) for each in replicas * 4]
            await asyncio.gather(look(), *clients)
            spent = await place.spent(whole)
            assert 0.99 * cents <= spent <= cents

    asyncio.run(story())
