"""The journal's entries on their way out of Redis, whatever breaks on it."""

import pytest
import redis

from serving.journal.draining import JournalWriter
from tests.serving.stream import hashed
from tests.serving.written import decision_ids


def test_what_was_deleted_and_not_acknowledged_leaves_no_ghost(writer, stream, files, redis_client):
    stream.decide(hashed(1), 1)
    kept = stream.decide(hashed(1), 2)
    first = writer.take()[0]
    redis_client.xdel(first.stream, first.entry_id)
    writer.look_again()
    assert writer.drain() == 2
    assert (stream.left(), stream.pending()) == (0, 0)
    assert decision_ids(files) == [kept]


def test_what_was_acknowledged_and_not_deleted_is_taken_again(
    writer, stream, files, catalogue, redis_client
):
    identity = stream.decide(hashed(1))
    entry = writer.take()[0]
    redis_client.xack(entry.stream, "parquet", entry.entry_id)
    writer.look_again()
    assert writer.drain() == 1
    assert (stream.left(), decision_ids(files)) == (0, [identity])


def test_what_could_not_be_written_is_written_with_the_next_try(writer, stream, files, tmp_path):
    stream.decide(hashed(1))
    (tmp_path / "journal").write_text("a file where the folder would be")
    for _ in range(2):
        with pytest.raises(OSError):
            writer.drain()
    assert stream.left() == 1
    (tmp_path / "journal").unlink()
    stream.decide(hashed(2))
    while writer.drain():
        pass
    assert stream.left() == 0
    assert files.merge() == 2


def test_entries_whose_delivery_was_lost_are_taken_with_the_next_try(
    writer, stream, files, redis_client
):
    """Redis handed them over, and the connection broke before they arrived."""
    identity = stream.decide(hashed(1))
    assert len(writer.take()) == 1  # and nobody writes them
    assert writer.drain() == 0
    writer.look_again()
    assert writer.drain() == 1
    assert decision_ids(files) == [identity]


def test_a_redis_that_has_lost_its_data_is_joined_again(writer, stream, files, redis_client):
    stream.decide(hashed(1))
    writer.drain()
    redis_client.flushall()
    stream.decide(hashed(2))
    with pytest.raises(redis.ResponseError, match="NOGROUP"):
        writer.drain()
    assert writer.drain() == 1
    assert len(decision_ids(files)) == 2


def test_more_than_can_be_taken_at_once_is_taken_in_turns(
    writer, stream, redis_server, catalogue, files
):
    for number in range(600):
        stream.decide(hashed(1), number)
    writer.take()
    writer.take()
    writer.close()  # and dies
    again = JournalWriter(redis_server.url, catalogue, files)
    written = 0
    while count := again.drain():
        written += count
    again.close()
    assert (written, stream.left(), len(decision_ids(files))) == (600, 0, 600)
