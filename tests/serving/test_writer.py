"""The command that keeps the journal, through everything that may befall it."""

import logging
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from envs.errors import InputError
from serving.journal.draining import JournalWriter
from serving.journal.files import JournalFiles
from serving.journal.rows import DECISIONS, MARKS, OUTCOMES, RANKS, REFUSED
from serving.journal.writer import Keeper, WriterConfig, only_writer, run_writer
from serving.journal.writer_process import WriterProcess
from serving.store.redis_server import bundled_program
from simulators.logs.logged import read_log
from tests.serving.stream import Stream, hashed

ROOT = Path(__file__).parents[2]
WITHIN_S = 60.0
NOBODY = "redis://:a-password@127.0.0.1:1/0"


@contextmanager
def writing(redis_url, run_dir, *arguments):
    """The command, once it writes."""
    command = [sys.executable, "-m", "serving", "writer", "--run-dir", str(run_dir), *arguments]
    environment = os.environ | {"REDIS_URL": redis_url, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("The journal of "), process.stderr.read()
            yield process
        finally:
            process.kill()


def until(what):
    """Return once it is so."""
    deadline = time.monotonic() + WITHIN_S
    while not what():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def test_a_run_folder_has_one_writer(tmp_path, monkeypatch):
    monkeypatch.setenv("REDIS_URL", NOBODY)
    with only_writer(tmp_path), pytest.raises(InputError, match=f"process {os.getpid()}"):
        run_writer(WriterConfig(run_dir=tmp_path))
    with only_writer(tmp_path):
        pass


@pytest.mark.parametrize(
    ("url", "said"),
    [("", "no Redis is named"), ("postgres://u:a-password@host/0", "the URL of Redis")],
)
def test_a_redis_that_cannot_be_used_is_said_without_its_password(tmp_path, monkeypatch, url, said):
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(InputError, match=said) as raised:
        run_writer(WriterConfig(run_dir=tmp_path))
    assert "a-password" not in str(raised.value)


def test_an_outage_is_told_once_and_lived_through(
    redis_server, stream, catalogue, tmp_path, caplog
):
    urls = [redis_server.url, NOBODY, NOBODY, NOBODY]
    files = JournalFiles(tmp_path, catalogue)

    class Trying:
        """A writer whose Redis comes back."""

        def drain(self):
            writer = JournalWriter(urls.pop(), catalogue, files)
            try:
                return writer.drain()
            finally:
                writer.close()

        look_again = close = lambda self: None

    stream.decide(hashed(1))
    keeper = Keeper(Trying, files)
    with caplog.at_level(logging.WARNING):
        pauses = [keeper.turn() for _ in range(4)]
    assert pauses[0] < pauses[1] < pauses[2]
    assert caplog.text.count("the journal waits") == 1
    assert caplog.text.count("the journal goes on") == 1
    assert "a-password" not in caplog.text
    assert stream.left() == 0


@pytest.mark.slow
def test_the_command_writes_what_comes_and_at_its_end_what_is_left(
    redis_server, stream, catalogue, tmp_path
):
    first = stream.decide(hashed(1))
    with writing(redis_server.url, tmp_path) as process:
        until(lambda: stream.left() == 0)
        shown = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert b"127.0.0.1" not in shown
        second = stream.decide(hashed(2))
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=WITHIN_S)
        assert (process.returncode, output, errors) == (0, "", "")
    assert (stream.left(), stream.pending()) == (0, 0)
    files = JournalFiles(tmp_path, catalogue)
    files.merge()
    assert set(read_log(files.log, catalogue).decision_ids) == {first, second}


@pytest.mark.promise("journal-crash")
@pytest.mark.slow
@pytest.mark.parametrize("redis_server", ["bundled"], indirect=True)
def test_a_writer_that_is_killed_again_and_again_loses_nothing(
    redis_server, stream, catalogue, tmp_path
):
    luck, told, over = random.Random(7), [], threading.Event()

    def tell():
        while not over.is_set():
            user = hashed(luck.randrange(100))
            told.append(stream.decide(user, len(told)))
            stream.happen(user, f"key {len(told)}", amount_cents=1)

    teller = threading.Thread(target=tell)
    teller.start()
    try:
        for _ in range(20):
            with writing(redis_server.url, tmp_path) as process:
                over.wait(luck.uniform(0.0, 0.4))  # most of it at work
                process.kill()
    finally:
        over.set()
        teller.join()
    with writing(redis_server.url, tmp_path) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(WITHIN_S) == 0
    assert (stream.left(), stream.pending()) == (0, 0)
    files = JournalFiles(tmp_path, catalogue)
    merged = files.merged()
    log = read_log(files.log, catalogue)
    assert sorted(log.decision_ids) == sorted(told)
    assert (merged.decisions, merged.outcomes) == (len(told), len(told))
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.promise("journal-crash")
@pytest.mark.slow
def test_no_point_at_which_a_writer_can_die_loses_anything(
    redis_server, stream, catalogue, tmp_path
):
    command = [sys.executable, "-m", "tests.serving.dying", redis_server.url, str(tmp_path)]
    told = []
    for number in range(3):  # of each kind, and somebody who is erased
        user, gone = hashed(3 * number), hashed(3 * number + 1)
        told.append(stream.decide(user, number))
        stream.decide(gone, number)
        stream.happen(user, f"key {number}", amount_cents=1)
        stream.link(hashed(3 * number + 2), user)
        stream.rank(user, f"event {number}")
        stream.add(user, "z", b"not to be read")
        stream.erase(gone)
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > 20, "it died at too few points"
    assert (stream.left(), stream.pending()) == (0, 0)
    files = JournalFiles(tmp_path, catalogue)
    assert sorted(files.rows(DECISIONS)["decision_id"].to_pylist()) == sorted(told)
    assert [files.rows(kind).num_rows for kind in (OUTCOMES, MARKS, RANKS, REFUSED)] == [3] * 4
    assert files.merge() == 3


@pytest.mark.promise("journal-waits")
@pytest.mark.slow
def test_a_full_disk_keeps_entries_in_redis_until_there_is_room(
    redis_server, stream, catalogue, tmp_path
):
    with writing(redis_server.url, tmp_path) as process:
        unlimited = resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100, -1))
        stream.decide(hashed(1))
        line = process.stderr.readline()
        assert "the journal waits" in line and "File too large" in line
        assert stream.left() == 1
        files = JournalFiles(tmp_path, catalogue)
        assert files.parts(DECISIONS) == []
        assert not list(tmp_path.rglob("*.partial"))
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, unlimited)
        assert "the journal goes on" in process.stderr.readline()
        assert stream.left() == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(WITHIN_S) == 0
    assert files.merge() == 1


@contextmanager
def redis_at(port, folder):
    """A server that comes back with its data, at the same place."""
    command = [
        *(str(bundled_program()), "--port", str(port), "--bind", "127.0.0.1"),
        *("--appendonly", "yes", "--appendfsync", "always", "--save", "", "--dir", str(folder)),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            client = redis.Redis(port=port)

            def answers():
                try:
                    return client.ping()
                except redis.RedisError:
                    return False

            until(answers)
            yield client
            client.close()
        finally:
            process.kill()


@pytest.mark.promise("journal-waits")
@pytest.mark.slow
def test_a_redis_that_is_killed_and_comes_back_is_written_to_the_end(
    catalogue, tmp_path, free_port
):
    folder = tmp_path / "redis"
    folder.mkdir()
    with redis_at(free_port, folder) as client:
        stream = Stream(client, catalogue)
        first = stream.decide(hashed(1))
        process_of = writing(f"redis://127.0.0.1:{free_port}/0", tmp_path)
        process = process_of.__enter__()
        until(lambda: stream.left() == 0)
        second = stream.decide(hashed(2))
    try:
        assert "the journal waits, nothing is lost: Redis: " in process.stderr.readline()
        with redis_at(free_port, folder) as client:
            stream = Stream(client, catalogue)
            third = stream.decide(hashed(3))
            assert "the journal goes on" in process.stderr.readline()
            until(lambda: stream.left() == 0)
            assert stream.pending() == 0
            process.send_signal(signal.SIGTERM)
            assert process.wait(WITHIN_S) == 0
    finally:
        process_of.__exit__(None, None, None)
    files = JournalFiles(tmp_path, catalogue)
    files.merge()
    assert set(read_log(files.log, catalogue).decision_ids) == {first, second, third}


@pytest.fixture
def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.promise("journal-crash")
@pytest.mark.slow
def test_a_writer_that_dies_is_started_again(redis_server, stream, catalogue, tmp_path, caplog):
    files = JournalFiles(tmp_path, catalogue)
    process = WriterProcess(tmp_path, files.describe(), redis_server.url)
    try:
        first = process.process
        stream.decide(hashed(1))
        until(lambda: stream.left() == 0)
        first.kill()
        stream.decide(hashed(2))
        until(lambda: stream.left() == 0)
        assert process.process.pid != first.pid
        stream.decide(hashed(3))
    finally:
        process.stop()
    assert (process.process.returncode, stream.left()) == (0, 0)
    assert "ended with status -9" in caplog.text
    assert files.merge() == 3


@pytest.mark.slow
def test_a_writer_ends_with_the_process_it_was_started_for(
    redis_server, stream, catalogue, tmp_path
):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from serving.journal.writer_process import WriterProcess\n"
        "process = WriterProcess(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])\n"
        "print(process.process.pid, flush=True)\n"
        "sys.stdin.read()\n"
        "import os\n"
        "os._exit(1)\n"
    )
    described = JournalFiles(tmp_path, catalogue).describe()
    command = [sys.executable, "-c", code, str(tmp_path), str(described), redis_server.url]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        pid = int(parent.stdout.readline())
        stream.decide(hashed(1))
        until(lambda: stream.left() == 0)
        parent.stdin.close()
        parent.wait()
    until(lambda: not Path(f"/proc/{pid}/cmdline").exists() or not _alive(pid))
    with only_writer(tmp_path):
        pass


def _alive(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
