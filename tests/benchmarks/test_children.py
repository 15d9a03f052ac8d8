import os
import time
from pathlib import Path

import pytest

from benchmarks.children import Child, ChildError


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Makes a module of the given source that a child can run."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(source: str) -> list[str]:
        (tmp_path / "program.py").write_text(source)
        return ["program"]

    return write


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not yet collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_the_address_is_read_from_what_the_program_prints(program, tmp_path):
    source = "import time\nprint('up: http://127.0.0.1:81/', flush=True)\ntime.sleep(600)"
    with Child("program", program(source), log=tmp_path / "log") as child:
        assert child.address(patience_seconds=60) == "http://127.0.0.1:81"


def test_a_program_that_ends_before_it_is_ready_is_reported_with_its_last_line(program, tmp_path):
    source = "raise SystemExit('no Redis here')"
    with (
        Child("the service", program(source), log=tmp_path / "log") as child,
        pytest.raises(ChildError, match=r"the service ended with exit status 1.*no Redis here"),
    ):
        child.address(patience_seconds=60)


def test_a_program_that_fails_is_reported(program):
    with (
        Child("training", program("raise SystemExit(3)")) as child,
        pytest.raises(ChildError, match="training failed with exit status 3"),
    ):
        child.finish()


def test_leaving_ends_the_program_and_what_it_started(program, tmp_path):
    source = (
        "import subprocess, sys, time\n"
        "sleep = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
        "other = subprocess.Popen(sleep, process_group=0)\n"  # as Ray does with its workers
        "print(f'http://{other.pid}', flush=True)\n"
        "time.sleep(600)"
    )
    with Child("program", program(source), log=tmp_path / "log") as child:
        started = int(child.address(patience_seconds=60).removeprefix("http://"))
        assert alive(started)
    deadline = time.monotonic() + 30
    while alive(started) and time.monotonic() < deadline:
        os.sched_yield()
    assert not alive(started)
