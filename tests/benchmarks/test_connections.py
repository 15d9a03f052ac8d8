import asyncio

import pytest

from benchmarks.connections import Client, Reply, whole_reply

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"


@pytest.mark.parametrize(
    ("got", "reply"),
    [
        (HEAD + b"body", Reply(200, b"body")),
        (HEAD + b"bod", None),
        (HEAD[:-2], None),
        (b"HTTP/1.1 204 No Content\r\n\r\n", Reply(204, b"")),
        (b"HTTP/1.1 503 X\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n", None),
        (
            b"HTTP/1.1 503 X\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
            Reply(503, b"2\r\nab\r\n0\r\n\r\n"),
        ),
    ],
)
def test_a_reply_is_read_once_it_is_whole(got, reply):
    assert whole_reply(got) == reply


def test_a_connection_that_breaks_is_tried_once_more_and_one_that_holds_is_kept():
    async def story() -> tuple[Reply, Reply, int]:
        connections = 0

        async def answer(reader, writer):
            nonlocal connections
            connections += 1
            for _ in range(2 if connections > 1 else 0):  # the first one is closed unanswered
                await reader.readuntil(b"{}")
                writer.write(HEAD + b"body")
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            client = Client(f"http://127.0.0.1:{port}")
            replies = [await client.patient_post("/", b"{}") for _ in range(2)]
            client.close()
        return (*replies, connections)

    first, second, connections = asyncio.run(story())
    assert first == second == Reply(200, b"body")
    assert connections == 2
