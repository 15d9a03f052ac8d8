"""What Redis keeps of leases when calls come twice, too late, or to a Redis that has lost them."""

import asyncio

from serving.budgets.lease_scripts import CLOSE
from serving.budgets.ledger import Wish


def tended(budget, wish, wait_s=60.0):
    """A call as the background task makes it."""
    return budget._send(budget._current(), wish=Wish(wish, 5000), wait_s=wait_s)


def test_a_grant_that_is_sent_twice_is_granted_once(town):
    async def story():
        async with town() as place:
            budget = await place.replica()
            await budget.stop()
            first = await tended(budget, wish="lease")
            again = await tended(budget, wish="lease")
            assert again.granted == first.granted > 0
            assert again.until_us == first.until_us
            assert (await budget.state())["open_cents"] == first.granted
            keys = [place.space.budget(budget._current().number)]
            keys.append(f"{keys[0]}:open")
            await CLOSE.call(place.redis, keys, "lease", 0, 70)
            await CLOSE.call(place.redis, keys, "lease", 0, 70)
            late = await tended(budget, wish="lease")
            assert late.granted == 0
            state = await budget.state()
            assert (state["settled_cents"], state["open_cents"]) == (70, 0)

    asyncio.run(story())


def test_a_call_that_comes_too_late_does_nothing(town):
    async def story():
        async with town() as place:
            budget = await place.replica()
            await budget.stop()
            assert (await tended(budget, wish="late", wait_s=-60)).late
            assert (await budget.state())["open_cents"] == 0

    asyncio.run(story())


def test_a_lease_is_not_closed_with_a_spend_that_was_read_before_it_changed(town):
    async def story():
        async with town() as place:
            budget = await place.replica()
            reservation = budget.reserve(100)
            await place.commit(reservation)
            keys = [place.space.budget(reservation.period)]
            keys.append(f"{keys[0]}:open")
            await place.redis.hincrby(keys[0], f"n:{reservation.lease}", 1)
            again = await CLOSE.call(place.redis, keys, reservation.lease, 0, 100)
            assert again == [reservation.lease.encode(), b"1"]
            budget.spent(reservation)
            await budget.stop()
            await budget.start()
            await place.until(lambda state: state["settled_cents"] == 100, budget)

    asyncio.run(story())


def test_a_lease_that_redis_lost_is_opened_again_by_its_owner(town):
    async def story():
        async with town() as place:
            budget = await place.replica()
            reservation = budget.reserve(100)
            await place.commit(reservation)
            budget.spent(reservation)
            key = place.space.budget(reservation.period)
            await place.redis.delete(key, f"{key}:open")
            await place.until(lambda state: state["open_cents"] > 0, budget)
            await budget.stop()
            assert (await budget.state())["settled_cents"] == 100

    asyncio.run(story())


def test_a_lapsed_decision_is_taken_back_before_and_after_its_lease_is_closed(town):
    async def story():
        async with town() as place:
            budget = await place.replica()
            first, second = budget.reserve(100), budget.reserve(40)
            for reservation in (first, second):
                await place.commit(reservation)
                budget.spent(reservation)
            period, lease = first.period, first.lease
            await place.redis.hincrby(place.space.spent(0, period), lease, -100)
            await budget.release(period, lease, 100)
            await budget.stop()
            assert (await budget.state())["settled_cents"] == 40
            await budget.start()
            await place.redis.hincrby(place.space.spent(0, period), lease, -40)
            await budget.release(period, lease, 40)
            await budget.release(period, lease, 40)
            await budget.stop()
            await budget.start()
            await budget.release(period, lease, 40)
            await budget.stop()
            assert (await budget.state())["settled_cents"] == 0

    asyncio.run(story())
