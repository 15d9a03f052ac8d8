"""One person behind several identities, on a real Redis: nothing is lost, and nothing twice."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from envs.decisions import EventKind, Events
from envs.layout import COUNTED
from envs.users import UserState, advance, pack, unpack
from serving.people.people import LinkedElsewhere, People
from serving.people.people_scripts import REPLACE
from serving.store.connect import connect
from serving.store.keys import REMEMBERED, Space
from serving.store.records import UserRecord, new_version, state_record

BIRTH = 5 * 1_209_600  # the beginning of an era, so that each view adds exactly one
VIEWED = COUNTED.index(EventKind.VIEWED)
DAY_S = 86_400
A, B, C, D = (f"{number:04x}" + "0" * 28 for number in (7, 20, 33, 46))  # in four slots


class Town:
    """People and what befalls them, as decisions and events write it."""

    def __init__(self, redis, catalogue):
        self.redis = redis
        self.catalogue = catalogue
        self.space = Space(catalogue)
        self.people = People(catalogue, self.space, redis, DAY_S)

    async def record(self, user: str) -> UserRecord:
        return UserRecord.read(await self.redis.get(self.space.user(user)))

    async def read(self, user: str) -> tuple[str, UserRecord, UserState]:
        """Whoever is behind a user."""
        record = await self.record(user)
        while record.person is not None:
            user = await self.people.finish(user, record)
            record = await self.record(user)
        state = UserState.empty(self.catalogue, 1, REMEMBERED)
        if record.state:
            held = np.frombuffer(record.state, np.uint8)[None]
            state = unpack(self.catalogue, held, REMEMBERED)
        return user, record, state

    async def write(self, user: str, record: UserRecord, state: UserState) -> bool:
        """Write a user who is as read."""
        value = state_record(new_version(), record.zone or "", pack(state).tobytes())
        keys = [self.space.user(user)]
        return bool(await REPLACE.call(self.redis, keys, record.version, value, DAY_S))

    async def view(self, identity: str) -> None:
        """Let a user see something."""
        written = False
        while not written:
            user, record, state = await self.read(identity)
            advance(state, Events.of([0], EventKind.VIEWED, BIRTH))
            written = await self.write(user, record, state)

    async def contact(self, identity: str) -> bool:
        """Contact a user, unless there were two contacts today."""
        while True:
            user, record, state = await self.read(identity)
            if (state.cap_times[0, :2] >= BIRTH).all():
                return False
            contact = Events.of([0], EventKind.CONTACTED, BIRTH, scene=0, channel=2, offer=0)
            advance(state, contact)
            if await self.write(user, record, state):
                return True

    async def views(self, identity: str) -> float:
        """How often a user has seen something."""
        return float((await self.read(identity))[2].sums[0, VIEWED])


@pytest.fixture
def in_town(redis_server, redis_client, catalogue):
    """Runs something in a town of its own; more than one may be at work in one Redis."""

    def run(story: Callable[[Town], Awaitable[None]]) -> None:
        async def tell() -> None:
            redis = connect(redis_server.url)
            try:
                await story(Town(redis, catalogue))
            finally:
                await redis.aclose()

        asyncio.run(tell())

    return run


@pytest.mark.promise("cluster")
def test_what_happens_under_any_identity_happens_to_the_person(in_town):
    async def story(town):
        for user in (A, B, B, C):
            await town.view(user)
        assert await town.people.link(A, [B, C]) == 2
        await town.view(B)
        assert [await town.views(user) for user in (A, B, C, D)] == [5, 5, 5, 0]
        assert await town.people.identities(A) == [B, C]
        for identity in (B, C):
            record = await town.record(identity)
            assert (record.person, record.pending) == (A, b"")

    in_town(story)


def test_linking_again_changes_nothing(in_town):
    async def story(town):
        await town.view(A)
        await town.view(B)
        assert await town.people.link(A, [B]) == 1
        before = await town.redis.get(town.space.user(A))
        assert await town.people.link(A, [B, A]) == 0
        assert await town.people.link(B, [A]) == 0
        assert await town.redis.get(town.space.user(A)) == before

    in_town(story)


def test_the_journal_is_told_of_a_link_once(in_town):
    async def story(town):
        await town.people.link(A, [B])
        await town.people.link(A, [B])
        entries = await town.redis.xrange(town.space.stream(B))
        told = [json.loads(fields[b"l"]) for _, fields in entries]
        assert [(each["from"], each["to"]) for each in told] == [(B, A)]

    in_town(story)


def test_a_person_may_turn_out_to_be_somebody_elses_identity(in_town):
    async def story(town):
        for user in (A, B, C, D):
            await town.view(user)
        await town.people.link(B, [A])
        await town.people.link(D, [C])
        await town.people.link(C, [B])  # C is D, so B is D and A is D
        assert [await town.people.person(user) for user in (A, B, C, D)] == [D] * 4
        assert await town.views(A) == 4
        assert sorted(await town.people.identities(D)) == [A, B, C]
        assert {(await town.record(user)).person for user in (A, B, C)} == {D}

    in_town(story)


def test_an_identity_of_one_person_is_not_given_to_another(in_town):
    async def story(town):
        await town.people.link(A, [B])
        with pytest.raises(LinkedElsewhere) as caught:
            await town.people.link(C, [D, B])
        assert caught.value.number == 1
        assert await town.people.person(D) == D  # nothing was linked
        assert await town.people.person(B) == A

    in_town(story)


def test_two_who_are_made_to_lead_to_each_other_are_one_person(in_town):
    """What two opposite calls at the same moment leave when they fall just so."""

    async def story(town):
        await town.view(A)
        await town.view(B)
        records = {user: await town.record(user) for user in (A, B)}
        for user, other in ((A, B), (B, A)):
            assert await town.people._lead(user, records[user], other)
        assert await asyncio.gather(*map(town.people.person, (B, A, B, A))) == [A] * 4
        assert await town.views(A) == await town.views(B) == 2

    in_town(story)


def test_a_circle_counts_once_what_was_merged_before_it_closed(in_town):
    async def story(town):
        await town.view(A)
        await town.view(B)
        link = await town.record(A)
        assert await town.people._lead(A, link, B)
        half = await town.redis.get(town.space.user(A))
        await town.people.person(A)
        await town.redis.set(town.space.user(A), half)  # as if not yet let go of
        assert await town.people._lead(B, await town.record(B), A)
        assert await town.views(A) == await town.views(B) == 2

    in_town(story)


def test_opposite_links_at_the_same_moment_make_one_person(in_town):
    async def story(town):
        for number in range(20):
            one, other = f"{number:04x}" + "a" * 28, f"{number + 30:04x}" + "b" * 28
            await town.view(one)
            await town.view(other)
            await asyncio.gather(town.people.link(one, [other]), town.people.link(other, [one]))
            assert await town.people.person(one) == await town.people.person(other)
            assert await town.views(one) == 2

    in_town(story)


class Mortal:
    """A client of somebody who ends after some commands."""

    def __init__(self, redis):
        self.redis = redis
        self.left = 0

    def __getattr__(self, name):
        if self.left == 0:
            raise RedisConnectionError("the end")
        self.left -= 1
        return getattr(self.redis, name)


@pytest.mark.promise("identities")
def test_whoever_is_next_finishes_what_a_crash_at_any_point_has_left(in_town):
    async def story(town):
        mortal = Mortal(town.redis)
        crashes = 0
        for lives in range(100):
            await town.redis.flushall()
            for user in (A, B, B, C):
                await town.view(user)
            await town.people.link(B, [A])
            mortal.left = lives
            try:
                await Town(mortal, town.catalogue).people.link(C, [B])
                break
            except RedisConnectionError:
                crashes += 1
            linked = await town.people.person(B) == C
            assert await town.views(A) == await town.views(B) == (4 if linked else 3)
            assert await town.people.link(C, [B, A] if linked else [B]) == (0 if linked else 1)
            assert [await town.views(user) for user in (A, B, C)] == [4, 4, 4]
            assert sorted(await town.people.identities(C)) == [A, B]
        assert crashes > 10  # and then it went through

    in_town(story)


async def _live(town, identity, linked: asyncio.Event) -> tuple[int, int]:
    """See things and be contacted for a while; views, and contacts once linked."""
    views = contacts = 0
    for _ in range(12):
        await town.view(identity)
        views += 1
        sure = linked.is_set()
        contacts += await town.contact(identity) and sure
    return views, contacts


@pytest.mark.promise("identities")
def test_decisions_while_linking_lose_nothing_and_caps_count_contacts_of_all(in_town):
    async def story(town):
        for turn in range(4):
            users = [f"{turn + 10 * k:04x}" + "c" * 28 for k in range(4)]
            for user in users[:2]:
                assert await town.contact(user)
            linked = asyncio.Event()

            async def link(users=users, linked=linked):
                await asyncio.sleep(0)
                await town.people.link(users[0], users[1:])
                linked.set()

            lives = [_live(town, user, linked) for user in users for _ in range(2)]
            *lived, _ = await asyncio.gather(*lives, link())
            assert await town.views(users[0]) == sum(views for views, _ in lived)
            assert sum(contacts for _, contacts in lived) == 0
            assert not await town.contact(users[3])

    in_town(story)
