import asyncio
import json

from benchmarks.load import Crowd, batch_bodies, offer_bodies, paced, seen

CROWD = Crowd(users=50, scenes=("commute", "lunch"), seed=1)
OK = b'HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n{"degraded":true}'
HELD_S, RATE, CALLS = 0.2, 200, 20


def test_every_request_and_every_place_in_a_batch_has_an_id_of_its_own():
    single = [json.loads(offer_bodies(CROWD, "a")(number)) for number in range(100)]
    batch = [
        offer
        for number in range(3)
        for offer in json.loads(batch_bodies(CROWD, "b", 40)(number))["offers"]
    ]
    for asked in (single, batch):
        assert len({body["request_id"] for body in asked}) == len(asked)
        assert {body["scene"] for body in asked} == {"commute", "lunch"}
    assert len({body["user_id"] for body in batch[:40]}) == 40


def test_who_waits_for_a_stalled_call_is_timed_from_the_planned_moment():
    async def story():
        async def answer(reader, writer):
            await asyncio.sleep(HELD_S)
            for _ in range(CALLS):
                await reader.readuntil(b"}")
                writer.write(OK)
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            return await paced(url, RATE, CALLS / RATE, 1, offer_bodies(CROWD, "c"))

    found = asyncio.run(story())
    assert found.degraded == found.statuses[200] == len(found.seconds) == CALLS
    for number, seconds in enumerate(found.seconds):
        assert seconds >= HELD_S - number / RATE - 0.005, "clocks tick at least that often"


def test_what_wrk_saw_counts_only_answers_that_were_good():
    said = {"requests": 110, "microseconds": 2_000_000, "refused": 10, "broken": 3}
    found = seen(said | {"p50_us": 1500, "p99_us": 9000})
    assert (found.per_second, found.refused, found.broken, found.p99_ms) == (50.0, 10, 3, 9.0)
