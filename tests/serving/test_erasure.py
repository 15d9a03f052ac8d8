"""Erasure over real HTTP on a real Redis: nothing of a person stays, whatever happens meanwhile."""

import asyncio
import json

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from serving.people.people import People
from serving.personalizer.events import KeptEvents
from serving.rights.erasure import Erasure
from serving.security import Naming
from tests.serving.live import SECRET
from tests.serving.test_events import event
from tests.serving.test_people import DAY_S, A, B, C, Mortal, Town, in_town

__all__ = ["in_town"]

NAMING = Naming(SECRET.encode())


def erase(live, user_id="u1"):
    answer = live.client.delete(f"/v1/users/{user_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def link(live, user_id, *identities):
    body = {"user_id": user_id, "identities": list(identities)}
    answer = live.client.post("/v1/users:link", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def about(redis_client, user_id):
    """Keys and members of sets that name a user."""
    hashed = NAMING.user(user_id).encode()
    found = [key for key in redis_client.scan_iter("sl:*") if hashed in key]
    for key in redis_client.scan_iter("sl:*"):
        kind = redis_client.type(key)
        if kind == b"zset":
            found += [name for name in redis_client.zrange(key, 0, -1) if hashed in name]
        elif kind == b"set":
            found += [name for name in redis_client.smembers(key) if hashed in name]
        elif kind == b"string":
            found += [key] if hashed in redis_client.get(key) else []
    return found


def told_to_forget(live, redis_client, user_id):
    hashed = NAMING.user(user_id)
    entries = redis_client.xrange(live.service.store.space.stream(hashed))
    last = entries[-1][1]
    return b"x" in last and json.loads(last[b"x"]) == {"users": [hashed]}


@pytest.mark.promise("erasure")
def test_nothing_of_an_erased_person_stays_under_any_name(live, redis_client):
    for number, user_id in enumerate(("u1", "d1", "d2", "u9")):
        live.offer(f"r{number}", user_id=user_id)
        live.offer(f"s{number}", user_id=user_id, defer=True)
        live.tell(event(number, "bought", user=user_id, amount_cents=990))
    link(live, "u1", "d1", "d2")
    live.offer("r9", user_id="d1")
    assert about(redis_client, "d1")
    assert erase(live, "d2") == {"users": 3, "decisions": 7, "ranks": 0}
    for user_id in ("u1", "d1", "d2"):
        assert about(redis_client, user_id) == []
        assert told_to_forget(live, redis_client, user_id)
        assert live.client.get(f"/v1/users/{user_id}").status_code == 404
    assert about(redis_client, "u9")
    assert not told_to_forget(live, redis_client, "u9")
    assert erase(live, "u1") == {"users": 0, "decisions": 0, "ranks": 0}


def test_events_of_the_personalizer_door_are_told_and_erased(live, redis_client):
    """They are known by their own names, and lie with whose they are."""
    asked = {
        "eventId": "e1",
        "contextFeatures": [{"user_id": "u1", "scene": "mall"}],
        "actions": [{"id": "off5/push"}, {"id": "silence"}],
    }
    door = "/personalizer/v1.0"
    answer = live.client.post(f"{door}/rank", json=asked)
    assert answer.status_code == 201
    assert live.client.post(f"{door}/events/e1/reward", json={"value": 0.5}).status_code == 204
    (rank,) = live.client.get("/v1/users/u1").json()["ranks"]
    assert rank["answer"].items() <= answer.json().items()
    assert "ranking" in rank["answer"]
    assert list(rank["rewards"].values()) == [0.5]
    assert erase(live)["ranks"] == 1
    assert about(redis_client, "u1") == []
    assert not [key for key in redis_client.scan_iter("sl:*:o:*")]


def test_an_erased_decision_is_unknown_and_the_user_begins_anew(live):
    before = live.offer()
    erase(live)
    assert live.client.get(f"/v1/decisions/{before['decision_id']}").status_code == 404
    assert live.tell(event(1)) == {"accepted": 1, "repeated": 0}
    told = live.client.get("/v1/users/u1").json()
    assert (told["identities"], told["decisions"]) == (0, [])


def test_the_journal_is_told_to_forget_somebody_unknown_too(live, redis_client):
    """It remembers for longer than Redis."""
    assert erase(live, "somebody") == {"users": 0, "decisions": 0, "ranks": 0}
    assert told_to_forget(live, redis_client, "somebody")


def test_an_id_with_any_character_can_be_erased(live, redis_client):
    user_id = "a/b?c=ä %"
    live.offer(user_id=user_id)
    assert erase(live, "a%2Fb%3Fc=%C3%A4%20%25") == {"users": 1, "decisions": 1, "ranks": 0}
    assert about(redis_client, user_id) == []


async def seen(town, *identities):
    return [await town.views(identity) for identity in identities]


def erasure_of(town):
    ranks = KeptEvents(town.space, town.redis, DAY_S)
    return Erasure(town.people, ranks, town.space, town.redis)


def test_what_a_link_held_back_does_not_come_back(in_town):
    """Somebody has read a link with a state still pending and goes on after the erasure."""

    async def story(town):
        for user in (A, B):
            await town.view(user)
        await town.people._claim(A, B)
        await town.people._lead(B, await town.record(B), A)
        way, person = await town.people._way(B)
        await erasure_of(town).erase(A)
        assert not await town.people._settle(way, person)
        assert await seen(town, A, B) == [0, 0]

    in_town(story)


class Polite:
    """A client of somebody who lets another go first at one of the commands."""

    def __init__(self, redis, other):
        self.redis = redis
        self.other = other
        self.left = 0

    async def execute_command(self, *args):
        self.left -= 1
        if self.left == 0:
            await self.other()
        return await self.redis.execute_command(*args)

    async def get(self, key):
        return await self.execute_command("GET", key)

    def __getattr__(self, name):
        return getattr(self.redis, name)


def test_an_erasure_at_any_point_of_a_merge_leaves_nothing_old(in_town):
    async def story(town):
        async def erased():
            await erasure_of(town).erase(A)

        polite = Polite(town.redis, erased)
        people = People(town.catalogue, town.space, polite, DAY_S)
        for turn in range(1, 12):
            await town.redis.flushall()
            for user in (A, B):
                await town.view(user)
            await town.people._claim(A, B)
            await town.people._lead(B, await town.record(B), A)
            polite.left = turn
            await people.person(B)
            if polite.left > 0:  # it went through before
                break
            assert await seen(town, A, B) == [0, 0]
        assert turn > 6

    in_town(story)


@pytest.mark.promise("erasure")
@pytest.mark.slow
def test_a_crash_at_any_point_is_gone_on_with_by_the_same_call(in_town):
    async def story(town):
        mortal = Mortal(town.redis)
        for asked_by in (A, C):
            for lives in range(200):
                await town.redis.flushall()
                for user in (A, B, C):
                    await town.view(user)
                await town.people.link(A, [B, C])
                await town.redis.zadd(town.space.of_user(C), {f"{C}-1": 1})
                await town.redis.hset(town.space.decision(f"{C}-1"), "answer", "{}")
                mortal.left = lives
                try:
                    await erasure_of(Town(mortal, town.catalogue)).erase(asked_by)
                    break
                except RedisConnectionError:
                    await erasure_of(town).erase(asked_by)
                keys = [key async for key in town.redis.scan_iter("sl:*")]
                assert {key.rpartition(b":")[2] for key in keys} == {b"j"}
            assert lives > 10

    in_town(story)


@pytest.mark.slow
def test_an_erasure_among_decisions_leaves_nothing_old(in_town):
    async def story(town):
        for _ in range(20):
            await town.redis.flushall()
            for _ in range(100):
                await town.view(A)
            await town.people.link(A, [B, C])
            lives = [town.view(user) for user in (A, B, C) for _ in range(10)]
            await asyncio.gather(*lives, erasure_of(town).erase(B))
            assert sum(await seen(town, A, B, C)) <= 30

    in_town(story)
